"""Sampler: what a statement outside of a transaction locks, seen from a second session while it runs. Only reads."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import psycopg

from orchestrator.database import Connection

_LOCKS = b"""
select l.relation::int8, l.mode from pg_catalog.pg_locks l
where l.pid = %s and l.locktype = 'relation' and l.granted and l.relation >= 16384
"""
#: Seconds between two looks; a statement that is quicker than that may not be seen at all.
_EVERY = 0.002


class LockSampler:
    """Looks at one backend's locks again and again until the block ends.

    CREATE INDEX CONCURRENTLY and its like commit by themselves and keep no lock to look at afterwards.

    Args:
        watcher: a session of its own, closed at the end of the block.
        pid: the backend that is watched.
    """

    def __init__(self, watcher: Connection, pid: int) -> None:
        self._watcher = watcher
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lock-sampler", daemon=True)
        self.seen: set[tuple[int, str]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._watcher.close()

    def _look(self) -> None:
        with suppress(psycopg.Error):  # a lost watcher means: not looked at any further
            while not self._done.wait(_EVERY):
                self.seen.update(self._watcher.execute(_LOCKS, (self._pid,)).fetchall())
