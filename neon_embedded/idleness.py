"""Who has been idle for how long, and suspending who was idle for long enough. Wakes nobody, knows no HTTP.

Neon's rule: a compute is busy while a session runs a statement or holds a transaction open; a session that only
waits does not keep it awake (its connection is closed by the suspension).
"""

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from neon_embedded.computes import postmaster_of, suspend
from neon_embedded.plane import Plane, log
from neon_embedded.postmaster import Postmaster
from neon_embedded.rows import BranchRow, EndpointRow, OperationRow

#: Neon's default for ``suspend_timeout_seconds: 0`` (reference: neon-api.md).
DEFAULT_SECONDS: Final = 300
_RAREST_SECONDS: Final = 30.0
_OFTENEST_SECONDS: Final = 0.5

#: Counters tell of sessions that came and went between two looks; our own looks are in ``postgres``, which is left out.
_LOOK: Final = """
select coalesce((select sum(sessions) || '/' || sum(xact_commit + xact_rollback) from pg_stat_database
                 where datid <> 0 and datname <> 'postgres'), ''),
       coalesce(bool_or(state is distinct from 'idle'), false),
       coalesce(extract(epoch from clock_timestamp() - max(state_change)), 'infinity')::float8
from pg_stat_activity
where pid <> pg_backend_pid()
and not (backend_type = 'walsender' and usename = 'cloud_admin')  -- a spare of ours follows
and backend_type in ('client backend', 'walsender', 'autovacuum worker')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the last look saw; times are of the monotonic clock."""

    pid: int
    counters: str
    active_at: float
    looked_at: float


def timeout_of(branch: BranchRow, endpoint: EndpointRow) -> int | None:
    """Seconds of idleness after which the compute is suspended; None for never.

    A project's default branch is production's stand-in: it stays awake unless a time was asked for.
    """
    asked = endpoint.suspend_timeout_seconds
    if asked == 0:
        return None if branch.is_default else DEFAULT_SECONDS
    return asked if asked > 0 else None


class Idleness:
    """What is known of every compute's idleness since this server started."""

    def __init__(self) -> None:
        self._seen: Final[dict[str, _Seen]] = {}

    def idle_since(self, endpoint_id: str) -> str | None:
        """The time since when an awake compute is idle, as far as known; RFC 3339."""
        seen = self._seen.get(endpoint_id)
        if seen is None:
            return None
        since = datetime.now(UTC) - timedelta(seconds=time.monotonic() - seen.active_at)
        return since.strftime("%Y-%m-%dT%H:%M:%SZ")

    def care(self, plane: Plane) -> None:
        """Look at the computes whose turn it is, suspend those that were idle for their time."""
        endpoints = plane.store.all(EndpointRow, state="active")
        for gone in set(self._seen) - {each.id for each in endpoints}:
            self._seen.pop(gone, None)
        for endpoint in endpoints:
            branch = plane.store.one(BranchRow, id=endpoint.branch_id)
            timeout = timeout_of(branch, endpoint) if branch is not None else None
            if branch is None:
                continue
            pause = _RAREST_SECONDS
            if timeout is not None:
                pause = min(max(timeout / 10, _OFTENEST_SECONDS), pause)
            seen = self._seen.get(endpoint.id)
            if seen is not None and time.monotonic() - seen.looked_at < pause:
                continue
            idle = self._look(endpoint.id, postmaster_of(plane, branch))
            if timeout is not None and idle >= timeout:
                self._suspend(plane, endpoint, branch, timeout)

    def _look(self, endpoint_id: str, postmaster: Postmaster) -> float:
        """How long the compute has been idle, in seconds; 0 when that is not known."""
        pid = postmaster.pid()
        if pid is None:
            self._seen.pop(endpoint_id, None)
            return 0.0
        with postmaster.superuser() as connection:
            row = connection.execute(_LOOK).fetchone()
        counters, busy, quiet = row if row is not None else ("", True, 0.0)
        now, seen = time.monotonic(), self._seen.get(endpoint_id)
        if seen is None or seen.pid != pid or busy or counters != seen.counters:
            active_at = now
        else:
            active_at = max(seen.active_at, now - quiet)
        self._seen[endpoint_id] = _Seen(pid=pid, counters=counters, active_at=active_at, looked_at=now)
        return now - active_at

    def _suspend(self, plane: Plane, endpoint: EndpointRow, branch: BranchRow, timeout: int) -> None:
        with plane.compute(branch.id, wait=False) as granted:
            # In use by ourselves, or used since the look: not now.
            if not granted or self._look(endpoint.id, postmaster_of(plane, branch)) < timeout:
                return
            suspend(plane, endpoint.id)
            self._seen.pop(endpoint.id, None)
        plane.store.add(
            OperationRow(
                id=str(uuid.uuid4()),
                project_id=endpoint.project_id,
                action="suspend_compute",
                status="finished",
                branch_id=branch.id,
                endpoint_id=endpoint.id,
            )
        )
        log.info("%s was idle for %d seconds and sleeps", endpoint.id, timeout)
