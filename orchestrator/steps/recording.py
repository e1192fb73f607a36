"""What happens to the statements on main, written into the promotion's history between transactions.

Touches the store only.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from orchestrator.migration.plan import Plan, Statement
from orchestrator.postgres.trace import StatementTrace
from orchestrator.steps.telling import Telling

#: How many of a statement's waits are kept in words.
_WAITS = 5


class Recording(Telling):
    """An observer of apply that also keeps times, tries and locks of every statement that was committed.

    Nothing is written while a transaction of the plan holds locks: others would wait for our round trips.

    Args:
        plan: what is applied.
        detail: told which statement runs, and whom it waits for.
        write: appends one statement to the promotion's history.
        mark: told ``3/7`` before each transaction; raises when the turn on main is lost.
    """

    def __init__(
        self,
        plan: Plan,
        detail: Callable[[str], None],
        *,
        write: Callable[[dict[str, Any], float], None],
        mark: Callable[[str], None],
    ) -> None:
        super().__init__(plan, detail)
        self._count = len(plan.statements)
        self._write = write
        self._mark = mark
        self._group: int | None = None
        self._done: dict[int, tuple[dict[str, Any], float]] = {}
        self._began: dict[int, str] = {}
        self._tries = 1
        self._waits: list[str] = []

    def started(self, index: int, statement: Statement) -> None:
        """A statement begins; the transaction before it is committed when it is of the next one."""
        if statement.group != self._group:
            self.flush()
            self._group, self._tries, self._waits = statement.group, 1, []
            self._mark(f"{index + 1}/{self._count}")
        self._began[index] = datetime.now(UTC).isoformat(timespec="milliseconds")
        super().started(index, statement)

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        """A statement is done; its transaction may still be tried again."""
        super().finished(index, statement, trace)
        value = statement.to_json()
        kept = ("sql", "why", "lock", "lock_on", "hazards", "group", "repair", "source", "line")
        self._done[index] = (
            {
                "number": index + 1,
                **{name: value[name] for name in kept},
                "began_at": self._began[index],
                "tries": self._tries,
                "waited_for": self._waits[-_WAITS:],
                "trace": trace.to_json(),
            },
            trace.milliseconds,
        )

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        """The transaction is rolled back and will be tried again."""
        self._done.clear()
        self._tries += 1
        self._waits.append(reason)
        super().waiting(index, statement, reason)

    def flush(self) -> None:
        """Write what is committed."""
        for value, milliseconds in self._done.values():
            self._write(value, milliseconds)
        self._done.clear()
