"""Names: quoting as PostgreSQL quotes, and the key that identifies an object. Pure: no I/O of any kind."""

import re
from typing import NamedTuple

#: Prefix of everything this product creates in a user's database for a moment; never part of a snapshot.
HELPER_PREFIX = "preview_tmp_"

#: What the names of helpers begin with that must come after all others: triggers fire in the order of their names.
LAST_PREFIX = f"~{HELPER_PREFIX}"

#: What the names of columns and schemas begin with that hold what a promotion set aside; never part of a snapshot.
KEPT_PREFIX = "preview_kept_"

#: The schema of our own tables in a user's database; never part of a snapshot.
OURS = "preview_internal"

#: The longest name PostgreSQL keeps, in bytes (NAMEDATALEN - 1); longer ones are cut in silence.
MAX_NAME_BYTES = 63

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")

#: Keywords that quote_ident() quotes: pg_get_keywords() of PostgreSQL 16 to 18 where catcode is not U.
_KEYWORDS = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case
    cast char character check coalesce collate collation column concurrently constraint create cross
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec
    decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign
    freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect
    interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg json_query
    json_scalar json_serialize json_table json_value lateral leading least left like limit localtime
    localtimestamp merge_action national natural nchar none normalize not notnull null nullif numeric offset on
    only or order out outer overlaps overlay placing position precision primary real references returning right
    row select session_user setof similar smallint some substring symmetric system_user table tablesample then
    time timestamp to trailing treat trim true union unique user using values varchar variadic verbose when where
    window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
    xmlserialize xmltable
    """.split()  # noqa: SIM905 - a list of 150 quoted words is not easier to read
)


def quote(name: str) -> str:
    """An identifier as SQL, in double quotes only where needed, like quote_ident()."""
    if _PLAIN.match(name) and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def dotted(*names: str) -> str:
    """Identifiers quoted and joined with dots: ``public."Order".id``."""
    return ".".join(quote(name) for name in names)


def not_null_name(table: str, column: str) -> str:
    """What PostgreSQL 18 calls the NOT NULL constraint of a column when nobody says.

    Of names that are too long together, the longer one is cut first, as PostgreSQL's makeObjectName() does.
    """
    end = "_not_null"
    room = MAX_NAME_BYTES - len(end) - 1
    first, second = (len(name.encode()) for name in (table, column))
    if first + second > room:
        half = room // 2
        first, second = min(first, max(room - half, room - second)), min(second, max(half, room - first))
    return f"{_cut(table, first)}_{_cut(column, second)}{end}"


def _cut(name: str, length: int) -> str:
    """At most so many bytes, and no half characters."""
    return name.encode()[:length].decode(errors="ignore")


def literal(text: str) -> str:
    """Text as an SQL string literal, right whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


class Key(NamedTuple):
    """What identifies an object in one database: its kind and the names on the way to it.

    Attributes:
        kind: ``schema`` ``table`` ``column`` ``default`` ``constraint`` ``index`` ``sequence`` ``enum``
            ``view`` ``materialized view`` ``function`` ``trigger``, or the name of a kind that is only looked at.
        path: schema first, e.g. ``("public", "orders", "id")``; for functions
            ``(schema, name, argument types)``.
    """

    kind: str
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The object's qualified name as SQL (functions: with their argument types)."""
        if self.kind in {"function", "aggregate"}:
            return f"{dotted(*self.path[:2])}({self.path[2]})"
        return dotted(*self.path) if self.kind in PLANNED else ".".join(self.path)

    @property
    def parent(self) -> "Key":
        """The table of a column, default, constraint or trigger; the schema of anything else."""
        if self.kind in MEMBERS:
            return Key("table", self.path[:2])
        return Key("schema", self.path[:1])

    def __str__(self) -> str:
        """``column public.orders.id``: fit for a message."""
        return f"{self.kind} {self.name}"


#: Kinds that are planned; all others are only looked at.
PLANNED = frozenset(
    {
        "schema",
        "extension",
        "table",
        "column",
        "default",
        "constraint",
        "index",
        "sequence",
        "enum",
        "domain",
        "composite type",
        "range type",
        "view",
        "materialized view",
        "function",
        "trigger",
        "foreign table",
    }
)

#: Types with a name of their own. One that cannot become its new form in place is made beside the old one.
TYPES = frozenset({"enum", "domain", "composite type", "range type"})

#: Kinds that live inside a table and go with it.
MEMBERS = frozenset({"column", "default", "constraint", "trigger"})
