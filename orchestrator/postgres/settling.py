"""Settling: rows of the catalogue with their deparsed texts as they read after a dump and a restore. No I/O."""

from collections.abc import Callable
from typing import Any

from orchestrator.schema.settled import settled, settled_routine

#: Queries without a deparsed text in them.
_PLAIN = {
    "catalogs",
    "extension_members",
    "schemas",
    "comments",
    "sequences",
    "grants",
    "dependencies",
    "origin",
    "traffic",
    "kept",
}
#: Where most rows come from, only what is deparsed is looked through.
_DEPARSED = {"columns": ("expression",), "relations": ("bound", "partition_key"), "indexes": ("definition",)}


def settle(query: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one of inspect's queries, with every deparsed text settled."""
    if query in _PLAIN:
        return rows
    change = settled_routine if query == "functions" else settled
    for row in rows:
        for name in _DEPARSED.get(query, row):
            value = row.get(name)
            if isinstance(value, (str, list)):
                row[name] = _each(value, change)
    return rows


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_each(each, change) for each in value]
    return change(value) if isinstance(value, str) else value
