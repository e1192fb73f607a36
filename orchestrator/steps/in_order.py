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
        left = len(contract.statements)
        if left:
            error.message += (
                f"; {left} statement{'s' * (left != 1)} that take{'s' * (left == 1)} away did not run, so that the "
                "earlier version goes on"
            )
        raise
    offset = len(expand.statements)
    last = apply(contract) if contract.statements else ()
    return (*traces, *(replace(trace, index=trace.index + offset) for trace in last)), released
