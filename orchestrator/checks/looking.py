"""How every check looks at a database: a read-only transaction with time limits, and reasons without row values.

Never writes; knows no plan and no single check.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from orchestrator.checks.report import Finding, Severity
from orchestrator.database import ROWS_HIDDEN, Connection, hides_rows
from orchestrator.errors import OrchestratorError

#: How long one query of a check may run, milliseconds, unless the caller says otherwise.
STATEMENT_TIMEOUT_MS = 60_000

#: SQLSTATE classes whose messages repeat values of rows (Postgres docs, appendix A): 22 data, 23 constraints.
_TELL_VALUES = ("22", "23")

#: Settings that change how values are written as text; pinned, so that two looks write the same value alike.
_PINNED = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "lock_timeout": "2s",
}


@contextmanager
def looking(connection: Connection, *, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Iterator[Connection]:
    """A read-only transaction that is always rolled back; a savepoint when one is open already.

    PostgreSQL itself refuses every write inside (docs, SET TRANSACTION), also in functions that a query calls.

    Args:
        connection: any open connection.
        timeout_ms: statement_timeout for each query, milliseconds; 0 is no limit.
    """
    with connection.transaction(force_rollback=True):
        connection.execute("set transaction read only")
        connection.execute("select pg_catalog.set_config('statement_timeout', %s, true)", (str(timeout_ms),))
        for name, value in _PINNED.items():
            connection.execute("select pg_catalog.set_config(%s, %s, true)", (name, value))
        yield connection


def ask(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    """The rows of one query that came from elsewhere (a plan); at most one statement is accepted.

    A result in binary makes psycopg use the extended protocol, which refuses ``commit; delete ...`` (Postgres docs,
    protocol-flow): else two statements could leave the read-only transaction.
    """
    return connection.execute(query.encode(), binary=True).fetchall()


def reason(error: Exception) -> str:
    """Why a look failed, for a finding: the server's words where they hold no row values, else what kind it was."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "it took too long and was stopped"
    if isinstance(error, psycopg.Error):
        kind = type(error).__name__
        if error.sqlstate is None:
            return "the connection was lost"
        primary = error.diag.message_primary
        if error.sqlstate.startswith(_TELL_VALUES) or not primary:
            return f"PostgreSQL says {kind} ({error.sqlstate})"
        said = f"PostgreSQL says: {primary} ({error.sqlstate})"
        return f"{said}; {ROWS_HIDDEN}" if hides_rows(error) else said
    if isinstance(error, OrchestratorError):
        return error.message
    return f"the check itself failed ({type(error).__name__})"


def not_looked_at(check: str, subject: str, why: str) -> Finding:
    """The finding for what was not looked at (DESIGN, rule 9); its severity says that, its message why."""
    return Finding(check=check, severity=Severity.NOT_LOOKED_AT, subject=subject, message=why)
