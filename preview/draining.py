"""Waits until nobody is connected to a port of this machine any more. Asks the kernel only, closes nothing."""

import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
# linux/sock_diag.h, linux/netlink.h
_SOCK_DIAG, _BY_FAMILY, _REQUEST_DUMP, _ERROR, _DONE = 4, 20, 0x301, 2, 3
_LOOK_SECONDS = 0.1
_SETTLE_SECONDS = 1.0
"""A request that read the earlier address just before it changed has connected by then."""


def connections_to(port: int, tables: Iterable[Path] = _TABLES) -> int | None:
    """How many connections from this machine to that port are open; None where nobody can tell (no Linux)."""
    if tables is _TABLES:
        with suppress(OSError, AttributeError):
            return _asked(port)
    count, seen = 0, False
    for table in tables:
        try:
            content = table.read_bytes()
        except OSError:
            continue
        seen = True
        # sl, local address, remote address, state (kernel documentation, proc_net_tcp): hexadecimal.
        count += content.count(f":{port:04X} {_ESTABLISHED} ".encode())
    return count if seen else None


def _asked(port: int) -> int:
    """The kernel's own answer (linux/inet_diag.h): at once, however many connections were closed a moment ago."""
    count = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        # struct inet_diag_req_v2: family, protocol, extensions, padding, states; then the ports, of which the second
        # is the remote one, and addresses that are not looked at.
        wanted = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 1 << 1) + struct.pack("!HH44x", 0, port)
        head = struct.pack("=IHHII", 16 + len(wanted), _BY_FAMILY, _REQUEST_DUMP, 1, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.send(head + wanted)
            done = False
            while not done:
                answer, at = kernel.recv(1 << 16), 0
                while at < len(answer):
                    length, kind = struct.unpack_from("=IH", answer, at)
                    if kind == _ERROR:
                        raise OSError("the kernel does not tell")
                    done = done or kind == _DONE
                    # struct inet_diag_msg: four bytes, then the ports. The kernel may know no filter by port.
                    count += kind == _BY_FAMILY and struct.unpack_from("!H", answer, at + 22)[0] == port
                    at += (length + 3) & ~3
    return count


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
