"""Passing a connection on to where it may go, and to nowhere else: by the name that it asks for. Decrypts nothing.

What is passed on is not read beyond that. Whoever is refused is told so in the words of the protocol, where it has any.
"""

import asyncio
import ipaddress
import struct
from contextlib import suppress
from typing import NamedTuple, Protocol

from preview.hello import (
    ALERT,
    CANCEL,
    GSS_REQUEST,
    LARGEST_START,
    SSL_REQUEST,
    Guard,
    NotAHello,
    strange_endpoint,
)
from preview.plain_http import RequestGuard

LONGEST_HELLO_SECONDS = 10.0
_PIECE = 65_536
_TLS = b"\x16"

Target = tuple[str, int]


class Way(NamedTuple):
    """Where a connection may go.

    Attributes:
        targets: host and port of each place.
        postgres: whether PostgreSQL is spoken there, by a server that tells its databases apart by the host's name.
    """

    targets: tuple[Target, ...]
    postgres: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The hosts, in small letters."""
        return frozenset(host.lower() for host, _ in self.targets)

    def named(self, name: str | None) -> Target | None:
        """The place of this name."""
        return next((target for target in self.targets if target[0].lower() == name), None)


class Streams(NamedTuple):
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Watching(Protocol):
    """Follows what a client says, as far as it is in the open."""

    def feed(self, said: bytes) -> bytes:
        """What of all that the client said may pass on now. Raises NotAHello: it may not go on."""

    def answered(self, said: bytes) -> None:
        """What the server said."""

    def refusal(self, why: NotAHello) -> bytes:
        """How a refusal is said to the client."""

    def rest(self) -> bytes:
        """What may pass on at the end of what the client said."""


class Either:
    """A client that has said nothing yet: its first byte tells whether it speaks TLS."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._guard: Watching | None = None

    def feed(self, said: bytes) -> bytes:
        """See Watching."""
        if self._guard is None:
            kind = Guard if said[:1] == _TLS else RequestGuard
            self._guard = kind(self._names, nameless=True)
        return self._guard.feed(said)

    def answered(self, said: bytes) -> None:
        """See Watching."""
        if self._guard is not None:
            self._guard.answered(said)

    def refusal(self, why: NotAHello) -> bytes:
        """See Watching."""
        return self._guard.refusal(why) if self._guard is not None else b""

    def rest(self) -> bytes:
        """See Watching."""
        return self._guard.rest() if self._guard is not None else b""


async def pass_on(way: Way, here: Streams) -> None:
    """Pass a connection on; returns when it is over.

    Raises:
        NotAHello: it may not go on; says why.
        TimeoutError, OSError, asyncio.IncompleteReadError: as it came.
    """
    if way.postgres:
        await _postgres(way, here)
    elif len(way.targets) == 1:
        # A server may speak first: it is called before the client has said anything.
        watched = None if _is_address(way.targets[0][0]) else Either(way.names)
        await _joined(way.targets[0], here, watched, b"")
    else:
        first = await _said(here.reader)
        if first[:1] == _TLS:
            await _by_server_name(way, here, first)
        else:
            await _by_request(way, here, first)


def _is_address(host: str) -> bool:
    """Whether a place is allowed by its address: then whatever answers there is, by whatever name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _by_server_name(way: Way, here: Streams, first: bytes, *, asked: bool = False) -> None:
    """TLS, once its hello is whole.

    Args:
        way: where to.
        here: the client.
        first: what it said of its hello so far.
        asked: whether it asked PostgreSQL for TLS, and was told yes by us.
    """
    guard = Guard(way.names)
    try:
        passed = guard.feed(first)
        while guard.name is None:
            passed += guard.feed(await _said(here.reader))
    except NotAHello:
        here.writer.write(ALERT)
        raise
    target = way.named(guard.name)
    if target is None:  # the guard lets no other name pass
        raise NotAHello(f"there is no {guard.name}")
    await _joined(target, here, guard, passed, asked=asked)


async def _by_request(way: Way, here: Streams, first: bytes) -> None:
    """Plain HTTP, once the head of its first request is whole."""
    guard = RequestGuard(way.names)
    try:
        passed = guard.feed(first)
        while guard.name is None:
            passed += guard.feed(await _said(here.reader))
    except NotAHello as refusal:
        here.writer.write(guard.refusal(refusal))
        raise
    target = way.named(guard.name)
    if target is None:  # the guard lets no other name pass
        raise NotAHello(f"there is no {guard.name}")
    await _joined(target, here, guard, passed)


async def _postgres(way: Way, here: Streams) -> None:
    """PostgreSQL's start (its protocol, 55.2): TLS is agreed on first, or begun with at once."""
    while True:
        first = await asyncio.wait_for(here.reader.readexactly(8), LONGEST_HELLO_SECONDS)
        if first != GSS_REQUEST:
            break
        here.writer.write(b"N")  # encrypted so, nobody could read a name
        await here.writer.drain()
    if first == SSL_REQUEST:
        here.writer.write(b"S")
        await here.writer.drain()
        await _by_server_name(way, here, b"", asked=True)
    elif first[:1] == _TLS:
        await _by_server_name(way, here, first)
    elif first == CANCEL:
        await _cancel(way, here, first)
    else:
        await _plain(way, here, first)


async def _cancel(way: Way, here: Streams, first: bytes) -> None:
    """It names a session and its secret, no host: whose it is does something, the others nothing."""
    rest = await asyncio.wait_for(here.reader.readexactly(8), LONGEST_HELLO_SECONDS)
    for target in way.targets:
        with suppress(OSError):
            there = Streams(*await asyncio.open_connection(*target))
            there.writer.write(first + rest)
            with suppress(OSError):
                await there.reader.read(1)
            there.writer.close()


async def _plain(way: Way, here: Streams, first: bytes) -> None:
    """Without TLS: a start message, which may name an endpoint in its options."""
    length, version = struct.unpack(">II", first)
    if not 8 <= length <= LARGEST_START or version >> 16 != 3:
        raise NotAHello("it is no start of PostgreSQL")
    rest = await asyncio.wait_for(here.reader.readexactly(length - 8), LONGEST_HELLO_SECONDS)
    strange = strange_endpoint(rest, way.names)
    if strange is None and len(way.targets) == 1:
        await _joined(way.targets[0], here, None, first + rest)
        return
    why = f"it asks for {strange[:100]!r}" if strange else "without TLS it names no host"
    said = f"this way leads to {', '.join(sorted(way.names))} only, and {why}"
    fields = b"SFATAL\0VFATAL\0C08004\0M" + said.encode() + b"\0\0"
    here.writer.write(b"E" + struct.pack(">I", len(fields) + 4) + fields)
    raise NotAHello(why)


async def _joined(
    target: Target,
    here: Streams,
    guard: Watching | None,
    first: bytes,
    *,
    asked: bool = False,
) -> None:
    """Both directions, each to its own end."""
    there = Streams(*await asyncio.open_connection(*target))
    try:
        if asked:
            there.writer.write(SSL_REQUEST)
            answer = await asyncio.wait_for(there.reader.readexactly(1), LONGEST_HELLO_SECONDS)
            if answer != b"S":
                here.writer.write(ALERT)
                raise NotAHello(f"{target[0]} speaks no TLS")
        there.writer.write(first)
        await asyncio.gather(_out(here, there, guard), _back(there.reader, here.writer, guard))
    finally:
        there.writer.close()


async def _out(here: Streams, there: Streams, guard: Watching | None) -> None:
    with suppress(OSError):
        while some := await here.reader.read(_PIECE):
            if guard is not None:
                try:
                    some = guard.feed(some)
                except NotAHello as refusal:
                    here.writer.write(guard.refusal(refusal))
                    here.writer.close()
                    there.writer.close()
                    raise
            there.writer.write(some)
            await there.writer.drain()
        if guard is not None:
            there.writer.write(guard.rest())
        if there.writer.can_write_eof():
            there.writer.write_eof()


async def _back(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    guard: Watching | None,
) -> None:
    with suppress(OSError):
        while some := await reader.read(_PIECE):
            if guard is not None:
                guard.answered(some)
            writer.write(some)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _said(reader: asyncio.StreamReader) -> bytes:
    """The next bytes of who has to say something. Raises NotAHello when it goes instead."""
    some = await asyncio.wait_for(reader.read(_PIECE), LONGEST_HELLO_SECONDS)
    if not some:
        raise NotAHello("it ended before it said anything")
    return some
