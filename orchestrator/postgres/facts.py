"""Facts: what two databases say about each relation, made comparable in the server. Writes queries, asks none.

The facts of a relation are the rows of the catalogue queries that belong to it, without its oids, as one hash. Equal
hashes mean equal rows, so that what Assembly makes of them is equal, too; unequal ones say only "look closer".
A column that a query gains is a fact by itself, and with a query that is named in neither table here nothing is left
out at all: what this room does not know about costs time, never truth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.postgres.reading import query
from orchestrator.schema.names import HELPER_PREFIX, LAST_PREFIX, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """Whose rows a query's are.

    Attributes:
        to: SQL over ``q``, a row of the query: the relation's oid; 0 or NULL for what is no relation's.
        apart: columns that are no facts: oids, measurements, and what ``instead`` says better.
        instead: SQL over ``q``: more facts.
        joined: joins that these need.
        compared: whether the rows are facts at all.
    """

    to: str
    apart: frozenset[str] = frozenset()
    instead: str = ""
    joined: str = ""
    compared: bool = True


_OWNERS = "left join ({owners}) o on o.class = q.class and o.oid = q.oid"

BELONGING: Mapping[str, Belonging] = {
    "relations": Belonging(
        to="q.oid",
        apart=frozenset({"oid", "row_type", "bytes", "rows", "partition_check"}),
        # By hash it names an oid, and its bound says as much.
        instead="case when q.partition_check !~ 'satisfies_hash' then q.partition_check end",
    ),
    "columns": Belonging(to="q.relation", apart=frozenset({"relation", "default_oid"})),
    "constraints": Belonging(
        to="q.relation",
        # The columns' numbers say which they are: the names by number are facts of the query "columns", those
        # on the other side of a foreign key are in its definition.
        apart=frozenset({"oid", "relation", "referenced", "index", "columns", "reference_columns"}),
        instead="raw.conkey",
        joined="join pg_constraint raw on raw.oid = q.oid::oid",
    ),
    "not_nulls": Belonging(to="q.relation", apart=frozenset({"relation"})),
    "indexes": Belonging(
        to="q.relation",
        apart=frozenset({"oid", "relation", "owner", "head"}),
        instead="q.owner <> 0",
    ),
    "sequences": Belonging(
        to="case when q.owned = 'i' then q.relation else q.oid end",
        apart=frozenset({"oid", "relation"}),
        instead="q.oid::regclass, q.relation::regclass, (select a.attname from pg_attribute a"
        " where a.attrelid = q.relation::oid and a.attnum = q.number)",
    ),
    "types": Belonging(to="q.relation", apart=frozenset({"oid", "element", "relation"})),
    "views": Belonging(to="q.oid", apart=frozenset({"oid"})),
    "triggers": Belonging(to="q.relation", apart=frozenset({"oid", "relation"})),
    "stated": Belonging(to="q.of_relation", apart=frozenset({"class", "oid", "of_relation"})),
    "extension_members": Belonging(
        to="o.relation",
        apart=frozenset({"class", "oid", "extension"}),
        instead="pg_identify_object(q.class::oid, q.oid::oid, 0),"
        " (select e.extname from pg_extension e where e.oid = q.extension::oid)",
        joined=_OWNERS,
    ),
    "comments": Belonging(
        to="o.relation",
        apart=frozenset({"class", "oid"}),
        instead="pg_identify_object(q.class::oid, q.oid::oid, q.sub)",
        joined=_OWNERS,
    ),
    "privileges": Belonging(
        to="o.relation",
        apart=frozenset({"class", "oid"}),
        instead="pg_identify_object(q.class::oid, q.oid::oid, 0)",
        joined=_OWNERS,
    ),
    "foreign": Belonging(
        to="case when q.class = 'pg_foreign_table'::regclass::oid::int8 then q.oid end",
        apart=frozenset({"class", "oid"}),
    ),
    "guard": Belonging(to="o.relation", apart=frozenset({"class", "oid"}), joined=_OWNERS),
    "dependencies": Belonging(to="o.relation", joined=_OWNERS, compared=False),
    "traffic": Belonging(to="q.relation", compared=False),
}

#: Queries whose rows are no relation's: they are read whole, and what they say does not hang on a relation's own rows.
WHOLE = frozenset(
    {
        "catalogs",
        "extensions",
        "default_privileges",
        "system_privileges",
        "schemas",
        "functions",
        "operators",
        "text_search",
        "publications",
        "others",
        "origin",
        "uncompared",
        "kept",
    }
)

#: What pg_get_indexdef() says of an index, without asking it: it is most of the time that a reading takes. Right only
#: where both databases give the same numbers to operator classes, collations and access methods (numbering.sql).
_RAW_INDEX = Belonging(
    to="q.relation",
    apart=BELONGING["indexes"].apart | {"definition"},
    instead="q.owner <> 0, kept.relam, raw.indnkeyatts, raw.indkey, raw.indoption, raw.indclass, raw.indcollation,"
    " raw.indnullsnotdistinct, raw.indisexclusion, raw.indisprimary, raw.indimmediate,"
    " pg_get_expr(raw.indexprs, raw.indrelid), pg_get_expr(raw.indpred, raw.indrelid),"
    " (select array_agg(a.attoptions order by a.attnum) from pg_attribute a"
    " where a.attrelid = kept.oid and a.attoptions is not null)",
    joined="join pg_index raw on raw.indexrelid = q.oid::oid join pg_class kept on kept.oid = raw.indexrelid",
)


def facts_query(columns: Mapping[str, Iterable[str]], *, same_numbers: bool) -> str:
    """A query for ``(oid, schema, name, facts)`` of every relation; parts of a relation speak for it.

    Args:
        columns: the names of the columns of each query that is compared.
        same_numbers: whether both databases number operator classes, collations and access methods equally.
    """
    parts = []
    for name, belonging in BELONGING.items():
        if not belonging.compared:
            continue
        known = _RAW_INDEX if name == "indexes" and same_numbers else belonging
        said = [f'q."{column}"' for column in columns[name] if column not in known.apart]
        row = ", ".join([*said, known.instead] if known.instead else said)
        parts.append(
            f"select f.relation, '{name} ' || md5(string_agg(f.said, e'\\n' order by f.said)) as said"  # noqa: S608
            f' from (select {known.to} as relation, row({row})::text collate "C" as said'
            # offset 0: else the planner writes the row out twice, once for its order
            f" from ({query(name)}) q {_joined(known)} offset 0) f"
            " where f.relation <> 0 group by f.relation"
        )
    return (
        "select c.oid::int8, coalesce(t.relnamespace, c.relnamespace)::regnamespace::text,"  # noqa: S608
        " coalesce(t.relname, c.relname)::text, string_agg(f.said, ',' order by f.said collate \"C\")"
        f" from ({' union all '.join(parts)}) f join pg_class c on c.oid = f.relation::oid"
        # An identity's sequence is a part of its table.
        " left join pg_depend d on c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid"
        "   and d.objsubid = 0 and d.refclassid = 'pg_class'::regclass and d.deptype = 'i'"
        " left join pg_class t on t.oid = d.refobjid"
        " where c.oid >= 16384"
        " group by c.oid, c.relnamespace, c.relname, t.relnamespace, t.relname"
    )


def narrowed(relations: Iterable[int]) -> dict[str, str]:
    """The queries whose rows belong to relations, narrowed to these relations and to what is no relation's."""
    oids = _array([0, *relations])
    return {
        name: f"select q.* from ({query(name)}) q {_joined(each)} where coalesce({each.to}, 0) = any ({oids}::int8[])"  # noqa: S608
        for name, each in BELONGING.items()
    }


def reached_query(seeds: Iterable[tuple[int, int]]) -> str:
    """A query for the oids of all relations that stand on these addresses (class, oid)."""
    found = list(seeds)
    classes, oids = _array(each[0] for each in found), _array(each[1] for each in found)
    return query("reached").format(classes=classes, oids=oids, owners=query("owners"))


def needed_query(relations: Iterable[int]) -> str:
    """A query for the oids of all relations that these relations name."""
    return query("needed").format(relations=_array(relations), owners=query("owners"))


def helpers_query() -> str:
    """A query for the oids of all relations with a helper of ours in them: equal or not, the next plan removes it."""
    likes = [literal(prefix.replace("_", r"\_") + "%") for prefix in (HELPER_PREFIX, LAST_PREFIX)]
    return query("helpers").format(prefixes=f"array[{', '.join(likes)}]", owners=query("owners"))


def _joined(belonging: Belonging) -> str:
    return belonging.joined.format(owners=query("owners"))


def _array(numbers: Iterable[int]) -> str:
    return "'{" + ",".join(str(int(number)) for number in numbers) + "}'"
