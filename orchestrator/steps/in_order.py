"""Schema and app in the right order: what adds, the new version of the app, what takes away. Touches nothing itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.migration.compose import halves
from orchestrator.migration.plan import Plan
from orchestrator.postgres.trace import StatementTrace


def in_order(
    plan: Plan,
    apply: Callable[[Plan], tuple[StatementTrace, ...]],
    release: Callable[[], dict[str, Any] | None],
) -> tuple[tuple[StatementTrace, ...], dict[str, Any] | None]:
    """Apply and release, so that the schema fits whichever version runs; again after any crash.

    Returns:
        The traces, by their places in the plan, and what `release` returned.

    Raises:
        OrchestratorError: of `release`, with what did not run because of it.
    """
    expand, contract = halves(plan)
    traces = apply(expand)
    try:
        released = release()
    except OrchestratorError as error:
        error.message += f"; {_what_stands(expand, contract)}"
        raise
    offset = len(expand.statements)
    last = apply(contract) if contract.statements else ()
    return (*traces, *(replace(trace, index=trace.index + offset) for trace in last)), released


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
