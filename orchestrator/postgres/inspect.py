"""Inspect: read a database's whole catalogue as one Snapshot. Only reads; decides nothing."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row

from orchestrator.database import Connection
from orchestrator.errors import DatabaseUnreachable, LockNotAcquired, StatementFailed
from orchestrator.postgres.assemble import Assembly
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key

#: Everything that PostgreSQL's deparser looks at, pinned, so that equal objects have equal texts everywhere.
_PINNED = {
    "search_path": "",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "quote_all_identifiers": "off",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "lock_timeout": "5s",
}

#: What the deparser says when an object vanished between two queries: internal error, undefined objects.
_MOVED = {"XX000", "42P01", "42704", "42703", "42883"}
_ATTEMPTS = 4

QUERIES = (
    "catalogs",
    "extension_members",
    "extensions",
    "schemas",
    "comments",
    "relations",
    "columns",
    "constraints",
    "indexes",
    "sequences",
    "types",
    "views",
    "functions",
    "triggers",
    "grants",
    "stated",
    "others",
    "dependencies",
    "origin",
    "traffic",
)


@cache
def _query(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return resources.files("orchestrator.postgres").joinpath(f"sql/{name}.sql").read_text()


def inspect(connection: Connection) -> Snapshot:
    """Read the whole catalogue in one repeatable-read, read-only transaction.

    The connection must not be inside a transaction; its settings are as before afterwards. PostgreSQL's
    deparser looks at the newest catalogue even there, so schema changes at this very moment can make it
    stumble: then everything is read again, a few times.

    Raises:
        LockNotAcquired: somebody holds an object of the catalogue under a strong lock.
        StatementFailed: the server refused a catalogue query; says which.
        DatabaseUnreachable: the connection was lost.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        reading = _Reading()
        try:
            return Assembly(reading.rows_of(connection)).snapshot()
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise DatabaseUnreachable(
                    f"the connection was lost while reading the catalogue ({reading.query})", hint="try again"
                ) from None
            if error.sqlstate == "55P03":
                raise LockNotAcquired(
                    f"reading the catalogue ({reading.query}) waited {_PINNED['lock_timeout']} for a lock",
                    hint="somebody changes the schema at this moment: try again when that is done",
                ) from None
            if attempt == _ATTEMPTS or error.sqlstate not in _MOVED:
                raise StatementFailed(
                    f"the catalogue query '{reading.query}' was refused ({error.sqlstate}): "
                    f"{error.diag.message_primary or error}",
                    hint="the role must be able to read the catalogue; PostgreSQL 15 or later is needed",
                ) from None
    raise AssertionError("unreachable")


def inspect_writes(connection: Connection) -> Mapping[Key, float]:
    """Rows written per second, by table, as this server's statistics count them.

    Raises:
        StatementFailed: the server refused the question, or the connection was lost.
    """
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(_query("traffic").encode()).fetchall()
    except psycopg.Error as error:
        raise StatementFailed(f"the traffic of the tables could not be read ({error.sqlstate})") from None
    return {Key("table", (row["schema"], row["name"])): row["writes"] for row in rows}


class _Reading:
    """One reading of all queries; ``query`` is the one under way."""

    def __init__(self) -> None:
        self.query = "transaction"

    def rows_of(self, connection: Connection) -> dict[str, list[dict[str, Any]]]:
        rows: dict[str, list[dict[str, Any]]] = {"system": []}
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            for setting, value in _PINNED.items():
                cursor.execute("select pg_catalog.set_config(%s, %s, true)", (setting, value))
            for self.query in QUERIES:
                rows[self.query] = cursor.execute(_query(self.query).encode()).fetchall()
            if rows["origin"][0]["knows_system"]:
                self.query = "system"
                rows["system"] = cursor.execute(_query("system").encode()).fetchall()
        return rows
