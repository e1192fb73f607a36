"""TLS for computes whose PostgreSQL was built without it: a port per endpoint that is the server's own.

A client that asks for TLS is given it here and logs in here, by SCRAM with or without channel binding, against the
verifier that its role has in the compute; then it is logged in to the compute by what its proof revealed. Nobody is
trusted: who fails here is refused, and the compute asks for a proof as it always does. A client that asks for no TLS is
passed through unread. Decides no policy: what pg_hba.conf says, the compute says.
"""

import logging
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Final

from neon_embedded import scram
from neon_embedded.authority import Credential
from neon_embedded.listeners import Listeners

log: Final = logging.getLogger("neon_embedded")

_SSL_REQUEST: Final = 80877103
_GSS_REQUEST: Final = 80877104
_CANCEL_REQUEST: Final = 80877102
#: PostgreSQL takes at most so much before it knows who is there (MAX_STARTUP_PACKET_LENGTH).
_LONGEST_START: Final = 10_000
_LONGEST_SASL: Final = 10_000
#: As PostgreSQL's authentication_timeout.
_LOGIN_SECONDS: Final = 60.0
_CHUNK: Final = 65_536
_SASL, _SASL_CONTINUE, _SASL_FINAL = 10, 11, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """The means to reach what is behind a gate.

    Attributes:
        connect: a connection to the compute, which is woken for it.
        verifier: the SCRAM verifier of a role; None when it has none.
        credential: the certificate to show.
    """

    connect: Callable[[], socket.socket]
    verifier: Callable[[str], str | None]
    credential: Callable[[], Credential]


class _Closed(Exception):
    """The other side went away, or said what nobody says."""


class Gates:
    """All gates, watched by one thread; every connection is served by one of its own."""

    def __init__(self, compute_of: Callable[[str], Compute]) -> None:
        """``compute_of`` tells what is behind the gate of an endpoint."""
        self._compute_of: Final = compute_of
        self._listeners: Final = Listeners("gates", self._enter)

    def open(self, endpoint_id: str, port: int, addresses: Sequence[str]) -> None:
        """Listen for the endpoint; what is open already stays. Raises PortTaken."""
        self._listeners.open(endpoint_id, port, addresses)

    def shut(self, endpoint_id: str) -> None:
        """Leave the port."""
        self._listeners.shut(endpoint_id)

    def close(self) -> None:
        """Leave all ports. Connections that are open end with their compute."""
        self._listeners.close()

    def _enter(self, endpoint_id: str, client: socket.socket) -> None:
        threading.Thread(
            target=self._serve, args=(endpoint_id, client), name=f"gate {endpoint_id}", daemon=True
        ).start()

    def _serve(self, endpoint_id: str, client: socket.socket) -> None:
        try:
            _serve(self._compute_of(endpoint_id), client)
        except (OSError, _Closed, scram.ScramDenied) as error:
            log.debug("a connection at the gate of %s ended: %s", endpoint_id, error)
        except Exception as error:  # noqa: BLE001 - a thread of its own; no text of it may hold what was sent
            log.warning("a connection at the gate of %s broke: %s", endpoint_id, type(error).__name__)
        finally:
            client.close()


def _serve(compute: Compute, client: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.settimeout(_LOGIN_SECONDS)
    with ExitStack() as open_sockets:
        first, code = _first_packet(client)
        binding: bytes | None = None
        while code in {_SSL_REQUEST, _GSS_REQUEST}:
            if code == _SSL_REQUEST and binding is None:
                credential = compute.credential()
                client.sendall(b"S")
                client = open_sockets.enter_context(credential.context.wrap_socket(client, server_side=True))
                binding = credential.binding
            else:
                client.sendall(b"N")
            first, code = _first_packet(client)
        behind = open_sockets.enter_context(closing(compute.connect()))
        behind.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        behind.settimeout(_LOGIN_SECONDS)
        behind.sendall(first)
        if binding is not None and code != _CANCEL_REQUEST:
            _log_in(compute, client, behind, first, binding)
        for each in (client, behind):
            each.settimeout(None)
        _pump(client, behind)


def _log_in(
    compute: Compute, client: socket.socket, behind: socket.socket, first: bytes, binding: bytes
) -> None:
    """Take part in the login until both sides have proven themselves. Raises ScramDenied, _Closed."""
    while True:
        kind, body = _message(behind)
        if kind == b"R" and _code(body) == _SASL:
            break
        client.sendall(_packed(kind, body))
        if kind != b"v":  # refused, or let in without a proof: what follows is between the two of them
            return
    role = _parameters(first).get("user", "")
    found = compute.verifier(role)
    try:
        verifier = scram.Verifier.parse(found or "")
    except ValueError:
        verifier = scram.Verifier.of_nobody()
    offered = f"{scram.PLUS}\0{scram.PLAIN}\0\0".encode()
    client.sendall(_packed(b"R", struct.pack("!i", _SASL) + offered))
    mechanism, _, rest = _answer(client).partition(b"\0")
    try:
        server = scram.Server(verifier, binding=binding, mechanism=mechanism.decode("ascii", "replace"))
        challenge = server.first(rest[4:].decode("ascii"))
        client.sendall(_packed(b"R", struct.pack("!i", _SASL_CONTINUE) + challenge.encode()))
        final, client_key = server.final(_answer(client).decode("ascii"))
    except (scram.ScramDenied, UnicodeDecodeError):
        client.sendall(_fatal("28P01", f'password authentication failed for user "{role}"'))
        raise _Closed("denied") from None
    ours = scram.Client(verifier, client_key)
    text = ours.first().encode()
    behind.sendall(_packed(b"p", scram.PLAIN.encode() + b"\0" + struct.pack("!i", len(text)) + text))
    challenged = _continuation(client, behind, _SASL_CONTINUE)
    behind.sendall(_packed(b"p", ours.final(challenged).encode()))
    ours.check(_continuation(client, behind, _SASL_FINAL))
    client.sendall(_packed(b"R", struct.pack("!i", _SASL_FINAL) + final.encode()))


def _continuation(client: socket.socket, behind: socket.socket, wanted: int) -> str:
    kind, body = _message(behind)
    if kind != b"R" or _code(body) != wanted:
        client.sendall(_packed(kind, body))
        raise _Closed("the compute refused")
    return body[4:].decode("ascii")


def _answer(client: socket.socket) -> bytes:
    kind, body = _message(client, longest=_LONGEST_SASL)
    if kind != b"p":
        raise _Closed("no answer to the challenge")
    return body


def _first_packet(client: socket.socket) -> tuple[bytes, int]:
    head = _exactly(client, 8)
    length, code = struct.unpack("!ii", head)
    if not 8 <= length <= _LONGEST_START:
        raise _Closed("not PostgreSQL's protocol")
    return head + _exactly(client, length - 8), code


def _message(source: socket.socket, *, longest: int = 1_000_000) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    (length,) = struct.unpack("!i", head[1:])
    if not 4 <= length <= longest:
        raise _Closed("not PostgreSQL's protocol")
    return head[:1], _exactly(source, length - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    got = bytearray()
    while len(got) < count:
        part = source.recv(count - len(got))
        if not part:
            raise _Closed("gone")
        got += part
    return bytes(got)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _code(body: bytes) -> int:
    return int(struct.unpack("!i", body[:4])[0]) if len(body) >= 4 else -1


def _parameters(first: bytes) -> dict[str, str]:
    words = [word.decode(errors="replace") for word in first[8:].split(b"\0")]
    return dict(zip(words[::2], words[1::2], strict=False))


def _fatal(code: str, message: str) -> bytes:
    fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0"
    return _packed(b"E", fields.encode())


def _pump(client: socket.socket, behind: socket.socket) -> None:
    """Bytes both ways until one side ends; a side that reads slowly slows the other, not the other way."""
    other = {client: behind, behind: client}
    waiting = {client: b"", behind: b""}
    for each in other:
        each.setblocking(False)
    with selectors.DefaultSelector() as selector:
        while True:
            wants, moved = {client: 0, behind: 0}, False
            for source, target in other.items():
                if not waiting[target]:
                    with _noting(wants, source, selectors.EVENT_READ):
                        waiting[target] = source.recv(_CHUNK)
                        if not waiting[target]:
                            return
                if waiting[target]:
                    with _noting(wants, target, selectors.EVENT_WRITE):
                        waiting[target] = waiting[target][target.send(waiting[target]) :]
                        moved = True
            if moved:
                continue  # TLS may hold more already, of which the kernel knows nothing
            registered = selector.get_map()
            for each, want in wants.items():
                if each in registered:
                    selector.unregister(each)
                if want:
                    selector.register(each, want)
            selector.select()


@contextmanager
def _noting(wants: dict[socket.socket, int], each: socket.socket, usual: int) -> Iterator[None]:
    """Note what the socket waits for when it can go no further now (TLS may read in order to write)."""
    try:
        yield
    except ssl.SSLWantReadError:
        wants[each] |= selectors.EVENT_READ
    except ssl.SSLWantWriteError:
        wants[each] |= selectors.EVENT_WRITE
    except BlockingIOError:
        wants[each] |= usual
