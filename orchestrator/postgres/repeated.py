"""A person's own statement, repeated until it changes no row, each time in a transaction of its own.

Knows no plan; whoever is interrupted begins again, and goes on where the rows are.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from orchestrator.database import Connection
from orchestrator.errors import StatementFailed
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Statement
from orchestrator.postgres.trace import StatementTrace, Tracer

_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
#: So many rows more than there are may be changed (others add some meanwhile) before it counts as going round.
_SPARE = 10_000


def until_none(
    connection: Connection,
    which: tuple[int, int, Statement],
    prepare: Callable[[Connection], None],
    tell: Callable[[int], None],
) -> StatementTrace:
    """Repeat the statement until it changes nothing; the first turn is traced.

    Args:
        connection: in autocommit mode.
        which: the statement's place in the plan (from 0), how many there are, and itself.
        prepare: sets the time-outs, inside of each transaction.
        tell: gets the number of rows that are changed so far, after each commit.

    Raises:
        StatementFailed: it changes no rows by nature, or the same rows for ever.
        psycopg.Error: whatever else the server said; turns before it are committed.
    """
    index, total, statement = which
    first: StatementTrace | None = None
    milliseconds, longest, rows, turns, most = 0.0, 0.0, 0, 0, 0
    while True:
        with connection.transaction():
            prepare(connection)
            if first is None:
                with Tracer(connection) as tracer:
                    first = tracer.run(index, statement.sql, in_transaction=True)
                took, changed = first.milliseconds, first.rows
                if first.tag not in _CHANGES:
                    raise _no_batch(
                        index, total, statement, f"{first.tag} is no INSERT, UPDATE, DELETE or MERGE"
                    )
                most = _most(connection, first)
            else:
                began = time.perf_counter()
                changed = connection.execute(statement.sql.encode()).rowcount
                took = (time.perf_counter() - began) * 1000
            rows, turns = rows + changed, turns + 1
            if rows > most:
                why = f"it changed {rows:,} rows, more than there are: its WHERE must leave out what is done"
                raise _no_batch(index, total, statement, why)
        milliseconds, longest = milliseconds + took, max(longest, took)
        tell(rows)
        if changed == 0:
            return replace(
                first,
                milliseconds=round(milliseconds, 3),
                longest_ms=round(longest, 3),
                rows=rows,
                batches=turns,
            )


def _most(connection: Connection, first: StatementTrace) -> int:
    """More rows than it can ever change: all of the tables that its first turn wrote to, and some to spare."""
    count = 0
    for name in (relation for relation, mode in first.locks if mode == LockMode.ROW_EXCLUSIVE.value):
        row = connection.execute(f"select count(*) from {name}".encode()).fetchone()  # noqa: S608 - quoted by the server
        count = max(count, int(row[0]) if row else 0)
    return count + max(first.rows, 0) + _SPARE


def _no_batch(index: int, total: int, statement: Statement, why: str) -> StatementFailed:
    return StatementFailed(
        f"statement {index + 1} of {total} cannot be a batch: {why} [{statement.why}]",
        hint="batches that were done stay done; mend the file and run the same command again",
    )
