"""The ports of computes that sleep: who knocks is held until the compute is awake. Starts no compute, knows no row.

While a compute sleeps its door listens where its postmaster would. When somebody connects, the door tells so once;
just before the postmaster binds the port the door is shut, and those who knocked are joined to the postmaster by a
process of their own (`relay`). From then on connections go to the postmaster directly (decision 0010).
"""

import logging
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from neon_embedded.errors import PortTaken

log: Final = logging.getLogger("neon_embedded")

#: A burst of connections is let in whole: the door stays open until it was quiet for so long, at most so long.
_QUIET_SECONDS: Final = 0.008
_LONGEST_SECONDS: Final = 0.15
_BACKLOG: Final = 512


@dataclass(slots=True, eq=False)
class _Door:
    endpoint_id: str
    port: int = 0
    listeners: dict[str, socket.socket] = field(default_factory=dict)
    held: list[socket.socket] = field(default_factory=list)
    last_knock: float = 0.0
    told: bool = False
    relay: "_Relay | None" = None


class _Relay:
    """A process that joins sockets; it lives as long as one of its pairs does, whatever becomes of us."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", Path(__file__).with_name("relay.py")],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C"},
                start_new_session=True,
            )
        # Somebody must bury it.
        threading.Thread(target=self._process.wait, name="relay", daemon=True).start()

    def join(self, one: socket.socket, two: socket.socket) -> None:
        socket.send_fds(self._control, [b"+"], [one.fileno(), two.fileno()])

    def close(self) -> None:
        self._control.close()


class Doors:
    """All doors, watched by one thread. Every method may be called by any thread."""

    def __init__(self, answer: Callable[[str], None]) -> None:
        """``answer`` is called in a thread of its own with the endpoint's id when somebody knocks first."""
        self._answer: Final = answer
        self._lock: Final = threading.RLock()
        self._doors: Final[dict[str, _Door]] = {}
        self._selector: Final = selectors.DefaultSelector()
        self._bell, self._clapper = socket.socketpair()
        for each in (self._bell, self._clapper):
            each.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._over = False
        self._thread: Final = threading.Thread(target=self._watch, name="doors", daemon=True)
        self._thread.start()

    def open(self, endpoint_id: str, port: int, addresses: Sequence[str]) -> None:
        """Listen for the endpoint; what is open already stays.

        Raises:
            PortTaken: somebody else listens on one of the addresses; the door is as it was.
        """
        with self._lock:
            if self._over:
                return
            door = self._doors.setdefault(endpoint_id, _Door(endpoint_id))
            if door.port != port or set(door.listeners) - set(addresses):
                self._close_listeners(door)
            door.port = port
            for address in addresses:
                if address in door.listeners:
                    continue
                listener = _listen(address, port)
                door.listeners[address] = listener
                self._selector.register(listener, selectors.EVENT_READ, door)
            self._ring()

    def is_open(self, endpoint_id: str) -> bool:
        """Whether somebody can knock."""
        with self._lock:
            door = self._doors.get(endpoint_id)
            return door is not None and bool(door.listeners)

    def gather(self, endpoint_id: str) -> None:
        """Wait until nobody has knocked for a blink, so that those who come together are let in together."""
        end = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < end:
            with self._lock:
                door = self._doors.get(endpoint_id)
                quiet = door is None or time.monotonic() - door.last_knock >= _QUIET_SECONDS
                if door is not None and door.relay is None and door.held:
                    door.relay = _Relay()
            if quiet:
                return
            time.sleep(_QUIET_SECONDS / 4)

    def shut(self, endpoint_id: str) -> None:
        """Leave the port; those who knocked, even in this very moment, are held on."""
        with self._lock:
            door = self._doors.get(endpoint_id)
            if door is not None:
                self._close_listeners(door)

    def admit(self, endpoint_id: str, address: str, port: int) -> int:
        """Join all who are held to the compute that is awake now; how many they were. The door is gone then."""
        with self._lock:
            door = self._doors.pop(endpoint_id, None)
            if door is None:
                return 0
            self._close_listeners(door)
        relay = door.relay or (_Relay() if door.held else None)
        for client in door.held:
            with client, suppress(OSError), socket.create_connection((address, port), timeout=10) as compute:
                for each in (client, compute):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                assert relay is not None  # noqa: S101 - made above whenever somebody is held
                relay.join(client, compute)
        if relay is not None:
            relay.close()
        return len(door.held)

    def dismiss(self, endpoint_id: str) -> None:
        """Shut the door and send away who is held."""
        with self._lock:
            door = self._doors.pop(endpoint_id, None)
            if door is None:
                return
            self._close_listeners(door)
        for client in door.held:
            client.close()
        if door.relay is not None:
            door.relay.close()

    def close(self) -> None:
        """Dismiss all, end the thread."""
        with self._lock:
            self._over = True
            names = list(self._doors)
        for name in names:
            self.dismiss(name)
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
                with self._lock:
                    self._take(key.data)

    def _take(self, door: _Door) -> None:
        """Hold everybody who waits in the kernel; tell of the first."""
        for listener in door.listeners.values():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    break
                client.setblocking(True)
                door.held.append(client)
                door.last_knock = time.monotonic()
        if door.held and not door.told:
            door.told = True
            threading.Thread(
                target=self._answer, args=(door.endpoint_id,), name=f"knock {door.endpoint_id}", daemon=True
            ).start()

    def _close_listeners(self, door: _Door) -> None:
        self._take(door)
        for listener in door.listeners.values():
            self._selector.unregister(listener)
            listener.close()
        door.listeners.clear()


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(f"{address}:{port} cannot be kept for a sleeping compute: {error.strerror}") from None
    listener.setblocking(False)
    return listener
