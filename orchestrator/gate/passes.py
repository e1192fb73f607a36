"""What lets somebody in: a signed cookie that is good on one host only, a token, a share link. Knows no HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from itsdangerous import BadData, URLSafeTimedSerializer

from orchestrator.gate.config import COOKIE, SECURE_COOKIE
from orchestrator.gate.table import Table
from orchestrator.lifecycle.looks import Glance

#: Every preview, in `Table.good`.
EVERY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A yes to somebody.

    Attributes:
        grants: what it hangs on, as in `Table.good`: when that is good no more, neither is the pass.
        who: for whom, as people call them.
    """

    grants: str
    who: str


class Passes:
    """Reads and writes passes.

    Args:
        key: what cookies are signed with.
        secure: whether browsers come by HTTPS.
        hours: how long a cookie lasts.
        recognise: who shows this token; None when it is none that is good. Blocking.
    """

    def __init__(
        self, key: bytes, *, secure: bool, hours: float, recognise: Callable[[str], Pass | None]
    ) -> None:
        self._serializer = URLSafeTimedSerializer(key, salt="preview-gate")
        self.cookie = SECURE_COOKIE if secure else COOKIE
        self.secure = secure
        self.seconds = int(hours * 3600)
        self.recognise = recognise

    def sealed(self, preview: Glance, given: Pass) -> str:
        """A cookie's value that lets in to this preview."""
        # The id, not the name: the name may be another preview's tomorrow.
        return str(self._serializer.dumps([preview.id, given.grants, given.who]))

    def opened(self, header: str | None, preview: Glance, table: Table) -> Pass | None:
        """The pass in a Cookie line, when it is ours, for this preview, in time, and what it hangs on is still good."""
        for value in _values(header, self.cookie):
            try:
                preview_id, grants, who = self._serializer.loads(value, max_age=self.seconds)
            except (BadData, ValueError, TypeError):
                continue
            if preview_id == preview.id and is_good(grants, preview, table.good):
                return Pass(grants=grants, who=who)
        return None


def is_good(grants: str, preview: Glance, good: Mapping[str, str]) -> bool:
    """Whether something lets in to this preview now."""
    return good.get(grants) in (EVERY, preview.id)


def _values(header: str | None, name: str) -> list[str]:
    """Every value of a cookie in a Cookie line; a client may send several of one name."""
    if not header or name not in header:
        return []
    found = []
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            jar: SimpleCookie = SimpleCookie()
            try:
                jar.load(f"{name}={value}")
            except CookieError:
                continue
            found += [morsel.value for morsel in jar.values()]
    return found
