"""Who is at the browser: signed cookies, a word against forged forms, tickets that open a session once. No I/O."""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

#: A session ends by itself, however busy; signing in again is a moment's work.
SESSION_SECONDS = 12 * 3600
#: A ticket is in a URL, and so in a shell's history: it is good for a moment, and once.
TICKET_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that signed in.

    Attributes:
        token: the id of the token that it signed in with; empty on a laptop, where a ticket is enough.
        nonce: what makes this session another than the next.
        csrf: what every form of this session carries; nobody can tell it from outside.
    """

    token: str
    nonce: str
    csrf: str

    def agrees(self, shown: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(self.csrf.encode(), shown.encode())


class Sessions:
    """Sessions and tickets; nothing is kept but which tickets were used.

    Args:
        key: signs; the same on every server of a store, so that any of them takes a session.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._sessions = URLSafeTimedSerializer(key, salt="preview.session")
        self._tickets = URLSafeTimedSerializer(key, salt="preview.ticket")
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, token: str) -> str:
        """A cookie's value for somebody who has just shown who they are."""
        return str(self._sessions.dumps({"token": token, "nonce": secrets.token_hex(16)}))

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None when it is not one of ours or too old."""
        try:
            value = self._sessions.loads(cookie, max_age=SESSION_SECONDS)
        except BadData:
            return None
        return self._session(value)

    def _session(self, value: Mapping[str, str]) -> Session:
        word = hmac.new(self._key, f"csrf {value['nonce']}".encode(), hashlib.sha256).hexdigest()
        return Session(token=value["token"], nonce=value["nonce"], csrf=word)

    def ticket(self) -> str:
        """Opens a session without a token: for whoever can read this machine's state, which is its owner."""
        return str(self._tickets.dumps(secrets.token_hex(16)))

    def redeem(self, ticket: str) -> bool:
        """Whether a ticket is good; it is not any more after that."""
        try:
            nonce = str(self._tickets.loads(ticket, max_age=TICKET_SECONDS))
        except BadData:
            return False
        now = time.monotonic()
        with self._lock:
            self._used = {each: at for each, at in self._used.items() if now - at < TICKET_SECONDS + 60}
            if nonce in self._used:
                return False
            self._used[nonce] = now
        return True
