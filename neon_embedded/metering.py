"""What branches take: blocks on disk, and how long their computes were awake. Wakes nobody, knows no HTTP."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neon_embedded.clone import used_bytes
from neon_embedded.processes import pid_file, running

#: How long what was measured of a branch is good, seconds; and how long one round may go on measuring.
_GOOD_SECONDS: Final = 30.0
_ROUND_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a branch took so far.

    Attributes:
        size_bytes: of the blocks of its files; blocks that a file system shares count for each. None: not measured yet.
        awake_seconds: how long its compute was awake, since the branch was made.
    """

    size_bytes: int | None = None
    awake_seconds: float = 0.0


class Meter:
    """What was measured of directories; a list of branches must not wait for their files to be counted."""

    def __init__(self) -> None:
        self._guard: Final = threading.Lock()
        self._seen: Final[dict[Path, tuple[float, int]]] = {}

    def known(self, directory: Path) -> int | None:
        """What a directory took when it was last measured."""
        with self._guard:
            seen = self._seen.get(directory)
        return seen[1] if seen else None

    def measure(self, directory: Path) -> int:
        """Count a directory's blocks now."""
        size = used_bytes(directory)
        with self._guard:
            self._seen[directory] = (time.monotonic(), size)
        return size

    def care(self, directories: tuple[Path, ...]) -> None:
        """Measure again whose figure is old, the oldest first; forget those that are gone."""
        with self._guard:
            for gone in self._seen.keys() - set(directories):
                del self._seen[gone]
            ages = {each: self._seen[each][0] if each in self._seen else 0.0 for each in directories}
        began = time.monotonic()
        for directory, at in sorted(ages.items(), key=lambda each: each[1]):
            now = time.monotonic()
            if now - began > _ROUND_SECONDS or (at and now - at < _GOOD_SECONDS):
                return
            self.measure(directory)


def awake_for(directory: Path) -> float:
    """How long the postmaster of a branch's directory has been running, seconds; 0 when none does."""
    data = directory / "data"
    if running(data) is None:
        return 0.0
    try:
        # Line 3 of postmaster.pid: when it started, seconds since the epoch.
        return max(0.0, time.time() - int(pid_file(data)[2]))
    except (IndexError, ValueError):
        return 0.0
