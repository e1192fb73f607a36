"""What a connection says first, read without decrypting any of it: TLS hellos, PostgreSQL's start.

Pure: bytes in, values out. Whatever is not exactly as the standards have it is refused, not guessed at.
"""

import re
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

#: A hello of TLS has up to 2 KiB today; nobody is given more room than this to say it.
LARGEST_HELLO: Final = 65_536
LARGEST_START: Final = 10_000  # PostgreSQL's own limit

SSL_REQUEST: Final = struct.pack(">II", 8, 80877103)
GSS_REQUEST: Final = struct.pack(">II", 8, 80877104)
CANCEL: Final = struct.pack(">II", 16, 80877102)
#: Fatal, unrecognized_name (RFC 6066, 3): what a client shows when it asked for a name that is not served.
ALERT: Final = b"\x15\x03\x03\x00\x02\x02\x70"

_HANDSHAKE, _CLIENT_HELLO, _SERVER_HELLO = 0x16, 1, 2
#: The random of a server hello that asks for another client hello (RFC 8446, 4.1.3).
_ONCE_MORE: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_LARGEST_RECORD: Final = 16_384
_ENDPOINT = re.compile(r"(?:endpoint|project)\s*=\s*([^\s;,'\"]+)", re.IGNORECASE)


class NotAHello(ValueError):
    """The bytes are not what a client of TLS or PostgreSQL says first."""


class _Reader:
    """Takes pieces off some bytes; more than there is refuses them all."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest

    def take(self, count: int) -> bytes:
        if len(self.rest) < count:
            raise NotAHello("a length points beyond the end")
        piece, self.rest = self.rest[:count], self.rest[count:]
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> "_Reader":
        """A piece that says its own length first."""
        return _Reader(self.take(self.number(size)))


def message_in(said: bytes) -> tuple[bytes, int] | None:
    """The first handshake message of TLS in these bytes, and how many of them it took; None: there is more to come.

    It may be cut into records as small as its sender likes (RFC 8446, 5.1).

    Raises:
        NotAHello: it is no handshake, or larger than anybody needs.
    """
    message, at = b"", 0
    while len(said) >= at + 5:
        kind, major, length = said[at], said[at + 1], int.from_bytes(said[at + 3 : at + 5])
        if kind != _HANDSHAKE or major != 3 or not 0 < length <= _LARGEST_RECORD:
            raise NotAHello("no record of a handshake")
        message += said[at + 5 : at + 5 + length]
        at += 5 + length
        if len(message) >= 4:
            wanted = 4 + int.from_bytes(message[1:4])
            if wanted > LARGEST_HELLO:
                raise NotAHello("the hello is too large")
            if len(message) >= wanted and len(said) >= at:
                if len(message) > wanted:
                    raise NotAHello("something follows the hello in its record")
                return message, at
    if len(said) > LARGEST_HELLO * 2 or (said and said[0] != _HANDSHAKE):
        raise NotAHello("no record of a handshake")
    return None


def server_name(message: bytes) -> str:
    """The host name that a client hello asks for, in small letters; empty when it names none.

    RFC 8446, 4.1.2 and RFC 6066, 3.

    Raises:
        NotAHello: it is no client hello, or names more than one.
    """
    reader = _Reader(message)
    if reader.number(1) != _CLIENT_HELLO:
        raise NotAHello("no client hello")
    reader = reader.vector(3)
    reader.take(2 + 32)  # version, random
    reader.vector(1)  # session
    reader.vector(2)  # ciphers
    reader.vector(1)  # compressions
    names: list[str] = []
    extensions = reader.vector(2) if reader.rest else _Reader(b"")
    if reader.rest:
        raise NotAHello("something follows the extensions")
    while extensions.rest:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == 0:
            names.append(_host_name(body))
    if len(names) > 1:
        raise NotAHello("several names")
    return names[0] if names else ""


def _host_name(body: _Reader) -> str:
    entries = body.vector(2)
    kind, name = entries.number(1), entries.vector(2).rest
    if kind != 0 or entries.rest or body.rest:
        raise NotAHello("several names, or one of another sort")
    try:
        return name.decode("ascii").lower()
    except UnicodeDecodeError:
        raise NotAHello("a name that is no host's") from None


@dataclass(slots=True)
class Guard:
    """Follows what a client of TLS says in the open: each hello of it must ask for a name that is allowed.

    A server may ask for a second hello (RFC 8446, 4.1.4), which is in the open, too, and could name another host; so
    what the server answers is looked at as well.

    Attributes:
        names: those allowed, in small letters.
        nameless: whether a hello that names nobody may pass.
        name: what the first hello asked for; None before it was whole.
    """

    names: Collection[str]
    nameless: bool = False
    name: str | None = None
    _held: bytes = b""
    _answer: bytes = b""
    _over: bool = False

    def feed(self, said: bytes) -> bytes:
        """What of all that the client said may pass on now.

        Raises:
            NotAHello: it names another host, or cannot be read.
        """
        self._held += said
        passed = b""
        while not self._over and (taken := self._piece()):
            passed, self._held = passed + self._held[:taken], self._held[taken:]
        if self._over:
            passed, self._held = passed + self._held, b""
        return passed

    def answered(self, said: bytes) -> None:
        """What the server said: only when it asks for a second hello does one follow."""
        if self._over or self.name is None:
            return
        self._answer += said
        hello, at = b"", 0
        while len(self._answer) >= at + 5 and self._answer[at] == _HANDSHAKE:
            length = int.from_bytes(self._answer[at + 3 : at + 5])
            hello += self._answer[at + 5 : at + 5 + length]
            at += 5 + length
        if len(hello) >= 38:
            self._over = not (hello[0] == _SERVER_HELLO and hello[6:38] == _ONCE_MORE)
        elif len(self._answer) > at and self._answer[at] != _HANDSHAKE:
            self._over = True  # an alert

    def refusal(self, why: NotAHello) -> bytes:
        """How a refusal is said to a client of TLS."""
        del why
        return ALERT

    def rest(self) -> bytes:
        """What may pass on when the client says no more: nothing that is half."""
        return b""

    def _piece(self) -> int:
        """How much at the beginning of what is held is whole and may pass; 0: more has to come."""
        if self.name is None or self._is_hello():
            found = message_in(self._held)
            if found is None:
                return 0
            self._check(server_name(found[0]))
            return found[1]
        if len(self._held) < 6:
            return 0
        if self._held[0] == _HANDSHAKE:
            self._over = True  # of an old version of TLS, after which no hello follows in the open
            return 0
        length = 5 + int.from_bytes(self._held[3:5])
        return length if len(self._held) >= length else 0

    def _is_hello(self) -> bool:
        return len(self._held) >= 6 and self._held[0] == _HANDSHAKE and self._held[5] == _CLIENT_HELLO

    def _check(self, name: str) -> None:
        if name not in self.names and (name or not self.nameless):
            raise NotAHello(f"it asks for {name[:100]!r}" if name else "it names no host")
        if self.name is not None and name != self.name:
            raise NotAHello("its second hello asks for another name")
        self._over = self.name is not None
        self.name = name


def strange_endpoint(start: bytes, names: Iterable[str]) -> str | None:
    """The endpoint that PostgreSQL's start message names in its options, if it is none of these hosts'.

    Neon takes it from there where no server name says it: `options=endpoint=ep-...`.

    Args:
        start: the message without its length and version.
        names: hosts.

    Raises:
        NotAHello: it is no start message.
    """
    if not start.endswith(b"\0\0"):
        raise NotAHello("no start message")
    words = start[:-2].split(b"\0")
    if len(words) % 2:
        raise NotAHello("no start message")
    allowed = {word for name in names for word in (name.lower(), name.lower().partition(".")[0])}
    for key, value in zip(words[::2], words[1::2], strict=True):
        if key == b"options":
            for named in _ENDPOINT.findall(value.replace(b"\\", b"").decode("utf-8", "replace")):
                if named.lower() not in allowed:
                    return str(named)
    return None
