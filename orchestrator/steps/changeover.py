"""The change-over of a plan: renames, applied while visitors wait between two versions. Touches main's PostgreSQL."""

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import psycopg

from orchestrator.database import Connection, connect
from orchestrator.errors import DatabaseUnreachable, LockNotAcquired
from orchestrator.migration.changeover import as_today, undone
from orchestrator.migration.plan import Plan
from orchestrator.postgres import taking_back
from orchestrator.postgres.at_once import AtOnce, InDoubt, committed
from orchestrator.postgres.blockers import blockers
from orchestrator.postgres.trace import StatementTrace
from orchestrator.steps.on_main import OnMain

#: How long the change-over waits for a lock while visitors wait for it, milliseconds.
_LOCK_MS = 300
_LONGEST_PAUSE = 10.0
#: How long it is looked whether a COMMIT whose answer was lost is done: visitors wait meanwhile; and when none does.
_DOUBT_SECONDS = 2.0
_PATIENT_SECONDS = 30.0


class Prepared(Protocol):
    """One transaction that is ready; see `postgres/at_once.py`."""

    def go(self, before_commit: Callable[[str], None]) -> tuple[StatementTrace, ...]:
        """Do it."""

    def close(self) -> None:
        """Never mind."""


class Door(Protocol):
    """The way to main of one change-over."""

    def prepare(self, plan: Plan) -> tuple[Prepared, Callable[[], None]]:
        """A plan that is ready to be applied once, and what writes it into the history afterwards."""

    def connect(self, seconds: float) -> Connection:
        """A connection to main, tried so long."""

    def whereabouts(self) -> dict[str, Any]:
        """For whoever takes it back when we are dead: where main is, password included, and the turn that we had."""


class ChangeOver:
    """A change-over that is tried until nobody is in the way.

    Args:
        plan: its statements.
        door: the way to main.
        main: a connection for looking.
        attempts: how often it is tried.
        say: told whom it waits for.
    """

    #: What the watchdog runs with what it was told last, when we are killed before the later version has visitors.
    rescue = (sys.executable, "-P", taking_back.__file__)  # its folder has an inspect.py

    def __init__(
        self, plan: Plan, door: Door, main: Connection, *, attempts: int, say: Callable[[str], None]
    ) -> None:
        quick = tuple(replace(each, lock_timeout_ms=_LOCK_MS) for each in plan.statements)
        self._plan = replace(plan, statements=quick)
        self._today = as_today(self._plan)
        self._door = door
        self._prepared: Prepared | None = None
        self._write: Callable[[], None] = lambda: None
        self._write_later = self._write
        self._main = main
        self._attempts = attempts
        self._say = say
        self._tell: Callable[[str], None] = lambda _: None
        self._tried = 0
        self._transaction = ""
        self._in_doubt = False
        self._ordered: dict[str, Any] = {}
        self._traces: tuple[StatementTrace, ...] = ()

    @property
    def plan(self) -> Plan:
        """See `in_order.AsChangeOver`."""
        return self._plan

    def traces(self) -> tuple[StatementTrace, ...]:
        """See `in_order.AsChangeOver`; written into the history at the first call."""
        self._write()
        self._write = lambda: None
        return self._traces

    def ready(self) -> None:
        """Wait, in turns that grow, while somebody holds what the change-over must lock; visitors are served meanwhile.

        Raises:
            LockNotAcquired: somebody did all the time; says who. Nothing of the change-over is done.
        """
        while True:
            if self._tried:
                time.sleep(random.uniform(0.05, min(_LONGEST_PAUSE, 0.1 * 2**self._tried)))  # noqa: S311 - jitter
            who = self._in_the_way()
            if not who:
                self.never_mind()
                self._prepared, self._write_later = self._door.prepare(self._today)
                return
            self._tried += 1
            if self._tried >= self._attempts:
                raise self._given_up(who)
            self._say(
                f"{self._words()}: waits: try {self._tried} of {self._attempts}: in the way: {'; '.join(who)}"
            )

    def never_mind(self) -> None:
        """Let go of what is ready."""
        if self._prepared is not None:
            self._prepared.close()
        self._prepared = None

    def act(self, tell: Callable[[str], None] = lambda _: None) -> bool:
        """Apply it now; False when a lock was not granted.

        Args:
            tell: tells the watchdog what takes it back.

        Raises:
            DatabaseUnreachable: main was lost at COMMIT, and it cannot be told whether that is done.
        """
        assert self._prepared is not None  # noqa: S101 - `ready` made it
        self._tell = tell
        prepared, self._prepared = self._prepared, None
        try:
            self._traces = prepared.go(self._about_to_commit)
        except InDoubt as error:
            self._in_doubt = True
            if not self._is_done(_DOUBT_SECONDS):
                return self._not_now(error.message)
            self._traces = error.traces
        except LockNotAcquired as error:
            return self._not_now(error.message)
        self._write = self._write_later
        return True

    def _not_now(self, why: str) -> bool:
        self._tried += 1
        if self._tried >= self._attempts:
            raise LockNotAcquired(why, hint="run the same command again when nobody is in the way")
        self._say(f"{self._words()}: waits: try {self._tried} of {self._attempts}: {why}")
        return False

    def undo(self) -> None:
        """Take it back; nothing where it was not applied.

        Raises:
            LockNotAcquired: somebody was in the way in all tries; main has the change-over, and says so.
            DatabaseUnreachable: main, or our turn there, is lost, and stays so; the same.
        """
        self.never_mind()
        if self._in_doubt and not self._traces:
            # Nobody could tell in the moment: main is out of reach, and with it every version of the app.
            if not self._is_done(_PATIENT_SECONDS):
                return
        elif not self._traces:
            return
        self.traces()
        back = undone(self._plan)
        for tried in range(1, self._attempts + 1):
            try:
                prepared, write = self._door.prepare(back)
                prepared.go(self._about_to_take_back)
            except (LockNotAcquired, InDoubt) as error:
                if isinstance(error, InDoubt) and self._ended(error.transaction, _PATIENT_SECONDS):
                    break
                # The version that did not get healthy may hold what it has begun.
                self._say(f"{back.statements[0].why}: try {tried} of {self._attempts}: {error.message}")
                if tried >= self._attempts:
                    raise
                time.sleep(random.uniform(0.05, min(1.0, 0.1 * 2**tried)))  # noqa: S311 - jitter
                continue
            except DatabaseUnreachable as error:
                self._undo_without_turn(error)
                break
            write()
            break
        self._traces, self._in_doubt = (), False

    def _undo_without_turn(self, lost: DatabaseUnreachable) -> None:
        """Main was away, and our turn went with it: do what is done for whoever died in the middle of it."""
        self._say(f"{undone(self._plan).statements[0].why}: {lost.message}; waiting for main")
        until = time.monotonic() + _PATIENT_SECONDS
        while True:
            try:
                return taking_back.taken_back(self._ordered, until)
            except taking_back.NotTakenBack as error:
                lost.message += f"; the change-over is not taken back: {error}"
                raise lost from None
            except psycopg.Error:
                if time.monotonic() > until:
                    raise lost from None
                time.sleep(random.uniform(0.1, 1.0))  # noqa: S311 - jitter

    def now(self) -> None:
        """Apply it where nobody is asked to wait."""
        while not self._traces:
            self.ready()
            self.act()

    def _about_to_commit(self, transaction: str) -> None:
        self._transaction = transaction
        self._order()

    def _about_to_take_back(self, transaction: str) -> None:
        self._order(unless=transaction)

    def _order(self, unless: str = "") -> None:
        self._ordered = {
            **self._door.whereabouts(),
            "transaction": self._transaction,
            "unless": unless,
            "statements": [each.sql for each in undone(self._plan).statements],
        }
        self._tell(json.dumps(self._ordered))

    def _is_done(self, seconds: float) -> bool:
        """Whether the COMMIT whose answer was lost is done; it is in doubt no more."""
        done = self._ended(self._transaction, seconds)
        self._in_doubt = False
        return done

    def _ended(self, transaction: str, seconds: float) -> bool:
        with self._door.connect(seconds) as main:
            return committed(main, transaction, seconds=seconds)

    def _in_the_way(self) -> Sequence[str]:
        """Sessions with a transaction of a second or more that hold a lock in the way; younger ones come and go."""
        found = [each for statement in self._today.statements for each in blockers(self._main, statement)]
        return tuple(dict.fromkeys(str(each) for each in found if each.seconds >= 1))

    def _words(self) -> str:
        return self._plan.statements[0].why

    def _given_up(self, who: Sequence[str]) -> LockNotAcquired:
        return LockNotAcquired(
            f"{self._words()}: in the way in {self._attempts} looks: {'; '.join(who)}",
            hint="end that session, or wait until it is done, and run the same command again",
        )


class _Door:
    """See `Door`; for whoever has its turn on main."""

    def __init__(
        self, on_main: OnMain, promotion_id: str, main: Connection, purpose: str, say: Callable[[str], None]
    ) -> None:
        self._on_main = on_main
        self._promotion_id = promotion_id
        self._main = main
        self._purpose = purpose
        self._say = say
        self._uri = ""

    def prepare(self, plan: Plan) -> tuple[AtOnce, Callable[[], None]]:
        """See `Door`."""
        self._uri = self._on_main.uri()  # asks Neon: never while visitors wait
        return self._on_main.at_once(
            self._promotion_id, self._main, plan, purpose=self._purpose, detail=self._say, uri=self._uri
        )

    def connect(self, seconds: float) -> Connection:
        """See `Door`."""
        return connect(self._uri, purpose=self._purpose, patience_seconds=seconds)

    def whereabouts(self) -> dict[str, Any]:
        """See `Door`."""
        return {"uri": self._uri, "turn": self._on_main.key, "holder": self._main.info.backend_pid}


def change_over(
    on_main: OnMain, promotion_id: str, main: Connection, purpose: str, say: Callable[[str], None]
) -> Callable[[Plan], ChangeOver]:
    """What makes a change-over of statements, for a promotion or a revert that has its turn on main."""
    door = _Door(on_main, promotion_id, main, purpose, say)
    return lambda plan: ChangeOver(plan, door, main, attempts=on_main.attempts, say=say)
