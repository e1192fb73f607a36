"""The change-over of a plan: renames, applied while visitors wait between two versions. Touches main's PostgreSQL."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.database import Connection
from orchestrator.errors import LockNotAcquired
from orchestrator.lifecycle import Preview
from orchestrator.migration.changeover import undone
from orchestrator.migration.plan import Plan
from orchestrator.postgres.blockers import blockers
from orchestrator.postgres.trace import StatementTrace
from orchestrator.steps.on_main import OnMain

#: How long the change-over waits for a lock while visitors wait for it, milliseconds.
_LOCK_MS = 300
_LONGEST_PAUSE = 10.0
#: Applies a plan once on a connection that is ready; gives the traces, and what writes them into the history.
AtOnce = Callable[[Plan, Connection], tuple[tuple[StatementTrace, ...], Callable[[], None]]]


class ChangeOver:
    """A change-over that is tried until nobody is in the way.

    Args:
        plan: its statements.
        apply: applies them; raises LockNotAcquired.
        connect: opens a connection to main; opened before visitors wait.
        main: another one, for looking.
        attempts: how often it is tried.
        say: told whom it waits for.
    """

    def __init__(
        self,
        plan: Plan,
        apply: AtOnce,
        connect: Callable[[], Connection],
        main: Connection,
        *,
        attempts: int,
        say: Callable[[str], None],
    ) -> None:
        quick = tuple(replace(each, lock_timeout_ms=_LOCK_MS) for each in plan.statements)
        self._plan = replace(plan, statements=quick)
        self._apply = apply
        self._connect = connect
        self._connection: Connection | None = None
        self._write: Callable[[], None] = lambda: None
        self._main = main
        self._attempts = attempts
        self._say = say
        self._tried = 0
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
                self._connection = self._connect()
                return
            self._tried += 1
            if self._tried >= self._attempts:
                raise self._given_up(who)
            self._say(
                f"{self._words()}: waits: try {self._tried} of {self._attempts}: in the way: {'; '.join(who)}"
            )

    def act(self) -> bool:
        """Apply it now; False when a lock was not granted."""
        assert self._connection is not None  # noqa: S101 - `ready` opened it
        try:
            self._traces, self._write = self._apply(self._plan, self._connection)
        except LockNotAcquired as error:
            self._tried += 1
            if self._tried >= self._attempts:
                raise
            self._say(f"{self._words()}: waits: try {self._tried} of {self._attempts}: {error.message}")
            return False
        return True

    def undo(self) -> None:
        """Take it back; nothing where it was not applied.

        Raises:
            LockNotAcquired: somebody was in the way in all tries; main has the change-over, and says so.
        """
        if not self._traces:
            return
        self.traces()
        back = undone(self._plan)
        for tried in range(1, self._attempts + 1):
            try:
                _, write = self._apply(back, self._connect())
            except LockNotAcquired as error:
                # The version that did not get healthy may hold what it has begun.
                self._say(f"{back.statements[0].why}: try {tried} of {self._attempts}: {error.message}")
                if tried >= self._attempts:
                    raise
                time.sleep(random.uniform(0.05, min(1.0, 0.1 * 2**tried)))  # noqa: S311 - jitter
                continue
            write()
            self._traces = ()
            return

    def now(self) -> None:
        """Apply it where nobody is asked to wait."""
        while not self._traces:
            self.ready()
            self.act()

    def _in_the_way(self) -> Sequence[str]:
        """Sessions with a transaction of a second or more that hold a lock in the way; younger ones come and go."""
        found = [each for statement in self._plan.statements for each in blockers(self._main, statement)]
        return tuple(dict.fromkeys(str(each) for each in found if each.seconds >= 1))

    def _words(self) -> str:
        return self._plan.statements[0].why

    def _given_up(self, who: Sequence[str]) -> LockNotAcquired:
        return LockNotAcquired(
            f"{self._words()}: in the way in {self._attempts} looks: {'; '.join(who)}",
            hint="end that session, or wait until it is done, and run the same command again",
        )


def change_over(
    on_main: OnMain, preview: Preview, main: Connection, say: Callable[[str], None]
) -> Callable[[Plan], ChangeOver]:
    """What makes a change-over of statements, for a promotion that has its turn on main."""
    purpose = f"promote {preview.name}"

    def at_once(plan: Plan, connection: Connection) -> tuple[tuple[StatementTrace, ...], Callable[[], None]]:
        return on_main.at_once(
            preview.facts["promotion_id"], main, plan, purpose=purpose, detail=say, connection=connection
        )

    return lambda plan: ChangeOver(
        plan, at_once, lambda: on_main.ready(purpose), main, attempts=on_main.attempts, say=say
    )
