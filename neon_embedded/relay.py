"""Bytes between pairs of connected sockets, both ways, until all have ended. Runs as a process of its own.

The connections that woke a compute go through here, all later ones go to the postmaster directly. A process of its
own, so that they outlive a killed server as the others do. Imports the standard library only, and nothing of ours.

Protocol on standard input (a unix stream socket): one byte with two descriptors per pair; its end means no more.
"""

import array
import os
import selectors
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field

_CHUNK = 65536
_DESCRIPTOR = array.array("i").itemsize


@dataclass(slots=True, eq=False)
class _Side:
    """One socket of a pair; ``waiting`` is what came from the other side and it has not taken yet."""

    socket: socket.socket
    other: "_Side | None" = None
    waiting: bytes = b""
    ended: bool = False
    told: bool = False
    events: int = 0
    closed: bool = field(default=False)


class _Pairs:
    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.sides: set[_Side] = set()

    def join(self, one: socket.socket, two: socket.socket) -> None:
        """Begin with a pair."""
        left, right = _Side(one), _Side(two)
        left.other, right.other = right, left
        for side in (left, right):
            side.socket.setblocking(False)
            self.sides.add(side)
        for side in (left, right):
            self._watch(side)

    def turn(self, side: _Side, events: int) -> None:
        """Do what the side is ready for."""
        other = side.other
        if side.closed or other is None:
            return
        try:
            if events & selectors.EVENT_READ:
                self._read(side, other)
            if events & selectors.EVENT_WRITE and side.waiting:
                side.waiting = side.waiting[side.socket.send(side.waiting) :]
            for target, source in ((side, other), (other, side)):
                if source.ended and not target.waiting and not target.told:
                    target.told = True
                    target.socket.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._end(side, other)
            return
        if side.ended and other.ended and not side.waiting and not other.waiting:
            self._end(side, other)
            return
        self._watch(side)
        self._watch(other)

    def _read(self, side: _Side, other: _Side) -> None:
        got = side.socket.recv(_CHUNK)
        if not got:
            side.ended = True
            return
        sent = 0
        with suppress(BlockingIOError):
            sent = other.socket.send(got)
        other.waiting = got[sent:]

    def _watch(self, side: _Side) -> None:
        # Nothing is read that the other side does not take: whoever is slow slows the sender, not our memory.
        blocked = side.other is not None and bool(side.other.waiting)
        wanted = (0 if side.ended or blocked else selectors.EVENT_READ) | (
            selectors.EVENT_WRITE if side.waiting else 0
        )
        if wanted == side.events:
            return
        if not side.events:
            self.selector.register(side.socket, wanted, side)
        elif wanted:
            self.selector.modify(side.socket, wanted, side)
        else:
            self.selector.unregister(side.socket)
        side.events = wanted

    def _end(self, *sides: _Side) -> None:
        for side in sides:
            if side.closed:
                continue
            side.closed = True
            if side.events:
                self.selector.unregister(side.socket)
            side.socket.close()
            self.sides.discard(side)


def relay(control: socket.socket) -> None:
    """Take pairs from ``control`` and serve them until it ended and all of them ended."""
    pairs = _Pairs()
    pairs.selector.register(control, selectors.EVENT_READ, None)
    more = True
    while more or pairs.sides:
        for key, events in pairs.selector.select():
            if key.data is not None:
                pairs.turn(key.data, events)
                continue
            try:
                message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            except OSError:
                message, descriptors = b"", []
            if message and len(descriptors) == 2:
                one, two = (socket.socket(fileno=each) for each in descriptors)
                pairs.join(one, two)
            else:
                more = False
                pairs.selector.unregister(control)
                control.close()


if __name__ == "__main__":
    os.chdir("/")
    relay(socket.socket(fileno=os.dup(0)))
    sys.exit(0)
