"""Load: whether the server keeps up with batches, and how long to leave it alone when it does not. Only reads."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from orchestrator.database import Connection

#: Seconds between two looks at the server's figures.
_EVERY = 1.0
#: From this much WAL that a replica has not replayed on, batches wait, bytes.
LAG_BYTES = 64 * 2**20
#: The longest pauses, seconds: when others waited for us; when a replica is behind or checkpoints come early.
_OTHERS, _BEHIND = 0.5, 1.0
#: How long batches wait for a replica in all before they go on beside it, seconds: one that is gone stays behind.
_PATIENCE = 120.0

_LAG = (
    "select coalesce(max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn)), 0)::int8"
    " from pg_catalog.pg_stat_replication"
)
_EARLY = {
    False: "select checkpoints_req from pg_catalog.pg_stat_bgwriter",
    True: "select num_requested from pg_catalog.pg_stat_checkpointer",  # PostgreSQL 17
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one look found.

    Attributes:
        lag_bytes: WAL that the slowest replica has not replayed.
        early: checkpoints that came because of much WAL, since the server's statistics began.
    """

    lag_bytes: int = 0
    early: int = 0


def seconds(before: Figures, now: Figures, *, took_ms: float, waited_ms: float) -> float:
    """How long to pause after a batch.

    Args:
        before: the look before.
        now: the last look.
        took_ms: how long the batch took, milliseconds.
        waited_ms: how much longer than before somebody has waited because of us, milliseconds.
    """
    found = 0.0
    if waited_ms > 0:
        # As long as the batch and the wait took together: whoever waited comes first, and some others.
        found = min(_OTHERS, (took_ms + waited_ms) / 1000)
    if now.lag_bytes > LAG_BYTES:
        found = max(found, min(_BEHIND, now.lag_bytes / LAG_BYTES / 4))
    if now.early > before.early:
        found = max(found, _BEHIND)
    return found


@dataclass(slots=True)
class Load:
    """Looks at the server now and then while batches run.

    Attributes:
        waited: the longest that others have waited because of us so far, milliseconds.
        clock: seconds that never go back.
    """

    waited: Callable[[], float] = lambda: 0.0
    clock: Callable[[], float] = time.monotonic
    _last: Figures | None = None
    _at: float = float("-inf")
    _waited_ms: float = 0.0
    _spent: float = field(default=0.0)

    def pause(self, connection: Connection, took_ms: float) -> float:
        """Seconds to pause after a batch that took so long."""
        waited = self.waited()
        more, self._waited_ms = max(0.0, waited - self._waited_ms), waited
        now = before = self._last or Figures()
        if self.clock() - self._at >= _EVERY:
            now = _look(connection)
            before = self._last or now
            self._last, self._at = now, self.clock()
        elif not more:
            return 0.0
        if self._spent > _PATIENCE:
            now, before = Figures(), Figures()
        found = seconds(before, now, took_ms=took_ms, waited_ms=more)
        self._spent += found
        return found


def _look(connection: Connection) -> Figures:
    """The figures; what may not be asked counts as fine."""
    try:
        with connection.transaction():
            lag = connection.execute(_LAG).fetchone()
            early = connection.execute(_EARLY[connection.info.server_version >= 170_000].encode()).fetchone()
    except psycopg.Error:
        if connection.broken or connection.closed:
            raise
        return Figures()
    return Figures(lag_bytes=int(lag[0]) if lag else 0, early=int(early[0]) if early else 0)
