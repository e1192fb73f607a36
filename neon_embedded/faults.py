"""Faults on demand, for tests and demos: off unless the server was started with them. Decides, does nothing."""

import random
import threading
from collections.abc import Mapping
from typing import Final

#: name: what the next request, or the next change, meets.
FAULTS: Final = {
    "locked": "the next changes get 423 as if another operation ran",
    "rate_limited": "the next requests get 429",
    "unavailable": "the next requests get 503",
    "slow": "the next requests are answered late",
    "lost_answer": "the next changes are done, but the connection is cut instead of an answer",
    "failed_operation": "the next changes' first operation fails",
    "slow_operation": "the next changes are answered at once, with operations that run for a moment",
    "lagging_operations": "the next lists of operations do not know the newest change yet",
    "branches_limit": "the next branches are refused as more than the plan allows",
}

#: How late a slow request is answered.
SLOW_SECONDS: Final = 0.5


class Faults:
    """How often each fault still strikes, or how likely it is to."""

    def __init__(self, *, allowed: bool = False) -> None:
        self.allowed: Final = allowed
        self._lock: Final = threading.Lock()
        self._left: Final = dict.fromkeys(FAULTS, 0)
        self._chance: Final = dict.fromkeys(FAULTS, 0.0)
        self._random = random.Random(0)  # noqa: S311 - a die, not a key

    def arm(self, wishes: Mapping[str, int | float], *, seed: int = 0) -> None:
        """Say what shall strike from now on; faults that are not named stay as they are.

        Args:
            wishes: by name, how often (a whole number), or how likely each time (a fraction between 0 and 1).
            seed: where the dice start, when a fraction is among the wishes.

        Raises:
            KeyError: an unknown name; nothing was changed.
            ValueError: neither a count nor a fraction; nothing was changed.
        """
        for name, wish in wishes.items():
            if name not in FAULTS:
                raise KeyError(name)
            if isinstance(wish, bool) or wish < 0 or (isinstance(wish, float) and wish >= 1):
                raise ValueError(name)
        with self._lock:
            if any(isinstance(wish, float) for wish in wishes.values()):
                self._random = random.Random(seed)  # noqa: S311
            for name, wish in wishes.items():
                self._left[name] = wish if isinstance(wish, int) else 0
                self._chance[name] = wish if isinstance(wish, float) else 0.0

    def take(self, name: str) -> bool:
        """Whether the fault strikes now; each yes uses one up, unless it was wished for by likelihood."""
        if not self.allowed:
            return False
        with self._lock:
            if self._left[name] > 0:
                self._left[name] -= 1
                return True
            return self._chance[name] > 0 and self._random.random() < self._chance[name]
