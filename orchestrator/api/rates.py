"""How often somebody may ask, as buckets that fill again with time. Knows neither HTTP nor the store."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

#: Buckets beyond this are forgotten, the longest unused first: somebody with many addresses gets no memory of ours.
_MOST = 20_000


#: How many sources one person may send in a minute.
_UPLOADS = 30


class Buckets:
    """A bucket of drops for each key.

    Args:
        per_minute: how many drops fall into a bucket in a minute; it holds as many.
        clock: seconds that never go back.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, drops: float = 1.0) -> float:
        """Take drops; returns 0, or the seconds until there are enough (then nothing was taken)."""
        with self._lock:
            now = self._clock()
            full, since = self._buckets.pop(key, (self._most, now))
            full = min(self._most, full + (now - since) * self._most / 60)
            enough = full >= drops
            self._buckets[key] = (full - drops if enough else full, now)
            if len(self._buckets) > _MOST:
                self._buckets.popitem(last=False)
            return 0.0 if enough else (drops - full) * 60 / self._most


class Rates:
    """The server's limits: for each token, and for each address that shows tokens that are none.

    They are this process's own: two servers allow twice as much.
    """

    def __init__(self, *, per_minute: int, failures: int) -> None:
        self.tokens = Buckets(per_minute)
        self.failures = Buckets(failures)
        self.uploads = Buckets(_UPLOADS)
