"""Applies a few quick statements at a moment that somebody chose: whatever can be done before it is done before.

Others wait while they run, so there is one try, one transaction, and no word to the server more than is needed.
Knows nothing of how plans are made, nor who waits.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg import errors

from orchestrator.database import Connection
from orchestrator.errors import DatabaseUnreachable, LockNotAcquired, OrchestratorError
from orchestrator.migration.plan import Plan, Statement
from orchestrator.postgres.aside import stand_aside
from orchestrator.postgres.blockers import blockers
from orchestrator.postgres.observer import SILENT, Observer
from orchestrator.postgres.refusals import translated
from orchestrator.postgres.trace import StatementTrace, Tracer

_LOOK_SECONDS = 0.01
#: How long it may stand still before the server takes it back, milliseconds: whoever would commit it may be frozen.
IDLE_MS = 10_000
#: Since PostgreSQL 13; the number is never used twice.
_OURS = "select pg_catalog.pg_current_xact_id_if_assigned()::text"
_STATUS = "select pg_catalog.pg_xact_status(%s::text::xid8)"


class InDoubt(DatabaseUnreachable):
    """The connection was lost at COMMIT: it is done, or nothing of it is; `committed` tells.

    Attributes:
        transaction: its number on the server.
        traces: of its statements.
    """

    def __init__(self, message: str, *, transaction: str, traces: tuple[StatementTrace, ...]) -> None:
        super().__init__(message, hint="run the same command again: it looks at what is there")
        self.transaction = transaction
        self.traces = traces


class AtOnce:
    """One transaction that is ready to be done.

    Args:
        connection: to main, in autocommit mode; closed when it is over.
        plan: its statements, all in one transaction; `lock_timeout_ms` of the first counts for each.
        observer: told before and after each statement; before all of them before anybody waits.
    """

    def __init__(self, connection: Connection, plan: Plan, *, observer: Observer = SILENT) -> None:
        self._connection = connection
        self._plan = plan
        self._observer = observer
        # What was read or written by anybody meanwhile is not asked: nobody is to wait for a figure.
        self._tracer = Tracer(connection, knows_wal=False)

    def ready(self) -> None:
        """Begin the transaction, which holds nothing that visitors wait for, on a session that has seen the tables.

        Raises:
            DatabaseUnreachable: the connection is lost.
        """
        first = self._plan.statements[0]
        limits = {
            "lock_timeout": first.lock_timeout_ms,
            "statement_timeout": first.statement_timeout_ms,
            "idle_in_transaction_session_timeout": IDLE_MS,
        }
        try:
            for index, statement in enumerate(self._plan.statements):
                self._observer.started(index, statement)
            for name, limit in limits.items():
                self._connection.execute("select pg_catalog.set_config(%s, %s, false)", (name, f"{limit}ms"))
            self._tracer.__enter__()
            self._warm()
            self._connection.execute("begin")
            stand_aside(self._connection, self._tables, lambda *_: None)
            self._tracer.look()
        except psycopg.Error as error:
            self.close()
            raise DatabaseUnreachable(
                f"the connection was lost before anything was begun: {' '.join(str(error).split())}",
                hint="run the same command again: it looks at what is there and does only the rest",
            ) from None

    @property
    def _tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for each in self._plan.statements for name in each.lock_on))

    def _warm(self) -> None:
        """Let the session read what it must know of the tables; what it may not read it learns later."""
        for name in self._tables:
            with suppress(errors.Error):
                self._connection.execute(f"select from only {name} limit 0".encode())

    def go(self, before_commit: Callable[[str], None] = lambda _: None) -> tuple[StatementTrace, ...]:
        """Do it.

        Args:
            before_commit: told the transaction's number while nothing is committed.

        Raises:
            LockNotAcquired: somebody is in the way, or the connection was lost before COMMIT; nothing is done.
            StatementFailed: the server refused a statement; nothing is done.
            InDoubt: the connection was lost at COMMIT.
        """
        traces: list[StatementTrace] = []
        index, statement, number = 0, self._plan.statements[0], ""
        try:
            for index, statement in enumerate(self._plan.statements):
                traces.append(self._tracer.run(index, statement.sql, in_transaction=True))
                self._observer.finished(index, statement, traces[-1])
            row = self._connection.execute(_OURS).fetchone()
            number = str(row[0]) if row else ""
            before_commit(number)
        except psycopg.Error as error:
            raise self._nothing_done(error, index, statement) from None
        except BaseException:
            self.close()  # what was begun ends with its session
            raise
        try:
            self._connection.execute("commit")
        except errors.IdleInTransactionSessionTimeout as error:
            raise self._nothing_done(error, index, statement) from None  # the server gave it up before
        except psycopg.Error as error:
            lost = self._connection.broken or self._connection.closed
            self.close()
            if not lost:
                raise translated(
                    error, index=index, total=len(self._plan.statements), statement=statement
                ) from None
            raise InDoubt(
                "the connection was lost at COMMIT", transaction=number, traces=tuple(traces)
            ) from None
        self.close()
        return tuple(traces)

    def close(self) -> None:
        """End the session, and with it what is not committed."""
        with suppress(psycopg.Error):
            self._connection.close()

    def _nothing_done(self, error: psycopg.Error, index: int, statement: Statement) -> OrchestratorError:
        """The error that says why; the transaction is rolled back."""
        total = len(self._plan.statements)
        where = f"statement {index + 1} of {total}"
        in_the_way: tuple[object, ...] = ()
        lost = self._connection.broken or self._connection.closed
        if not lost:
            with suppress(psycopg.Error):
                self._connection.execute("rollback")
                in_the_way = blockers(self._connection, statement)
        self.close()
        if lost:
            return LockNotAcquired(
                f"the connection was lost at {where}, before anything was committed",
                hint="run the same command again: it looks at what is there and does only the rest",
            )
        if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected | errors.QueryCanceled):
            on = f" on {', '.join(statement.lock_on)}" if statement.lock_on else ""
            named = "; ".join(map(str, in_the_way)) or "nobody any more, at the moment of looking"
            return LockNotAcquired(
                f"{where} did not get its lock{on} in {statement.lock_timeout_ms} ms; in the way: {named}",
                hint="end that session, or wait until it is done, and run the same command again",
            )
        return translated(error, index=index, total=total, statement=statement)


def committed(connection: Connection, transaction: str, *, seconds: float) -> bool:
    """Whether a transaction whose COMMIT was not answered is done; waits so long while it still goes on.

    Raises:
        DatabaseUnreachable: that could not be told in this time.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            row = connection.execute(_STATUS, (transaction,)).fetchone()
        except errors.InvalidParameterValue:
            return False  # the server, started again, has never heard of it
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            break
        if row is None or row[0] != "in progress":
            return row is not None and row[0] == "committed"
        if time.monotonic() > until:
            said = "it is still in progress"
            break
        time.sleep(_LOOK_SECONDS)
    raise DatabaseUnreachable(
        f"whether transaction {transaction} was committed cannot be told: {said}",
        hint="run the same command again: it looks at what is there and does only the rest",
    )
