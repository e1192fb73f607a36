"""Chooses ports on 127.0.0.1. Binds only to look, and lets go at once."""

import hashlib
import socket
from collections.abc import Iterator

from preview.health import LOOPBACK

FIRST, LAST = 20000, 32767
"""Ports to choose from. 32768 and up is Linux's ephemeral range: any client socket may sit there (measured)."""


def is_free(port: int) -> bool:
    """Whether nobody listens on 127.0.0.1:port right now; a moment later somebody may."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # Without this a port in TIME_WAIT counts as taken, though the engine could publish on it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(name: str) -> Iterator[int]:
    """Ports that look free, beginning at one derived from the name: a candidate tends to keep its URL."""
    span = LAST - FIRST + 1
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % span
    for step in range(span):
        port = FIRST + (start + step) % span
        if is_free(port):
            yield port
