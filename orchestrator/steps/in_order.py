"""Schema and app in the right order: what adds, the new version of the app, what takes away. Touches nothing itself.

Where visitors can be asked to wait for a moment, what the running version would notice happens in that moment.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from orchestrator.errors import OrchestratorError
from orchestrator.migration.changeover import thirds
from orchestrator.migration.compose import halves
from orchestrator.migration.plan import Plan
from orchestrator.postgres.trace import StatementTrace


class AsChangeOver(Protocol):
    """The change-over of a plan, to be applied between two versions of the app; see `steps/changeover.py`."""

    @property
    def plan(self) -> Plan:
        """Its statements."""

    def traces(self) -> tuple[StatementTrace, ...]:
        """What was measured, by the places in it; empty until it was applied."""


def in_order(
    plan: Plan,
    apply: Callable[[Plan], tuple[StatementTrace, ...]],
    release: Callable[[Any], dict[str, Any] | None],
    changeover: Callable[[Plan], AsChangeOver] | None = None,
) -> tuple[tuple[StatementTrace, ...], dict[str, Any] | None]:
    """Apply and release, so that the schema fits whichever version runs; again after any crash.

    Args:
        plan: all of it.
        apply: applies a part.
        release: puts the new version there; given the change-over, or None when there is none.
        changeover: makes the change-over of statements; None where nobody can be asked to wait.

    Returns:
        The traces, by their places in the plan, and what `release` returned.

    Raises:
        OrchestratorError: of `release`, with what did not run because of it.
    """
    expand, contract = halves(plan)
    change: AsChangeOver | None = None
    if changeover is not None:
        expand, middle, contract = thirds(plan)
        change = changeover(middle) if middle.statements else None
    traces = apply(expand)
    try:
        released = release(change)
    except OrchestratorError as error:
        # A change-over that could not be taken back is on main as well.
        there = [
            *expand.statements,
            *(change.plan.statements if change is not None and change.traces() else ()),
        ]
        error.message += f"; {_what_stands(replace(expand, statements=tuple(there)), contract)}"
        raise
    if change is not None:
        traces = (*traces, *_moved(change.traces(), len(expand.statements)))
    offset = len(plan.statements) - len(contract.statements)
    last = apply(contract) if contract.statements else ()
    return (*traces, *_moved(last, offset)), released


def _moved(traces: tuple[StatementTrace, ...], offset: int) -> tuple[StatementTrace, ...]:
    return tuple(replace(trace, index=trace.index + offset) for trace in traces)


def _what_stands(expand: Plan, contract: Plan) -> str:
    """What an earlier version finds that goes on because the new one does not serve."""
    left = len(contract.statements)
    unrun = (
        f"{left} statement{'s' * (left != 1)} that take{'s' * (left == 1)} away did not run" if left else ""
    )
    broken = sorted({hazard.on for hazard in expand.hazards if hazard.code == "breaks_running_code"})
    if broken:
        return "; ".join(
            filter(None, (unrun, f"the earlier version may not survive what changed: {', '.join(broken)}"))
        )
    return f"{unrun or 'nothing was taken away'}, so that the earlier version goes on"
