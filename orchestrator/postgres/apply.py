"""Apply: the only executor of a plan. Knows nothing of how plans are made, nor of previews."""

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import psycopg
from psycopg import errors, sql

from orchestrator.database import Connection
from orchestrator.errors import DatabaseUnreachable, LockNotAcquired
from orchestrator.migration.own import LEDGER
from orchestrator.migration.plan import Plan, Statement
from orchestrator.postgres.aside import stand_aside
from orchestrator.postgres.batches import Place, in_batches
from orchestrator.postgres.blockers import Blocker, blockers
from orchestrator.postgres.care import Care
from orchestrator.postgres.kept import forget, prepare, remember
from orchestrator.postgres.observer import SILENT, Observer
from orchestrator.postgres.ours import is_there, uses
from orchestrator.postgres.refusals import translated
from orchestrator.postgres.repeated import until_none
from orchestrator.postgres.trace import StatementTrace, Tracer, temp_bytes
from orchestrator.postgres.watch import Watch

#: How often a group is tried, and the longest pause between two tries in seconds (reference/migration.md, 7.2).
ATTEMPTS = 12
_LONGEST_PAUSE = 10.0
#: How long a transaction may hold its locks while nothing runs in it, milliseconds: our machine may be gone without a
#: word, or stand still, and everybody would wait for it.
IDLE_MS = 20_000
#: How long taking away what is half made may wait for a lock, milliseconds; the next plan does it otherwise.
_TIDY_MS = 5_000

_NAME = r'"(?:[^"]|"")*"|[^\W\d]\w*'
_BUILD = re.compile(rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?P<name>{_NAME}) ON (?P<schema>{_NAME})\.")


def apply(
    connect: Callable[[], Connection],
    plan: Plan,
    *,
    observer: Observer = SILENT,
    attempts: int = ATTEMPTS,
    pause: Callable[[float], None] = time.sleep,
    promotion: str = "",
    care: Care | None = None,
) -> tuple[StatementTrace, ...]:
    """Apply a plan, group by group; each group is all or nothing, and every statement has its time-outs.

    Only a lock that was not granted (55P03), a deadlock (40P01), a statement that made others wait too long and
    a connection lost before COMMIT are tried again: the whole group, after a pause that grows and is never the same
    twice. Killed or interrupted anywhere, it leaves whole groups done; inspecting and planning again gives exactly
    the rest. Ctrl-C cancels the statement and takes away an index that is half built.

    Args:
        connect: opens a connection to the direct (unpooled) URL in autocommit mode; closed again here.
        plan: what to do.
        observer: told before and after each statement and before each pause.
        attempts: how often one group is tried, at least 1.
        pause: sleeps that many seconds.
        promotion: written beside what is set aside.
        care: where others work: how long they may wait because of a statement, and whom it may send away. None:
            nobody else is there.

    Returns:
        One trace for each statement, in order.

    Raises:
        LockNotAcquired: a lock was not granted in all attempts, or others waited too long in each; says who holds it.
            Nothing of its group is done.
        StatementFailed: the server refused a statement; nothing of its group is done.
        Refused: our own tables there are not ours; nothing of the group is done.
        DatabaseUnreachable: the connection was lost while committing or outside of a transaction: the group may
            or may not be done. Inspect and plan again.
    """
    groups = [
        list(found)
        for _, found in itertools.groupby(enumerate(plan.statements), key=lambda each: each[1].group)
    ]
    traces: list[StatementTrace] = []
    with Watch(connect, observer, care) as watch:
        run = _Run(
            connect=connect, total=len(plan.statements), observer=observer, promotion=promotion, watch=watch
        )
        try:
            for group in groups:
                traces.extend(_persist(run, group, attempts=attempts, pause=pause))
        finally:
            run.close()
    return tuple(traces)


Group = Sequence[tuple[int, Statement]]


class _Run:
    """One connection, opened when needed and again after a loss."""

    def __init__(
        self,
        *,
        connect: Callable[[], Connection],
        total: int,
        observer: Observer,
        promotion: str,
        watch: Watch,
    ) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self.total = total
        self.observer = observer
        self.promotion = promotion
        self.watch = watch
        self.places: dict[int, Place] = {}
        self.at: tuple[int, Statement] | None = None
        self.committing = False

    @property
    def connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            _notice_a_death(self._connection)
            _set(self._connection, "idle_in_transaction_session_timeout", f"{IDLE_MS}ms", local=False)
            if self.promotion:
                _set(self._connection, "preview.promotion", self.promotion, local=False)
        return self._connection

    @property
    def lost(self) -> bool:
        return self._connection is not None and (self._connection.closed or self._connection.broken)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def lock_timeout_ms(self, statement: Statement, held: Sequence[Statement] = ()) -> int:
        """How long to wait for its lock.

        Where nobody can see who waits behind us, or where others may wait for a lock that we hold meanwhile, no longer
        than they may: else the server would find a deadlock, and end theirs.
        """
        budget, strong = self.watch.budget_ms, statement.lock.blocks_writes
        holds = len(statement.lock_on) > 1 or any(each.lock.blocks_writes for each in held)
        if budget and strong and (holds or self.watch.blind):
            return min(statement.lock_timeout_ms, budget)
        return statement.lock_timeout_ms

    def seen(self, trace: StatementTrace) -> StatementTrace:
        """The trace with who waited because of its statement."""
        waits = self.watch.waits(trace.index)
        return replace(trace, waited_ms=waits.longest_ms, waiters=waits.sessions)

    def _stand_aside(self, connection: Connection, group: Group) -> None:
        """Where others work: let maintenance of the tables end before we ask for locks that visitors wait behind."""
        if not self.watch.budget_ms:
            return
        first = {
            table: (index, statement)
            for index, statement in reversed(group)
            if statement.lock.blocks_writes
            for table in statement.lock_on
        }
        stand_aside(connection, first, lambda table, reason: self.observer.held_up(*first[table], reason))

    def transaction(self, group: Group) -> Iterator[StatementTrace]:
        """One group in one transaction."""
        connection = self.connection
        self.committing = False
        if any(statement.keeps for _, statement in group):
            prepare(connection)
        self.at = group[0]
        with connection.transaction():
            self._stand_aside(connection, group)
            _set(connection, "check_function_bodies", "off", local=True)
            _set(connection, "client_min_messages", "debug1", local=True)
            given: tuple[int, int] | None = None
            done: list[Statement] = []  # whose locks are held
            with Tracer(connection) as tracer:
                for index, statement in group:
                    self.at = (index, statement)
                    self.observer.started(index, statement)
                    wanted = (self.lock_timeout_ms(statement, done), statement.statement_timeout_ms)
                    if wanted != given:  # others wait: no word more than is needed
                        _time_outs(connection, *wanted, local=True)
                        given = wanted
                    with self.watch.over(index, statement, connection.info.backend_pid, group=done):
                        trace = tracer.run(index, statement.sql, in_transaction=True)
                    done.append(statement)
                    trace = self.seen(trace)
                    if statement.keeps:
                        remember(connection, statement.keeps)
                    if statement.forgets:
                        forget(connection, statement.forgets)
                    self.observer.finished(index, statement, trace)
                    yield trace
            self.committing = True
        self.committing = False

    def repeated(self, index: int, statement: Statement) -> StatementTrace:
        """A person's own statement until it changes no row; what a try that gave up has done stays done."""
        self.at = (index, statement)
        self.committing = False
        self.observer.started(index, statement)
        limits = (self.lock_timeout_ms(statement), statement.statement_timeout_ms)
        with self.watch.over(index, statement, self.connection.info.backend_pid):
            trace = until_none(
                self.connection,
                (index, self.total, statement),
                lambda connection: _time_outs(connection, *limits, local=True),
                lambda rows: self.observer.batch(index, statement, rows),
            )
        trace = self.seen(trace)
        self.observer.finished(index, statement, trace)
        return trace

    def alone(self, index: int, statement: Statement) -> StatementTrace:
        """One statement outside of a transaction; what its interrupted forerunner left is removed first."""
        connection = self.connection
        self.at = (index, statement)
        self.observer.started(index, statement)
        limits = (self.lock_timeout_ms(statement), statement.statement_timeout_ms)
        _time_outs(connection, *limits, local=False)
        try:
            if statement.by_blocks:
                place = self.places.setdefault(index, Place())
                with self.watch.over(index, statement, connection.info.backend_pid):
                    trace = in_batches(
                        connection,
                        index,
                        statement,
                        lambda *far: self.observer.progress(index, statement, *far),
                        place=place,
                        waited=lambda: self.watch.waits(index).longest_ms,
                    )
            else:
                remove_invalid(connection, statement.sql)
                with (
                    Tracer(connection, watch=self._connect) as tracer,
                    self.watch.over(index, statement, connection.info.backend_pid),
                ):
                    trace = tracer.run(index, statement.sql, in_transaction=False)
            trace = self.seen(trace)
        finally:
            try:
                _time_outs(connection, 0, 0, local=False)  # not what the role may have by default
            except psycopg.Error:
                # Lost, or Ctrl-C came between a question and its answer: what is on its way says what happened.
                connection.close()
        self.observer.finished(index, statement, trace)
        return trace


def _once(run: _Run, group: Group) -> list[StatementTrace]:
    """One try of one group, with the temporary files that it wrote."""
    if any(uses(statement.sql) for _, statement in group):
        is_there(run.connection, LEDGER)
    before = temp_bytes(run.connection)
    if group[0][1].batch:
        traces = [run.repeated(index, statement) for index, statement in group]
    elif group[0][1].transactional:
        traces = list(run.transaction(group))
    else:
        traces = [run.alone(index, statement) for index, statement in group]
    after = None if run.lost else temp_bytes(run.connection)
    written = after - before if after is not None and before is not None else 0
    return [*traces[:-1], replace(traces[-1], temp_bytes=max(0, written))]


def _persist(
    run: _Run, group: Group, *, attempts: int, pause: Callable[[float], None]
) -> list[StatementTrace]:
    """Try one group until it is done, refused, or tried often enough."""
    transactional = group[0][1].transactional
    attempt = 0
    while True:
        attempt += 1
        try:
            return _once(run, group)
        except KeyboardInterrupt:
            _tidy(run, (run.at or group[0])[1])
            raise
        except psycopg.Error as error:
            if _may_pass(run, error):
                index, statement = run.at or group[0]
                who = blockers(run.connection, statement)
                if attempt >= attempts:
                    _tidy(run, statement)
                    raise _not_acquired(run, attempt, who, error) from None
                seconds = random.uniform(0.05, min(_LONGEST_PAUSE, 0.1 * 2**attempt))  # noqa: S311 - jitter
                gave_up = "" if error.sqlstate != "57014" else f"gave way, {_waited(run, index)}; "
                reason = f"try {attempt} of {attempts}: {gave_up}in the way: {_named(who)}"
                run.observer.waiting(index, statement, reason)
                pause(seconds)
                continue
            index, statement = run.at or group[0]
            if not run.lost:
                _tidy(run, statement)
                raise translated(error, index=index, total=run.total, statement=statement) from None
            # Batches may be done again from the first block: what is done already is passed over.
            once = not transactional and not group[0][1].by_blocks
            # The server said itself that it gave the transaction up, because nothing came for so long.
            given_up = isinstance(error, errors.IdleInTransactionSessionTimeout)
            in_doubt = (run.committing and not given_up) or once
            if in_doubt or attempt >= attempts:
                raise _lost(index, run.total, in_doubt=in_doubt) from None
            pause(random.uniform(0.05, min(_LONGEST_PAUSE, 0.1 * 2**attempt)))  # noqa: S311 - jitter


def _may_pass(run: _Run, error: psycopg.Error) -> bool:
    """Whether trying again is worth it: somebody was in the way, or we were in somebody's."""
    if isinstance(error, (errors.LockNotAvailable, errors.DeadlockDetected)):
        return True
    return isinstance(error, errors.QueryCanceled) and not run.lost and run.watch.gave_up()


def _waited(run: _Run, index: int) -> str:
    waits = run.watch.waits(index)
    return f"because {waits.sessions} session{'s' * (waits.sessions != 1)} waited up to {waits.longest_ms:.0f} ms"


def remove_invalid(connection: Connection, text: str) -> bool:
    """Before CREATE INDEX CONCURRENTLY: drop an INVALID index of that name; says whether there was one."""
    match = _BUILD.match(text)
    if match is None:
        return False
    schema, name = (_unquoted(match[each]) for each in ("schema", "name"))
    row = connection.execute(
        "select 1 from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid"
        " join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s and not i.indisvalid",
        (schema, name),
    ).fetchone()
    if row is None:
        return False
    connection.execute(sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(schema, name)))
    return True


def _tidy(run: _Run, statement: Statement) -> None:
    """A failed CONCURRENTLY leaves an INVALID index that costs every write: take it away if that can be done now."""
    if statement.transactional or run.lost:
        return
    try:
        _time_outs(run.connection, _TIDY_MS, 0, local=False)
        remove_invalid(run.connection, statement.sql)
    except psycopg.Error:
        pass  # the next plan sees it and removes it first


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _set(connection: Connection, name: str, value: str, *, local: bool) -> None:
    connection.execute("select pg_catalog.set_config(%s, %s, %s)", (name, value, local))


def _notice_a_death(connection: Connection) -> None:
    """Let the server end what this process began soon after it is dead, not when the statement is through."""
    with suppress(psycopg.Error):  # not every platform of a server can look at a connection
        _set(connection, "client_connection_check_interval", "250ms", local=False)


def _time_outs(connection: Connection, lock_ms: int, statement_ms: int, *, local: bool) -> None:
    connection.execute(
        "select pg_catalog.set_config('lock_timeout', %s, %s), pg_catalog.set_config('statement_timeout', %s, %s)",
        (f"{lock_ms}ms", local, f"{statement_ms}ms", local),
    )


def _not_acquired(run: _Run, attempt: int, who: tuple[Blocker, ...], error: psycopg.Error) -> LockNotAcquired:
    assert run.at is not None  # noqa: S101 - something failed
    index, statement = run.at
    on = f" on {', '.join(statement.lock_on)}" if statement.lock_on else ""
    if error.sqlstate == "57014":
        return LockNotAcquired(
            f"statement {index + 1} of {run.total}{on} made others wait too long in {attempt} tries,"
            f" {_waited(run, index)} (promote.budget_ms is {run.watch.budget_ms}); in the way: {_named(who)}",
            hint="run the same command again when the table is quieter, or allow more by promote.budget_ms",
        )
    what = "ran into a deadlock" if error.sqlstate == "40P01" else "did not get its lock"
    return LockNotAcquired(
        f"statement {index + 1} of {run.total} {what}{on} in {attempt} tries of"
        f" {run.lock_timeout_ms(statement)} ms; in the way: {_named(who)}",
        hint="end that session, or wait until it is done, and run the same command again",
    )


def _named(who: tuple[Blocker, ...]) -> str:
    return "; ".join(map(str, who)) or "nobody any more, at the moment of looking"


def _lost(index: int, total: int, *, in_doubt: bool) -> DatabaseUnreachable:
    doubt = "; whether it is done must be looked at" if in_doubt else ""
    return DatabaseUnreachable(
        f"the connection was lost at statement {index + 1} of {total}{doubt}",
        hint="run the same command again: it looks at what is there and does only the rest",
    )
