"""Observer: who watches an apply. Touches nothing."""

from typing import Protocol

from orchestrator.migration.plan import Statement
from orchestrator.postgres.trace import StatementTrace


class Observer(Protocol):
    """Who watches an apply; called in its thread, must not raise."""

    def started(self, index: int, statement: Statement) -> None:
        """A statement is about to run; its place in the plan counts from 0."""

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        """A statement has run (its group may still be rolled back and tried again)."""

    def batch(self, index: int, statement: Statement, rows: int) -> None:
        """A batch is committed; how many rows were changed so far."""

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        """A statement's group could not be done and is tried again; the reason names who is in the way."""

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        """A statement has done so many of so many parts (blocks of its table, thousandths); from any thread."""

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        """A statement waits inside of a try; the reason names who is in the way; from another thread."""


class _Silent:
    """Watches nothing."""

    def started(self, index: int, statement: Statement) -> None:
        """Nothing."""

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        """Nothing."""

    def batch(self, index: int, statement: Statement, rows: int) -> None:
        """Nothing."""

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        """Nothing."""

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        """Nothing."""

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        """Nothing."""


SILENT: Observer = _Silent()
