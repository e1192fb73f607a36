"""Verify: look again after applying, and say what still differs. Only reads."""

from orchestrator.database import Connection
from orchestrator.migration.planner import Planned, make_plan
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.questions import Answers


def difference(connection: Connection, goal: Snapshot) -> tuple[str, ...]:
    """Inspect a database and say in sentences how it differs from the goal; empty: it is the goal.

    Raises:
        StatementFailed, DatabaseUnreachable: as inspect.
    """
    return describe_difference(inspect(connection), goal)


def remaining(connection: Connection, goal: Snapshot, *, answers: Answers | None = None) -> Planned:
    """Inspect a database and plan what is left to do; its plan is empty when nothing is.

    Raises:
        As inspect and make_plan.
    """
    return make_plan(inspect(connection), goal, answers=answers)


__all__ = ["describe_difference", "difference", "remaining"]
