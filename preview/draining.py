"""Waits until nobody is connected to a port of this machine any more. Reads /proc only, closes nothing."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_LOOK_SECONDS = 0.1
_SETTLE_SECONDS = 1.0
"""A request that read the earlier address just before it changed has connected by then."""


def connections_to(port: int, tables: Iterable[Path] = _TABLES) -> int | None:
    """How many connections from this machine to that port are open; None where nobody can tell (no Linux)."""
    count, seen = 0, False
    for table in tables:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        seen = True
        for line in lines:
            # sl, local address, remote address, state (kernel documentation, proc_net_tcp): hexadecimal.
            _, _, remote, state, *_ = line.split()
            count += state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) == port
    return count if seen else None


def drained(
    port: int,
    seconds: float,
    *,
    count: Callable[[int], int | None] = connections_to,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Wait until no connection to the port is left, at most so long.

    Returns:
        How many were left in the end; where nobody can tell, 0 after the whole time.
    """
    begun = clock()
    while True:
        left = count(port)
        spent = clock() - begun
        if (left == 0 and spent >= min(_SETTLE_SECONDS, seconds)) or spent >= seconds:
            return left or 0
        sleep(_LOOK_SECONDS)
