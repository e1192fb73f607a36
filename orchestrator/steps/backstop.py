"""Neon's own end of a preview's branch: set, moved on, taken away for a while. What survives when nothing of ours runs.

Touches Neon. Neon takes at most 30 days, gives a branch that expires no children, and ends one that has children never.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from neon_client import NeonClient
from neon_client.errors import NotFound
from orchestrator.steps.border import translating

#: Ours discards first; Neon's comes when nobody of ours did.
GRACE = timedelta(days=1)
#: Neon's limit, less what clocks may differ.
LONGEST = timedelta(days=30) - timedelta(hours=1)
#: A branch whose end is nearer than this was about to end anyway.
_SOON = timedelta(minutes=10)


def backstop(expires_at: datetime | None, now: datetime | None = None) -> datetime | None:
    """When Neon is to end the branch of a preview that expires then; None: never."""
    if expires_at is None:
        return None
    now = now or datetime.now(UTC)
    return min(max(expires_at, now) + GRACE, now + LONGEST).replace(microsecond=0)


def throwaway_end() -> datetime:
    """When Neon is to end a branch that is made for a few minutes."""
    return (datetime.now(UTC) + GRACE).replace(microsecond=0)


@contextmanager
def lending(neon: NeonClient, project_id: str, branch_id: str) -> Iterator[None]:
    """For a block, let the branch have children; its end is set again after it."""
    with translating(f"letting branch {branch_id} have children"):
        ends = neon.branch(project_id, branch_id).expires_at
        if ends is not None:
            neon.update_branch(project_id, branch_id, never_expires=True)
    try:
        yield
    finally:
        if ends is not None:
            with translating(f"setting the end of branch {branch_id} again"):
                set_end(neon, project_id, branch_id, max(ends, datetime.now(UTC) + _SOON))


def set_end(neon: NeonClient, project_id: str, branch_id: str, ends: datetime | None) -> None:
    """Set when Neon ends a branch; None: never. One that is gone is fine. Raises NeonError."""
    try:
        neon.update_branch(project_id, branch_id, expires_at=ends, never_expires=ends is None)
    except NotFound:
        return
