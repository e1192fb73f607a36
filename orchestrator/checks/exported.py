"""An export of pg_stat_statements, where a role may not read it on main: CSV or JSON to queries. Pure: no I/O."""

import csv
import io
import json
from typing import Any

from orchestrator.checks.queries import Query, is_planned, query_id, without_comments
from orchestrator.errors import SettingsError

HOW_TO_EXPORT = (
    "psql: \\copy (select query, calls, total_exec_time from pg_stat_statements) to 'file.csv' csv header"
)


def read_export(name: str, content: str) -> tuple[Query, ...]:
    """The queries of an export: rows with ``query`` and, if there, ``calls``, ``total_exec_time`` and ``hours``.

    Args:
        name: the file's name; ends in ``.json`` for a list of objects, else it is CSV with a header.
        content: the file's text.

    Raises:
        SettingsError: it is neither, or a row has no query; names the row.
    """
    try:
        rows = json.loads(content) if name.endswith(".json") else list(csv.DictReader(io.StringIO(content)))
    except (ValueError, csv.Error) as error:
        raise SettingsError(
            f"report.statements: {name} cannot be read: {error}", hint=HOW_TO_EXPORT
        ) from None
    if not isinstance(rows, list):
        raise SettingsError(f"report.statements: {name} is not a list of rows", hint=HOW_TO_EXPORT)
    found: dict[str, Query] = {}
    for number, row in enumerate(rows, 1):
        query = _query(name, number, row)
        if is_planned(query.text):
            found.setdefault(query.id, query)
    return tuple(found.values())


def _query(name: str, number: int, row: Any) -> Query:
    if not isinstance(row, dict) or not isinstance(row.get("query"), str):
        raise SettingsError(f"report.statements: row {number} of {name} has no query", hint=HOW_TO_EXPORT)
    text = without_comments(row["query"])
    try:
        return Query(
            id=query_id("", text),
            role="",
            text=text,
            calls=int(row.get("calls") or 0),
            total_ms=float(row.get("total_exec_time") or 0),
            hours=float(row.get("hours") or 0),
        )
    except (TypeError, ValueError):
        raise SettingsError(
            f"report.statements: row {number} of {name} has something else than numbers in its figures",
            hint=HOW_TO_EXPORT,
        ) from None
