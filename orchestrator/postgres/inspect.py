"""Inspect: read a database's whole catalogue as one Snapshot. Only reads; decides nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from orchestrator.database import Connection
from orchestrator.errors import StatementFailed
from orchestrator.migration.keeping import Kept
from orchestrator.postgres.assemble import Assembly
from orchestrator.postgres.reading import ATTEMPTS, Reading, query, without_cycles
from orchestrator.postgres.returning import as_before, showing
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key

QUERIES = (
    "catalogs",
    "extension_members",
    "extensions",
    "schemas",
    "comments",
    "relations",
    "columns",
    "constraints",
    "not_nulls",
    "indexes",
    "sequences",
    "types",
    "views",
    "functions",
    "triggers",
    "privileges",
    "default_privileges",
    "system_privileges",
    "stated",
    "operators",
    "text_search",
    "publications",
    "foreign",
    "others",
    "guard",
    "uncompared",
    "kept",
    "dependencies",
    "origin",
    "traffic",
)


def inspect(connection: Connection, *, returning: Sequence[Kept] = ()) -> Snapshot:
    """Read the whole catalogue in one repeatable-read, read-only transaction.

    The connection must not be inside a transaction; its settings are as before afterwards. PostgreSQL's
    deparser looks at the newest catalogue even there, so schema changes at this very moment can make it
    stumble: then everything is read again, a few times.

    Args:
        connection: what is read.
        returning: things that are set aside: they are read as if they had their names back.

    Raises:
        LockNotAcquired: somebody holds an object of the catalogue under a strong lock.
        StatementFailed: the server refused a catalogue query; says which.
        DatabaseUnreachable: the connection was lost.
    """
    for attempt in range(1, ATTEMPTS + 1):
        reading = Reading(connection)
        try:
            with without_cycles():
                with reading.open():
                    rows = everything(reading, showing(returning) if returning else None)
                    if returning:
                        rows = {name: as_before(name, each, returning) for name, each in rows.items()}
                return Assembly(rows).snapshot()
        except psycopg.Error as error:
            reading.explain(error, attempt)
    raise AssertionError("unreachable")


def everything(
    reading: Reading, narrowed: Mapping[str, str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The rows of all queries by the query's name; ``narrowed`` holds texts that are asked in place of some."""
    texts = narrowed or {}
    rows = {name: reading.rows(name, texts.get(name)) for name in QUERIES}
    rows["system"] = reading.rows("system") if rows["origin"][0]["knows_system"] else []
    return rows


def inspect_writes(connection: Connection) -> Mapping[Key, float]:
    """Rows written per second, by table, as this server's statistics count them.

    Raises:
        StatementFailed: the server refused the question, or the connection was lost.
    """
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("traffic").encode()).fetchall()
    except psycopg.Error as error:
        raise StatementFailed(f"the traffic of the tables could not be read ({error.sqlstate})") from None
    return {Key("table", (row["schema"], row["name"])): row["writes"] for row in rows}
