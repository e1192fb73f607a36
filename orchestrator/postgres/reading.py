"""Reading the catalogue: one pinned, read-only transaction, and what its errors mean. Decides nothing about rows."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row, tuple_row

from orchestrator.database import Connection
from orchestrator.errors import DatabaseUnreachable, LockNotAcquired, StatementFailed
from orchestrator.postgres.settling import settle

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
    # Costs are misjudged for catalogues: compiling takes longer than it saves, and sorts must not go to the disk.
    "jit": "off",
    "work_mem": "32MB",
}

#: What the deparser says when an object vanished between two queries: internal error, undefined objects.
_MOVED = {"XX000", "42P01", "42704", "42703", "42883"}

#: How often everything is read before somebody's schema changes are too many.
ATTEMPTS = 4


@contextmanager
def without_cycles() -> Iterator[None]:
    """Pause the collector of cycles while many rows become many values, none of which are cycles.

    It would look at all of them again and again: a third of the time that 100,000 objects take.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@cache
def query(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return resources.files("orchestrator.postgres").joinpath(f"sql/{name}.sql").read_text()


class Reading:
    """One reading of a database's catalogue.

    Attributes:
        query: the name of the query under way, for messages.
        failed: whether PostgreSQL refused one.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.query = "transaction"
        self.failed = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """The transaction in which all is read: repeatable read, read only, with pinned settings."""
        with self._connection.transaction():
            self._connection.execute("set transaction isolation level repeatable read, read only")
            pins = ", ".join("pg_catalog.set_config(%s, %s, true)" for _ in _PINNED)
            values = [part for pair in _PINNED.items() for part in pair]
            self._connection.execute(f"select {pins}".encode(), values)
            yield

    def rows(self, name: str, text: str | None = None) -> list[dict[str, Any]]:
        """The rows of a query of ``sql/``, by column name, settled; ``text`` is asked in its place."""
        self.query = name
        try:
            with self._connection.cursor(row_factory=dict_row) as cursor:
                return settle(name, cursor.execute((text or query(name)).encode()).fetchall())
        except psycopg.Error:
            self.failed = True
            raise

    def tuples(self, name: str, text: str) -> list[tuple[Any, ...]]:
        """The rows of ``text``, a query about ``name``."""
        self.query = name
        try:
            with self._connection.cursor(row_factory=tuple_row) as cursor:
                return cursor.execute(text.encode()).fetchall()
        except psycopg.Error:
            self.failed = True
            raise

    def columns(self, name: str) -> tuple[str, ...]:
        """The names of a query's columns."""
        self.query = name
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"select * from ({query(name)}) q limit 0".encode())  # noqa: S608 - our own text
                return tuple(column.name for column in cursor.description or ())
        except psycopg.Error:
            self.failed = True
            raise

    def explain(self, error: psycopg.Error, attempt: int) -> None:
        """Say what an error means; return where reading everything once more is worth it.

        Raises:
            LockNotAcquired: somebody holds an object of the catalogue under a strong lock.
            StatementFailed: the server refused a catalogue query; says which.
            DatabaseUnreachable: the connection was lost.
        """
        if self._connection.broken or self._connection.closed:
            raise DatabaseUnreachable(
                f"the connection was lost while reading the catalogue ({self.query})", hint="try again"
            ) from None
        if error.sqlstate == "55P03":
            raise LockNotAcquired(
                f"reading the catalogue ({self.query}) waited {_PINNED['lock_timeout']} for a lock",
                hint="somebody changes the schema at this moment: try again when that is done",
            ) from None
        if attempt == ATTEMPTS or error.sqlstate not in _MOVED:
            raise StatementFailed(
                f"the catalogue query '{self.query}' was refused ({error.sqlstate}): "
                f"{error.diag.message_primary or error}",
                hint="the role must be able to read the catalogue; PostgreSQL 15 or later is needed",
            ) from None
