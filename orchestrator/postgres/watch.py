"""The watch: a session of its own that sees who waits because of a statement, who it waits for, and how far it is.

It only looks, with two exceptions: it cancels our own statement when others have waited longer than the budget, and it
ends a session that stands in the way where the settings allow that. It changes no object.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import psycopg

from orchestrator.database import Connection
from orchestrator.errors import OrchestratorError
from orchestrator.migration.plan import Statement
from orchestrator.postgres.blockers import Blocker, in_the_way
from orchestrator.postgres.care import Care, Waits
from orchestrator.postgres.progress import by_time, progress_of

#: Seconds between two looks; and between two words about progress, or about the same blockers.
_EVERY, _TELL_EVERY = 0.025, 1.0
#: Without anybody to care for (a rehearsal), a statement must take so long before a second session is opened, seconds.
_PATIENCE = 0.5
#: A cancel that is on its way may still hit what comes after, for so long, seconds.
_CANCEL_ECHO = 5.0

# pg_blocking_pids() names who holds the lock and who stands before a waiter in the line (Postgres docs, 9.27).
_WAITERS = """
select w.pid, coalesce(extract(epoch from pg_catalog.clock_timestamp() - w.since), 0)::float8 * 1000::float8
from (select l.pid, min(l.waitstart) as since from pg_catalog.pg_locks l
      where not l.granted and l.pid <> %(pid)s group by l.pid) w
join pg_catalog.pg_stat_activity a on a.pid = w.pid and a.backend_type = 'client backend'
where %(pid)s = any (pg_catalog.pg_blocking_pids(w.pid))
"""
_WE_WAIT = "select exists (select from pg_catalog.pg_locks where pid = %s and not granted)"
_END = "select pg_catalog.pg_terminate_backend(%s)"
_CANCEL = "select pg_catalog.pg_cancel_backend(%s)"

#: Hazards that say beforehand that others will wait while the statement works.
_BLOCKING = frozenset({"blocks_reads", "blocks_writes"})


class Listener(Protocol):
    """Who is told, in the watch's thread."""

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        """So many of so many parts are done."""

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        """It waits, inside of a try; the reason names who is in the way."""


@dataclass(slots=True)
class _Running:
    """One statement under way.

    Attributes:
        bound: whether the budget counts while it works, not only while it stands in line.
    """

    index: int
    statement: Statement
    pid: int
    bound: bool
    since: float = field(default_factory=time.monotonic)
    told: float = 0.0
    named: tuple[int, ...] = ()
    named_at: float = 0.0
    cancelled: bool = False


@dataclass(slots=True)
class _Seen:
    """What was seen of one statement's waiters."""

    longest_ms: float = 0.0
    sessions: set[int] = field(default_factory=set)


class Watch:
    """Watches one statement at a time, in a thread.

    Args:
        connect: opens a session; none to spare means that nothing is watched.
        listener: told about progress and blockers, in the watch's thread.
        care: what is asked for; None: nobody else works there, only progress is told.
    """

    def __init__(self, connect: Callable[[], Connection], listener: Listener, care: Care | None) -> None:
        self._connect = connect
        self._listener = listener
        self._care = care
        self._connection: Connection | None = None
        self._running: _Running | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._over = False
        self._seen: dict[int, _Seen] = {}
        self._in_the_way: dict[int, float] = {}
        self._cancelled_at = 0.0
        self._blind_until = 0.0
        self._thread = threading.Thread(target=self._watch, name="apply-watch", daemon=True)

    def __enter__(self) -> Self:
        if self._care is not None:
            self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._over = True
        self._wake.set()
        self._thread.join(timeout=10)
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()

    @property
    def budget_ms(self) -> int:
        """How long others may wait, milliseconds."""
        return self._care.budget_ms if self._care is not None else 0

    @property
    def blind(self) -> bool:
        """Whether there is somebody to care for and no session to see them with."""
        return self._care is not None and (self._connection is None or self._connection.closed)

    @contextmanager
    def over(
        self, index: int, statement: Statement, pid: int, *, group: Sequence[Statement] = ()
    ) -> Iterator[None]:
        """Watch a statement for a block; ``group`` are those whose locks are held meanwhile."""
        self._begin(index, statement, pid, group)
        try:
            yield
        finally:
            self._end_of_it()

    def _begin(self, index: int, statement: Statement, pid: int, group: Sequence[Statement]) -> None:
        known = {hazard.code for each in (statement, *group) for hazard in each.hazards}
        held = any(each.lock.blocks_writes for each in (statement, *group))
        with self._lock:
            self._running = _Running(
                index=index, statement=statement, pid=pid, bound=held and not known & _BLOCKING
            )
        self._wake.set()

    def _end_of_it(self) -> None:
        """It is done, or failed: nothing is cancelled from here on."""
        with self._lock:
            self._running = None
            self._wake.clear()

    def gave_up(self) -> bool:
        """Whether a cancelled statement was cancelled by us, because others waited."""
        return time.monotonic() - self._cancelled_at < _CANCEL_ECHO

    def waits(self, index: int) -> Waits:
        """Who waited because of a statement, so far."""
        seen = self._seen.get(index, _Seen())
        return Waits(longest_ms=round(seen.longest_ms, 1), sessions=len(seen.sessions))

    # in the thread

    def _watch(self) -> None:
        while not self._over:
            self._wake.wait()
            running = self._running
            if running is None or self._over:
                continue
            if self._care is None and time.monotonic() - running.since < _PATIENCE:
                time.sleep(_EVERY)
                continue
            try:
                if self._connection is None or self._connection.closed:
                    self._look()
                if self._connection is not None:
                    self._one_look(self._connection, running)
            except psycopg.Error:
                self._lose()
            time.sleep(_EVERY)

    def _look(self) -> None:
        if time.monotonic() < self._blind_until:
            return
        try:
            self._connection = self._connect()
        except (psycopg.Error, OrchestratorError):
            self._lose()

    def _lose(self) -> None:
        """No session: what is done matters more; another try in a while."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
        self._blind_until = time.monotonic() + 2.0

    def _one_look(self, connection: Connection, running: _Running) -> None:
        row = connection.execute(_WE_WAIT, (running.pid,)).fetchone()
        waiting = bool(row and row[0])
        if self._care is not None:
            self._others(connection, running, self._care, waiting=waiting)
        if waiting:
            self._blockers(connection, running)
        elif not running.statement.by_blocks:
            self._tell(connection, running)

    def _others(self, connection: Connection, running: _Running, care: Care, *, waiting: bool) -> None:
        """Those who wait because of us; when it is too long, our statement goes back to the end of the line."""
        longest = 0.0
        seen = self._seen.setdefault(running.index, _Seen())
        for pid, milliseconds in connection.execute(_WAITERS, {"pid": running.pid}).fetchall():
            longest = max(longest, milliseconds)
            seen.sessions.add(pid)
        seen.longest_ms = max(seen.longest_ms, longest)
        # What a person's own statement locks is not known: in a line it is taken for strong.
        strong = running.statement.lock.blocks_writes or bool(running.statement.source)
        if longest < care.budget_ms or running.cancelled or not (running.bound or (waiting and strong)):
            return
        with self._lock:
            # Only while it is still this statement: who begins and ends one takes the same lock.
            if self._running is running:
                running.cancelled = True
                self._cancelled_at = time.monotonic()
                connection.execute(_CANCEL, (running.pid,))

    def _blockers(self, connection: Connection, running: _Running) -> None:
        """Name who is in the way; end them where that is allowed and they have been there long enough."""
        found = in_the_way(connection, running.pid)
        now = time.monotonic()
        pids = tuple(each.pid for each in found)
        self._in_the_way = {pid: self._in_the_way.get(pid, now) for pid in pids}
        for each in found:
            if self._may_end(each, now - self._in_the_way[each.pid]):
                self._end(connection, running, each)
        long_enough = now - running.since > _TELL_EVERY / 2
        if found and long_enough and (pids != running.named or now - running.named_at > 5 * _TELL_EVERY):
            running.named, running.named_at = pids, now
            names = "; ".join(map(str, found))
            self._listener.held_up(running.index, running.statement, f"in the way: {names}")

    def _may_end(self, blocker: Blocker, seconds: float) -> bool:
        care = self._care
        if care is None or blocker.pid <= 0 or seconds * 1000 < care.terminate_after_ms:
            return False
        return (
            ("any" in care.terminate and not blocker.background)
            or ("idle_in_transaction" in care.terminate and blocker.state.startswith("idle in transaction"))
            or ("autovacuum" in care.terminate and blocker.application == "autovacuum")
        )

    def _end(self, connection: Connection, running: _Running, blocker: Blocker) -> None:
        try:
            connection.execute(_END, (blocker.pid,))
            said = f"ended {blocker}, which stood in the way"
        except psycopg.errors.InsufficientPrivilege:
            said = f"may not end {blocker}"
        self._listener.held_up(running.index, running.statement, said)

    def _tell(self, connection: Connection, running: _Running) -> None:
        now = time.monotonic()
        if now - running.since < _PATIENCE or now - running.told < _TELL_EVERY:
            return
        running.told = now
        done = progress_of(connection, running.pid)
        if done is None and self._care is not None:
            expected = self._care.expected.get(running.statement.sql, 0.0)
            done = by_time((now - running.since) * 1000, expected) if expected > 1000 * _PATIENCE else None
        if done is not None:
            self._listener.progress(running.index, running.statement, done, 1000)
