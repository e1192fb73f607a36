"""Rows of the catalogue as they will read once things that are set aside have their names back. No I/O of its own.

The server tells the truth about what is left of such a thing; only its name is another one for a while.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.migration.keeping import Kept
from orchestrator.postgres.reading import query
from orchestrator.schema.names import KEPT_PREFIX, quote

_HIDES = f"'^(pg_|{KEPT_PREFIX})'"

#: Queries that pass by what is in such a schema.
_HIDING = (
    "privileges", "not_nulls", "foreign", "columns", "constraints", "operators", "functions", "schemas", "stated",
    "relations", "views", "text_search", "indexes", "types",
)  # fmt: skip


def showing(returning: Sequence[Kept]) -> Mapping[str, str]:
    """The queries that do not pass by these things any more."""
    ends = "|".join(sorted(each.name.removeprefix(KEPT_PREFIX) for each in returning if not each.is_column))
    if not ends:
        return {}
    shows = f"'^(pg_|{KEPT_PREFIX}(?!{ends}))'"
    return {name: query(name).replace(_HIDES, shows) for name in _HIDING}


def as_before(name: str, rows: list[dict[str, Any]], returning: Sequence[Kept]) -> list[dict[str, Any]]:
    """The rows of one query with the names exchanged."""
    schemas = {each.name: each.was[0] for each in returning if not each.is_column}
    columns = {each.name: each.was[-1] for each in returning if each.is_column}
    if name == "kept":
        return [row for row in rows if row["schema"] not in schemas]
    if name == "schemas":
        # The room itself is nothing that anybody had; where its home is gone, it stands for it.
        there = {row["name"] for row in rows}
        found = []
        for row in rows:
            home = schemas.get(row["name"], row["name"])
            if row["name"] not in schemas or home not in there:
                there.add(home)
                found.append({**row, "name": home})
        return found
    exchanged = schemas | columns
    if name == "columns":
        tables = {each.name: each.oid for each in returning if each.is_column}
        return [
            row
            if row["relation"] != tables.get(row["name"], row["relation"])
            else {field: _exchanged(value, exchanged) for field, value in row.items()}
            for row in rows
        ]
    return [{field: _exchanged(value, exchanged) for field, value in row.items()} for row in rows]


def _exchanged(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_exchanged(each, names) for each in value]
    if isinstance(value, tuple):
        return tuple(_exchanged(each, names) for each in value)
    if not isinstance(value, str) or KEPT_PREFIX not in value:
        return value
    if value in names:
        return names[value]
    for name, was in names.items():
        value = value.replace(name, quote(was))
    return value
