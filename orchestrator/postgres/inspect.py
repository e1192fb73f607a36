"""Inspect: read a database's whole catalogue as one Snapshot. Only reads; decides nothing."""

from functools import cache
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row

from orchestrator.database import Connection
from orchestrator.errors import DatabaseUnreachable, StatementFailed
from orchestrator.postgres.assemble import Assembly
from orchestrator.schema.catalog import Snapshot

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

QUERIES = (
    "catalogs",
    "extension_members",
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
    "others",
    "dependencies",
    "origin",
)


@cache
def _query(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return resources.files("orchestrator.postgres").joinpath(f"sql/{name}.sql").read_text()


def inspect(connection: Connection) -> Snapshot:
    """Read the whole catalogue in one repeatable-read, read-only transaction.

    The connection must not be inside a transaction; its settings are as before afterwards.

    Raises:
        StatementFailed: the server refused a catalogue query; says which.
        DatabaseUnreachable: the connection was lost.
    """
    name = ""
    rows: dict[str, list[dict[str, Any]]] = {}
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            for setting, value in _PINNED.items():
                cursor.execute("select pg_catalog.set_config(%s, %s, true)", (setting, value))
            for name in QUERIES:
                rows[name] = cursor.execute(_query(name).encode()).fetchall()
    except psycopg.OperationalError as error:
        if connection.broken or connection.closed:
            raise DatabaseUnreachable(
                f"the connection was lost while reading the catalogue ({name})", hint="try again"
            ) from None
        raise _refused(name, error) from None
    except psycopg.Error as error:
        raise _refused(name, error) from None
    return Assembly(rows).snapshot()


def _refused(name: str, error: psycopg.Error) -> StatementFailed:
    """A catalogue query that the server refused."""
    return StatementFailed(
        f"the catalogue query '{name}' was refused ({error.sqlstate}): {error.diag.message_primary or error}",
        hint="the role must be able to read the catalogue; PostgreSQL 14 or later is needed",
    )
