"""Waiting for Neon's operations: poll the ones we were given until all ended. Knows no HTTP."""

import time
from collections.abc import Callable, Iterable

from neon_client.errors import OperationFailed, OperationTimeout
from neon_client.models import ENDED_BADLY, Operation


def wait_for(
    operations: Iterable[Operation],
    *,
    fetch: Callable[[str], Operation],
    timeout_seconds: float,
    poll_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Operation, ...]:
    """Wait until none of ``operations`` is pending; the answer is their last state, in the order given.

    The ids given are polled, never the list, which lags behind (reference: neon-api.md, section 2). A failed
    operation may be repeated by Neon, so failure is decided only when nothing else of the chain is pending.

    Raises:
        OperationFailed: one of them ended badly.
        OperationTimeout: some are pending after ``timeout_seconds``.
    """
    seen = {operation.id: operation for operation in operations}
    began = clock()
    pause = min(0.05, poll_seconds)
    while pending := [operation for operation in seen.values() if operation.pending]:
        if clock() - began > timeout_seconds:
            names = ", ".join(f"{operation.action} is {operation.status}" for operation in pending)
            raise OperationTimeout(
                f"project {pending[0].project_id}: after {timeout_seconds:.0f} s {names}",
                hint="the operation may still end; run the command again",
            )
        sleep(pause)
        pause = min(poll_seconds, pause * 1.5)
        for operation in pending:
            seen[operation.id] = fetch(operation.id)
    for operation in seen.values():
        if operation.status in ENDED_BADLY:
            about = operation.branch_id or operation.project_id
            raise OperationFailed(
                f"{operation.action} on {about} ended as {operation.status}: {operation.error or 'no reason given'}",
                action=operation.action,
                operation_id=operation.id,
                hint="run the command again; if it repeats, look at the project's operations",
            )
    return tuple(seen.values())
