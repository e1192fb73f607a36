"""Who may come in: the host that was asked for, the session, and forms that were made by us. Renders nothing."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from orchestrator.access import Caller
from orchestrator.dashboard.desk import Desk
from orchestrator.dashboard.sessions import SESSION_SECONDS, Session, Sessions
from orchestrator.errors import NotAllowed, OrchestratorError

_MOST_FIELDS = 300


class Elsewhere(Exception):
    """The browser has to go to another page first.

    Attributes:
        to: where.
    """

    def __init__(self, to: str) -> None:
        super().__init__(to)
        self.to = to


class WrongHost(OrchestratorError):
    """A host was asked for that is none of ours: another name may have been made to point here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody with a session.

    Attributes:
        caller: who, with which role.
        session: see Session.
    """

    caller: Caller
    session: Session

    @property
    def whose(self) -> str:
        """One word for this person: their token's id, or on a laptop their session."""
        return self.session.token or self.session.nonce

    def shown(self) -> dict[str, Any]:
        """What every page needs of them."""
        return {"caller": self.caller, "csrf": self.session.csrf}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A form that this very browser was given by us."""

    visitor: Visitor
    form: FormData

    def text(self, name: str) -> str:
        """A field's text; empty when it is not there, and without what no database keeps."""
        value = self.form.get(name, "")
        return value.replace("\0", "").strip() if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """All values of a field."""
        return [value.replace("\0", "") for value in self.form.getlist(name) if isinstance(value, str)]


class Entrance:
    """Dependencies of the pages.

    Args:
        desk: who knows the callers.
        sessions: see Sessions.
    """

    def __init__(self, desk: Desk, sessions: Sessions) -> None:
        self._desk = desk
        self._sessions = sessions

    def host(self, request: Request) -> None:
        """Refuse a name that is none of ours; send a GET of one of our other names to the right one.

        Raises:
            WrongHost: somebody made another name point to this address (DNS rebinding).
            Elsewhere: it is one of our other names.
        """
        place = self._desk.place
        asked = request.headers.get("host", "").lower()
        if asked == urlsplit(place.origin).netloc:
            return
        if any(asked == urlsplit(other).netloc for other in place.others) and request.method in (
            "GET",
            "HEAD",
        ):
            query = f"?{request.url.query}" if request.url.query else ""
            raise Elsewhere(f"{place.origin}{quote(request.url.path)}{query}")
        self._remember(request, f"the host {asked[:100]!r}")
        raise WrongHost("this address has no page for that host name", hint=f"open {place.origin}/")

    def visitor(self, request: Request) -> Visitor:
        """Who has a session; blocking.

        Raises:
            Elsewhere: nobody; to the page where one signs in.
        """
        self.host(request)
        cookie = request.cookies.get(self._desk.place.cookie)
        session = self._sessions.read(cookie) if cookie else None
        caller = self._desk.caller(session.token) if session else None
        if session is None or caller is None:
            back = (
                request.url.path if request.method == "GET" and "hx-request" not in request.headers else "/"
            )
            raise Elsewhere(f"/login?next={quote(back, safe='')}" if back != "/" else "/login")
        return Visitor(caller=caller, session=session)

    async def form(self, request: Request) -> FormData:
        """A form without files, from a page of ours.

        Raises:
            NotAllowed: another site sent it, or the browser does not say which.
        """
        await run_in_threadpool(self.same_origin, request)
        return await request.form(max_files=0, max_fields=_MOST_FIELDS)

    def same_origin(self, request: Request) -> None:
        """Refuse what another site made the browser send; blocking.

        SameSite is not enough: previews may be the same site.

        Raises:
            NotAllowed: it came from elsewhere.
        """
        self.host(request)
        said = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site")
        same = said == self._desk.place.origin if said is not None else site == "same-origin"
        if not same or site not in (None, "same-origin"):
            self._remember(request, f"a form of another page: {(said or site or 'nobody says which')[:100]}")
            raise NotAllowed(
                "this form was not sent by a page of this dashboard",
                hint="open the page again and send it from there",
            )

    def _remember(self, request: Request, why: str) -> None:
        address = request.client.host if request.client else "unknown"
        self._desk.refused(None, f"{request.method} {request.url.path}", on=address, why=why)

    def sent(self, visitor: Visitor, form: FormData) -> Sent:
        """A form of this very session.

        Raises:
            NotAllowed: it was made for another session, or by somebody else.
        """
        given = form.get("csrf", "")
        if not isinstance(given, str) or not visitor.session.agrees(given):
            self._desk.refused(visitor.caller, "form", on="", why="a word of another session")
            raise NotAllowed(
                "this form belongs to another session", hint="open the page again and send it from there"
            )
        return Sent(visitor=visitor, form=form)

    def begin(self, token: str, to: str) -> RedirectResponse:
        """An answer that begins a session and goes on to a page of ours."""
        place = self._desk.place
        answer = RedirectResponse(inside(to), status_code=303)
        answer.set_cookie(
            place.cookie,
            self._sessions.begin(token),
            max_age=SESSION_SECONDS,
            httponly=True,
            secure=place.secure,
            samesite="strict" if place.local else "lax",
            path="/",
        )
        return answer

    def end(self) -> RedirectResponse:
        """An answer that ends the session in this browser."""
        place = self._desk.place
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(place.cookie, path="/", secure=place.secure, httponly=True)
        return answer


def inside(path: str) -> str:
    """A path of ours, whatever somebody wrote into `next`."""
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and "\\" not in path
    return path if fine and path.isprintable() and not urlsplit(path).netloc else "/"
