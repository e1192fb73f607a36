"""What steps say of a plan while and after they apply it: lines, names, JSON. Touches nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.migration.plan import Plan, Statement
from orchestrator.postgres.trace import StatementTrace
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.objects import Column


class Telling:
    """An observer of apply that says which statement runs, and whom it waits for."""

    def __init__(self, plan: Plan, detail: Callable[[str], None]) -> None:
        self._total = len(plan.statements)
        self._detail = detail

    def started(self, index: int, statement: Statement) -> None:
        """A statement begins."""
        self._detail(f"{index + 1}/{self._total} {statement.why}")

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        """A statement is done."""

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        """One more batch is done."""
        self._detail(f"{index + 1}/{self._total} {statement.why}: {100 * done // max(total, 1)} %")

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        """A statement waits for somebody, inside of a try."""
        self._detail(f"{index + 1}/{self._total} {statement.why}: waits: {reason}")

    def batch(self, index: int, statement: Statement, rows: int) -> None:
        """A batch is committed."""
        self._detail(f"{index + 1}/{self._total} {statement.why}: {rows:,} rows")

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        """A statement's group will be tried again."""
        self._detail(f"{index + 1}/{self._total} {statement.why}: waits: {reason}")


def table_names(snapshot: Snapshot) -> tuple[str, ...]:
    """Every table of a snapshot, qualified and quoted as SQL needs it."""
    return tuple(key.name for key in snapshot.of_kind("table"))


def retyped(base: Snapshot, goal: Snapshot) -> dict[str, dict[str, str]]:
    """By table and column the type that the goal gives a column of the base; empty where it has none of that name."""
    found: dict[str, dict[str, str]] = {}
    for key in base.of_kind("column"):
        before, after = base.objects[key], goal.objects.get(key)
        type_ = after.type if isinstance(after, Column) else ""
        if isinstance(before, Column) and before.type != type_:
            found.setdefault(key.parent.name, {})[key.path[-1]] = type_
    return found


def plan_with_traces(plan: Plan, traces: Sequence[StatementTrace]) -> dict[str, Any]:
    """The plan's JSON with each statement's trace beside it."""
    value = plan.to_json()
    for trace in traces:
        value["statements"][trace.index]["trace"] = trace.to_json()
    return value


def rehearsed_times(plan: Mapping[str, Any]) -> dict[str, float]:
    """How long each statement took in the rehearsal, milliseconds, by its SQL; of a plan's JSON with traces."""
    return {
        each["sql"]: float(each["trace"]["milliseconds"]) for each in plan["statements"] if each.get("trace")
    }


def summary(plan: Plan) -> str:
    """One line: how many statements and hazards."""
    statements, hazards = len(plan.statements), len(plan.hazards)
    if not statements:
        return "no change: main is the goal already"
    return f"{statements} statement{'s' * (statements != 1)}, {hazards} hazard{'s' * (hazards != 1)}"
