"""The ports of computes that sleep: who knocks is held until the compute is awake. Starts no compute, knows no row.

While a compute sleeps its door listens where its postmaster would. When somebody connects, the door tells so once;
just before the postmaster binds the port the door is shut, and those who knocked are joined to the postmaster by a
process of their own (`relay`). From then on connections go to the postmaster directly (decision 0010).
"""

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

from neon_embedded.listeners import Listeners

#: A burst of connections is let in whole: the door stays open until it was quiet for so long, at most so long.
_QUIET_SECONDS: Final = 0.008
_LONGEST_SECONDS: Final = 0.15


@dataclass(slots=True, eq=False)
class _Door:
    held: list[socket.socket] = field(default_factory=list)
    last_knock: float = 0.0
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
    """All doors. Every method may be called by any thread."""

    def __init__(self, answer: Callable[[str], None]) -> None:
        """``answer`` is called in a thread of its own with the endpoint's id when somebody knocks first."""
        self._answer: Final = answer
        self._lock: Final = threading.Lock()
        self._doors: Final[dict[str, _Door]] = {}
        self._listeners: Final = Listeners("doors", self._hold)

    def open(self, endpoint_id: str, port: int, addresses: Sequence[str]) -> None:
        """Listen for the endpoint; what is open already stays. Raises PortTaken."""
        self._listeners.open(endpoint_id, port, addresses)

    def is_open(self, endpoint_id: str) -> bool:
        """Whether somebody can knock."""
        return self._listeners.is_open(endpoint_id)

    def gather(self, endpoint_id: str) -> None:
        """Wait until nobody has knocked for a blink, so that those who come together are let in together."""
        end = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < end:
            with self._lock:
                door = self._doors.get(endpoint_id)
                quiet = door is None or time.monotonic() - door.last_knock >= _QUIET_SECONDS
                if door is not None and door.relay is None:
                    door.relay = _Relay()  # it comes up meanwhile
            if quiet:
                return
            time.sleep(_QUIET_SECONDS / 4)

    def shut(self, endpoint_id: str) -> None:
        """Leave the port; those who knocked, even in this very moment, are held on."""
        self._listeners.shut(endpoint_id)

    def admit(self, endpoint_id: str, address: str, port: int) -> int:
        """Join all who are held to the compute that is awake now; how many they were."""
        door = self._leave(endpoint_id)
        if door is None:
            return 0
        relay = door.relay or _Relay()
        for client in door.held:
            with client, suppress(OSError), socket.create_connection((address, port), timeout=10) as compute:
                for each in (client, compute):
                    each.settimeout(None)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                relay.join(client, compute)
        relay.close()
        return len(door.held)

    def dismiss(self, endpoint_id: str) -> None:
        """Shut the door and send away who is held."""
        door = self._leave(endpoint_id)
        if door is None:
            return
        for client in door.held:
            client.close()
        if door.relay is not None:
            door.relay.close()

    def close(self) -> None:
        """Shut all doors, send everybody away."""
        self._listeners.close()
        for name in list(self._doors):
            self.dismiss(name)

    def _leave(self, endpoint_id: str) -> _Door | None:
        self._listeners.shut(endpoint_id)
        with self._lock:
            return self._doors.pop(endpoint_id, None)

    def _hold(self, endpoint_id: str, client: socket.socket) -> None:
        with self._lock:
            first = endpoint_id not in self._doors
            door = self._doors.setdefault(endpoint_id, _Door())
            door.held.append(client)
            door.last_knock = time.monotonic()
        if first:
            threading.Thread(
                target=self._answer, args=(endpoint_id,), name=f"knock {endpoint_id}", daemon=True
            ).start()
