"""How often somebody may ask, as buckets that fill again with time. Knows neither HTTP nor the store."""

import hashlib
import ipaddress
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
        per_minute: how many drops fall into a bucket in a minute.
        holds: how many it holds; default: as many as fall into it in a minute.
        clock: seconds that never go back.
    """

    def __init__(
        self, per_minute: int, *, holds: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._each = per_minute / 60
        self._most = float(holds or per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take a drop; returns 0, or the seconds until there is one (then nothing was taken)."""
        with self._lock:
            now = self._clock()
            full = self._full(key, now)
            self._buckets.pop(key, None)
            self._buckets[key] = (full - 1 if full >= 1 else full, now)
            if len(self._buckets) > _MOST:
                self._buckets.popitem(last=False)
            return self._until_one(full)

    def look(self, key: str) -> float:
        """What `take` would return; takes nothing."""
        with self._lock:
            return self._until_one(self._full(key, self._clock()))

    def _full(self, key: str, now: float) -> float:
        full, since = self._buckets.get(key, (self._most, now))
        return min(self._most, full + (now - since) * self._each)

    def _until_one(self, full: float) -> float:
        return 0.0 if full >= 1 else (1 - full) / self._each


class Rates:
    """The server's limits: for each token, and for each address that shows tokens that are none.

    They are this process's own: two servers allow twice as much.
    """

    def __init__(self, *, per_minute: int, failures: int) -> None:
        self.tokens = Buckets(per_minute)
        self.failures = Buckets(failures)
        self.uploads = Buckets(_UPLOADS)
        self.lately = Lately()


class Lately:
    """The tokens that were good lately, as hashes: guesses from the same address do not shut them out."""

    def __init__(self, most: int = 5000) -> None:
        self._most = most
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, token: str) -> bool:
        """Whether it was good when it was shown last."""
        with self._lock:
            return _hash(token) in self._known

    def was(self, token: str, *, good: bool) -> None:
        """Remember how it was."""
        with self._lock:
            self._known.pop(_hash(token), None)
            if good:
                self._known[_hash(token)] = None
                if len(self._known) > self._most:
                    self._known.popitem(last=False)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def source_of(address: str) -> str:
    """Whose bucket an address has: whoever has one IPv6 address has all of its /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
