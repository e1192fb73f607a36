"""What the pages ask of the server behind them, as a protocol and values. Does nothing itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from orchestrator.access import Caller
from orchestrator.approval import Guards
from orchestrator.dashboard.offers import Rules
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import Preview, Store
from orchestrator.lifecycle.promotions import Promotions


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as a page shows it."""

    message: str
    hint: str = ""
    detail: str = ""

    @classmethod
    def of(cls, error: OrchestratorError) -> "Problem":
        """From one of ours."""
        return cls(message=error.message, hint=error.hint, detail=error.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The last thing that was asked of the server about a preview or promotion.

    Attributes:
        id: of its own.
        running: whether it waits or runs.
        words: what it is, for a person: ``promote, asked by ada``.
        error: why it failed or was refused, or None.
        act: which act it is.
        on: the promotion that it takes back; empty for another act.
    """

    id: str
    running: bool
    words: str
    error: Problem | None = None
    act: str = ""
    on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the pages are.

    Attributes:
        origin: as browsers name it: ``http://localhost:7700``. Cookies know no port, and previews listen on
            127.0.0.1: on a laptop the pages are at another host name, so that no app ever gets their cookie.
        others: further origins that lead here; a GET there is sent to `origin`.
        local: whether a ticket is enough to come in; else it takes a token.
    """

    origin: str
    others: frozenset[str] = frozenset()
    local: bool = False

    @property
    def secure(self) -> bool:
        """Whether it is reached by TLS only."""
        return self.origin.startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; browsers bind `__Host-` to this host and to TLS."""
        port = self.origin.rsplit(":", 1)[-1].strip("/")
        return "__Host-preview" if self.secure else f"preview-{port if port.isdigit() else 80}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """What taking a promotion back would do.

    Attributes:
        does: what it would do and lose, a sentence each.
        digest: what a yes to it is bound to; writes in between do not change it.
    """

    does: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail that a preview's app sent, and that went nowhere.

    Attributes:
        id: of its own, fit for a path.
        subject, sender, to, at: its headers, decoded.
        text: its body as text.
        attachments: their names.
    """

    id: str
    subject: str
    sender: str
    to: str
    at: str
    text: str = ""
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A share link of a preview; not the link itself.

    Attributes:
        id: of its own, fit for a path.
        state: ``good``, ``expired`` or ``revoked``.
        note: whom it is for.
        made_by, made_at, expires_at, used_at: UTC, for a person; used_at is the last time, or empty.
    """

    id: str
    state: str
    note: str
    made_by: str
    made_at: str
    expires_at: str
    used_at: str


class Desk(Protocol):
    """The server behind the pages. Every method may be called from many threads at once."""

    @property
    def place(self) -> Place:
        """See Place."""

    @property
    def rules(self) -> Rules:
        """See Rules."""

    @property
    def guards(self) -> Guards:
        """What a yes must get past."""

    @property
    def project(self) -> str:
        """Whose previews these are."""

    def store(self, who: str) -> AbstractContextManager[Store]:
        """The diary."""

    def promotions(self, who: str) -> AbstractContextManager[Promotions]:
        """What was promoted."""

    def sign_in(self, token: str, *, address: str) -> Caller:
        """Who shows this token.

        Raises:
            NotRecognised: none that is good.
            TooOften: too many bad ones from this address.
        """

    def caller(self, token_id: str) -> Caller | None:
        """Whose session was opened with this token (empty: with a ticket); None when it is no good any more."""

    def forbids(self, verb: str, caller: Caller, preview: Preview | None) -> str:
        """Why this person may not do a verb on a preview (None: a new one, or a promotion); empty when they may."""

    def refused(self, caller: Caller | None, action: str, *, on: str, why: str) -> None:
        """Remember in the audit that something was refused here; None: nobody knows to whom."""

    def do(self, verb: str, name: str, arguments: Mapping[str, Any], caller: Caller) -> None:
        """Ask for a verb: done at once when it is quick, else begun; `job` tells how it goes on.

        Raises:
            OrchestratorError: it was refused, or it failed at once.
        """

    def reverting(self, promotion_id: str, caller: Caller, *, to_restore_point: bool = False) -> WayBack:
        """What taking a promotion back would do and lose; looked at now, in production.

        Raises:
            OrchestratorError: there is no way back, or production cannot be looked at.
        """

    def job(self, name: str) -> Job | None:
        """The last thing that was asked about a preview of this name, or about what was promoted of it."""

    def lines(self, name: str, after: int) -> tuple[int, Sequence[str]]:
        """What running steps of a preview said since a number, and the number to ask with next time."""

    def log(self, preview: Preview, service: str) -> Iterator[str]:
        """The last lines of the app or of a service, then those to come until it ends."""

    def services(self, preview: Preview) -> tuple[str, ...]:
        """What has a log; empty when it is the app alone."""

    def mails(self, preview: Preview) -> tuple[Mail, ...]:
        """What the app sent, newest first; without their texts."""

    def mail(self, preview: Preview, mail_id: str) -> Mail | None:
        """One of them, whole; None when there is none with this id."""

    def no_links(self) -> str:
        """Why no share link can be made here at all; empty when one can."""

    def forbids_sharing(self, caller: Caller, preview: Preview) -> str:
        """Why this person may not make and revoke share links of a preview; empty when they may."""

    def links(self, name: str, caller: Caller) -> tuple[Link, ...]:
        """The share links of a live preview, newest first.

        Raises:
            UnknownPreview: there is none of this name.
        """

    def make_link(self, name: str, caller: Caller, *, lasts: timedelta, note: str) -> str:
        """A new share link, whole: it is nowhere else.

        Raises:
            OrchestratorError: this person may not, there is no gateway, or it would last too long.
        """

    def revoke_link(self, name: str, caller: Caller, link_id: str) -> None:
        """Make a share link no good, also for those who came by it.

        Raises:
            OrchestratorError: this person may not, or there is no such link.
        """
