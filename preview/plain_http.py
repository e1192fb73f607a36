"""A request in plain HTTP (RFC 9112), read before it goes on: it must ask for a host that is allowed. Pure.

Only the first request of a connection is read; it goes on with `Connection: close`, after which a server answers no
other one. Whatever is not exactly as the standard has it is refused, not guessed at.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from preview.hello import LARGEST_HELLO, NotAHello

_REQUEST = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([01])")
#: What a lenient server might still take for a request: it is looked at as one, and then refused.
_LIKE_ONE = re.compile(rb"[^\n]*\sHTTP/\d", re.IGNORECASE)
#: How a line begins that may still become one: a method, then whatever a lenient server takes for a space.
_MAY_BE_ONE = re.compile(rb"\s*[!#$%&'*+.^_`|~0-9A-Za-z-]*(?:\s.*)?", re.DOTALL)
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_AUTHORITY = re.compile(r"([a-z0-9.-]+?)\.?(?::\d{0,5})?")
_END = re.compile(rb"\r?\n\r?\n")
#: They are for this connection only, and say what comes after the request.
_HOP: Final = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings"})


@dataclass(slots=True)
class RequestGuard:
    """Follows what a client says: a request in plain HTTP must name a host that is allowed; other protocols pass.

    Attributes:
        names: those allowed, in small letters.
        nameless: whether a request that names nobody, and what is no HTTP, may pass.
        name: what the request asked for; None before it was whole, empty when it named none.
    """

    names: Collection[str]
    nameless: bool = False
    name: str | None = None
    _held: bytes = b""

    def feed(self, said: bytes) -> bytes:
        """What of all that the client said may pass on now.

        Raises:
            NotAHello: it names another host, or cannot be read.
        """
        if self.name is not None:
            return said
        self._held += said
        first = self._held.lstrip(b"\r\n")
        line, ended, _ = first.partition(b"\n")
        if not ended and _MAY_BE_ONE.fullmatch(first):
            if len(first) > LARGEST_HELLO:
                raise NotAHello("its first line is too long")
            return b""
        if not ended or not _LIKE_ONE.match(line):
            return self._passed("", self._held)
        end = _END.search(first)
        if end is None:
            if len(first) > LARGEST_HELLO:
                raise NotAHello("the request's head is too large")
            return b""
        return self._passed(*_read(first[: end.start()]), rest=first[end.end() :])

    def answered(self, said: bytes) -> None:
        """What the server said does not matter."""

    def refusal(self, why: NotAHello) -> bytes:
        """How a refusal is said to a client of HTTP (RFC 9110, 15.5.20)."""
        said = f"this way leads to {', '.join(sorted(self.names))} only, and {why}\n".encode()
        return (
            b"HTTP/1.1 421 Misdirected Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n" % len(said) + said
        )

    def rest(self) -> bytes:
        """What may pass on when the client says no more: what was no request yet never becomes one."""
        held, self._held = self._held, b""
        return held if self.nameless and not _LIKE_ONE.match(held.lstrip(b"\r\n")) else b""

    def _passed(self, name: str, head: bytes, rest: bytes = b"") -> bytes:
        if name not in self.names and (name or not self.nameless):
            raise NotAHello(f"it asks for {name[:100]!r}" if name else "it does not say for which host it is")
        self.name, self._held = name, b""
        return head + rest


def _read(head: bytes) -> tuple[str, bytes]:
    """The host that a request's head asks for, and the head as it goes on; a name is empty where there is none."""
    lines = [line.removesuffix("\r") for line in head.decode("latin-1").split("\n")]
    request = _REQUEST.fullmatch(lines[0])
    if request is None:
        raise NotAHello("its request line cannot be read")
    fields = []
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise NotAHello("a header line cannot be read")
        fields.append((field[1], field[2].strip(" \t")))
    hosts = [value for key, value in fields if key.lower() == "host"]
    if len(hosts) > 1:
        raise NotAHello("several hosts")
    names = {_host(value) for value in hosts}
    target = request[2]
    if target.lower().startswith(("http://", "https://")):
        names.add(_host(re.split(r"[/?#]", target.partition("://")[2], maxsplit=1)[0]))
    elif not target.startswith("/") and target != "*":  # CONNECT, for example, which is for a proxy
        names.add(_host(target))
    if len(names) > 1:
        raise NotAHello("several hosts")
    kept = [f"{key}: {value}" for key, value in fields if key.lower() not in _HOP]
    text = "\r\n".join((lines[0], *kept, "Connection: close", "", ""))
    return (names.pop() if names else ""), text.encode("latin-1")


def _host(authority: str) -> str:
    found = _AUTHORITY.fullmatch(authority.lower())
    if found is None:
        raise NotAHello(f"it asks for {authority[:100]!r}")
    return found[1]
