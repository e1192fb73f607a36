"""SCRAM-SHA-256 from both sides, by verifier: no password is ever known here. Pure but for random numbers.

Sources: RFC 5802, RFC 7677, RFC 5929 (tls-server-end-point), PostgreSQL docs, "SASL Authentication". Who is proven to
know the password reveals the client key by the proof, and with that key one may log in elsewhere by the same
verifier: so the gate can vouch for a client to the compute behind it.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

PLAIN: Final = "SCRAM-SHA-256"
PLUS: Final = "SCRAM-SHA-256-PLUS"


class ScramDenied(Exception):
    """The other side did not prove what it had to, or did not follow the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What PostgreSQL keeps of a password (``pg_authid.rolpassword``)."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read ``SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>``. Raises ValueError."""
        kind, first, second = text.split("$")
        iterations, salt = first.split(":")
        stored, server = second.split(":")
        if kind != PLAIN:
            raise ValueError("not a SCRAM-SHA-256 verifier")
        return cls(
            iterations=int(iterations),
            salt=base64.b64decode(salt),
            stored_key=base64.b64decode(stored),
            server_key=base64.b64decode(server),
        )

    @classmethod
    def of_nobody(cls) -> "Verifier":
        """One that no password fits, for roles that do not exist: a stranger learns nothing of that."""
        key = secrets.token_bytes
        return cls(iterations=4096, salt=key(16), stored_key=key(32), server_key=key(32))


class Server:
    """The side that asks for a proof.

    Args:
        verifier: of the role.
        binding: hash of our certificate.
        mechanism: the one that the client chose.
    """

    def __init__(self, verifier: Verifier, *, binding: bytes, mechanism: str) -> None:
        if mechanism not in {PLAIN, PLUS}:
            raise ScramDenied("unknown SASL mechanism")
        self._verifier: Final = verifier
        self._binding: Final = binding
        self._plus: Final = mechanism == PLUS
        self._header = ""
        self._nonce = ""
        self._so_far = ""

    def first(self, message: str) -> str:
        """The server-first message for a client-first message. Raises ScramDenied."""
        flag, _, rest = message.partition(",")
        identity, _, bare = rest.partition(",")
        wanted = flag == "p=tls-server-end-point" if self._plus else flag == "n"
        # "y": the client could bind the channel and was told that we cannot. We can, so somebody is between us.
        if not wanted or identity:
            raise ScramDenied("channel binding was negotiated wrongly")
        self._header = f"{flag},{identity},"
        nonce = _fields(bare).get("r", "")
        if not nonce:
            raise ScramDenied("no nonce")
        self._nonce = nonce + base64.b64encode(secrets.token_bytes(18)).decode()
        salt = base64.b64encode(self._verifier.salt).decode()
        answer = f"r={self._nonce},s={salt},i={self._verifier.iterations}"
        self._so_far = f"{bare},{answer}"
        return answer

    def final(self, message: str) -> tuple[str, bytes]:
        """The server-final message for a client-final message, and the client key. Raises ScramDenied."""
        without, _, proof = message.rpartition(",p=")
        fields = _fields(without)
        bound = self._header.encode() + (self._binding if self._plus else b"")
        if not hmac.compare_digest(fields.get("c", "").encode(), base64.b64encode(bound)):
            raise ScramDenied("channel binding does not match")
        if not self._nonce or fields.get("r") != self._nonce:
            raise ScramDenied("nonce does not match")
        text = f"{self._so_far},{without}".encode()
        signature = _mac(self._verifier.stored_key, text)
        try:
            client_key = _xor(base64.b64decode(proof, validate=True), signature)
        except ValueError:
            raise ScramDenied("malformed proof") from None
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key):
            raise ScramDenied("wrong password")
        return f"v={base64.b64encode(_mac(self._verifier.server_key, text)).decode()}", client_key


class Client:
    """The side that proves, by a client key that fits the verifier."""

    def __init__(self, verifier: Verifier, client_key: bytes) -> None:
        self._verifier: Final = verifier
        self._client_key: Final = client_key
        self._bare: Final = f"n=,r={base64.b64encode(secrets.token_bytes(18)).decode()}"
        self._text = b""

    def first(self) -> str:
        """The client-first message."""
        return f"n,,{self._bare}"

    def final(self, message: str) -> str:
        """The client-final message for a server-first message. Raises ScramDenied."""
        fields = _fields(message)
        salt = base64.b64encode(self._verifier.salt).decode()
        same = fields.get("s") == salt and fields.get("i") == str(self._verifier.iterations)
        if not same or not fields.get("r", "").startswith(_fields(self._bare)["r"]):
            raise ScramDenied("the password was changed meanwhile")
        without = f"c={base64.b64encode(b'n,,').decode()},r={fields['r']}"
        self._text = f"{self._bare},{message},{without}".encode()
        proof = _xor(self._client_key, _mac(self._verifier.stored_key, self._text))
        return f"{without},p={base64.b64encode(proof).decode()}"

    def check(self, message: str) -> None:
        """See that the server knows the verifier. Raises ScramDenied."""
        expected = f"v={base64.b64encode(_mac(self._verifier.server_key, self._text)).decode()}"
        if not hmac.compare_digest(message, expected):
            raise ScramDenied("the compute did not prove itself")


def _fields(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in text.split(","))}


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))
