"""Faults on demand, for tests and demos: off unless the server was started with them. Decides, does nothing."""

import threading
from typing import Final

#: name: what the next request, or the next change, meets.
FAULTS: Final = {
    "locked": "the next changes get 423 as if another operation ran",
    "rate_limited": "the next requests get 429",
    "unavailable": "the next requests get 503",
    "lost_answer": "the next changes are done, but the connection is cut instead of an answer",
    "failed_operation": "the next changes' first operation fails",
    "slow_operation": "the next changes are answered at once, with operations that run for a moment",
}


class Faults:
    """How often each fault still strikes."""

    def __init__(self, *, allowed: bool = False) -> None:
        self.allowed: Final = allowed
        self._lock: Final = threading.Lock()
        self._left: Final = dict.fromkeys(FAULTS, 0)

    def arm(self, counts: dict[str, int]) -> None:
        """Set how often the named faults strike. Raises KeyError for an unknown name."""
        with self._lock:
            for name, count in counts.items():
                if name not in FAULTS:
                    raise KeyError(name)
                self._left[name] = count

    def take(self, name: str) -> bool:
        """Whether the fault strikes now; each yes uses one up."""
        if not self.allowed:
            return False
        with self._lock:
            if self._left[name] <= 0:
                return False
            self._left[name] -= 1
            return True
