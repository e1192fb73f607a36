"""Listening sockets by name, watched by one thread that passes on who connects. Reads and writes no byte of theirs."""

import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from neon_embedded.errors import PortTaken

_BACKLOG: Final = 512


@dataclass(slots=True, eq=False)
class _Place:
    name: str
    port: int
    sockets: dict[str, socket.socket] = field(default_factory=dict)


class Listeners:
    """Every method may be called by any thread. ``accepted`` gets a name and a connection, and must be quick."""

    def __init__(self, title: str, accepted: Callable[[str, socket.socket], None]) -> None:
        self._accepted: Final = accepted
        self._lock: Final = threading.RLock()
        self._places: Final[dict[str, _Place]] = {}
        self._selector: Final = selectors.DefaultSelector()
        self._bell, self._clapper = socket.socketpair()
        for each in (self._bell, self._clapper):
            each.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._over = False
        self._thread: Final = threading.Thread(target=self._watch, name=title, daemon=True)
        self._thread.start()

    def open(self, name: str, port: int, addresses: Sequence[str]) -> None:
        """Listen there and nowhere else under this name; what is open already stays.

        Raises:
            PortTaken: somebody else listens on one of the addresses.
        """
        with self._lock:
            place = self._places.get(name)
            if place is not None and (place.port != port or set(place.sockets) - set(addresses)):
                self.shut(name)
            if self._over:
                return
            place = self._places.setdefault(name, _Place(name, port))
            for address in addresses:
                if address not in place.sockets:
                    listener = place.sockets[address] = _listen(address, port)
                    self._selector.register(listener, selectors.EVENT_READ, place)
            self._ring()

    def is_open(self, name: str) -> bool:
        """Whether anybody can connect under this name."""
        with self._lock:
            return name in self._places and bool(self._places[name].sockets)

    def shut(self, name: str) -> None:
        """Listen no more; who waits in the kernel in this very moment is passed on."""
        with self._lock:
            place = self._places.pop(name, None)
            if place is None:
                return
            self._take(place)
            for listener in place.sockets.values():
                self._selector.unregister(listener)
                listener.close()

    def close(self) -> None:
        """Shut all, end the thread."""
        with self._lock:
            self._over = True
            for name in list(self._places):
                self.shut(name)
        self._ring()
        self._thread.join()
        for each in (self._bell, self._clapper):
            each.close()
        self._selector.close()

    def _ring(self) -> None:
        with suppress(OSError):
            self._clapper.send(b"!")

    def _watch(self) -> None:
        while not self._over:
            for key, _ in self._selector.select():
                if key.data is None:
                    with suppress(OSError):
                        self._bell.recv(4096)
                    continue
                place: _Place = key.data
                with self._lock:
                    if self._places.get(place.name) is place:
                        self._take(place)

    def _take(self, place: _Place) -> None:
        for listener in place.sockets.values():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # nobody waits, or whoever waited has gone
                    break
                client.setblocking(True)
                self._accepted(place.name, client)


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(f"{address}:{port} cannot be listened on: {error.strerror}") from None
    listener.setblocking(False)
    return listener
