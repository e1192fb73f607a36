"""Objects that one statement says: rows of the queries that write such statements out become values. No I/O."""

from typing import Any

from orchestrator.postgres import foreign
from orchestrator.postgres.relations import Relations
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Part, Stated

#: Queries whose rows are such statements.
_QUERIES = ("stated", "operators", "text_search", "publications")


def read_stated(found: Relations) -> None:
    """Everything that ``Stated`` holds, but types and aggregates."""
    names = {oid: name for name, oid in found.catalog.items()}
    for row in (row for query in _QUERIES for row in found.rows[query]):
        if (row["class"], row["oid"]) in found.members:
            continue
        catalog = names[row["class"]]
        relation = row["of_relation"]
        comment = found.comment(catalog, row["oid"])
        if relation in found.folded:
            found.fold(relation, row["kind"], row["create"], row["parts"], comment)
            found.address[row["class"], row["oid"], 0] = found.folded[relation]
            continue
        thing = Stated(
            key=Key(row["kind"], tuple(row["path"])),
            comment=comment,
            noun=row["noun"],
            create=row["create"],
            subject=row["subject"],
            parts=tuple((name, add, change, drop) for name, add, change, drop in row["parts"]),
            whole=row.get("whole", ""),
            drop=row.get("drop", ""),
            of=found.tables.get(relation) or found.views.get(relation),
        )
        found.add(thing, catalog, row["oid"])
        for catalog_oid, oid in row.get("also", ()):
            found.address[catalog_oid, oid, 0] = thing.key
    _read_foreign(found)


def _read_foreign(found: Relations) -> None:
    """Wrappers, servers, mappings and foreign tables."""
    names = {oid: name for name, oid in found.catalog.items()}
    makers = {
        "foreign-data wrapper": foreign.wrapper,
        "server": foreign.server,
        "user mapping": foreign.mapping,
    }
    for row in found.rows["foreign"]:
        if (row["class"], row["oid"]) in found.members:
            continue
        if row["kind"] in makers:
            catalog = names[row["class"]]
            comment = found.comment(catalog, row["oid"])
            found.add(makers[row["kind"]](row, comment), catalog, row["oid"])
        elif row["oid"] in found.foreign:
            _read_table(found, row)
        elif row["oid"] in found.folded:
            shown, secret = foreign.options_of(row, dotted(*row["path"]))
            found.fold(row["oid"], "foreign", row["wrapper"], shown, secret)


def _read_table(found: Relations, row: dict[str, Any]) -> None:
    oid = row["oid"]
    columns = [
        (each, found.comment("pg_class", oid, each["number"]))
        for each in found.rows["columns"]
        if each["relation"] == oid
    ]
    name = dotted(*row["path"])
    thing = foreign.table(row, columns, _more(found, oid, name), found.comment("pg_class", oid))
    found.add(thing, "pg_class", oid)


def _more(found: Relations, oid: int, name: str) -> list[Part]:
    """Constraints and triggers of a foreign table as parts of it."""
    parts: list[Part] = []
    key = found.foreign[oid]
    for row in found.rows["constraints"]:
        if row["relation"] == oid:
            called = quote(row["name"])
            add = f"ALTER FOREIGN TABLE {name} ADD CONSTRAINT {called} {row['definition']}"
            drop = f"ALTER FOREIGN TABLE {name} DROP CONSTRAINT {called}"
            parts.append((f"+constraint {row['name']}", add, "", drop))
            head = f"constraint {row['name']}"
            parts += _told(found, "pg_constraint", row["oid"], head, f"CONSTRAINT {called} ON {name}")
            found.address[found.catalog["pg_constraint"], row["oid"], 0] = key
    for row in found.rows["triggers"]:
        if row["relation"] == oid:
            called = quote(row["name"])
            head = f"trigger {row['name']}"
            parts.append((f"+{head}", row["definition"], "", f"DROP TRIGGER {called} ON {name}"))
            if row["enabled"] != "ENABLE":
                state = f"ALTER FOREIGN TABLE {name} {row['enabled']} TRIGGER {called}"
                parts.append(
                    (f"+{head}/state", state, state, f"ALTER FOREIGN TABLE {name} ENABLE TRIGGER {called}")
                )
            parts += _told(found, "pg_trigger", row["oid"], head, f"TRIGGER {called} ON {name}")
            found.address[found.catalog["pg_trigger"], row["oid"], 0] = key
    return parts


def _told(found: Relations, catalog: str, oid: int, head: str, subject: str) -> list[Part]:
    """The comment on a part."""
    comment = found.comment(catalog, oid)
    if comment is None:
        return []
    add = f"COMMENT ON {subject} IS {literal(comment).strip()}"
    return [(f"+{head}/comment", add, add, f"COMMENT ON {subject} IS NULL")]
