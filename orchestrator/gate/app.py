"""The gate as an ASGI application: what Caddy asks about each request, and the gate's own pages. Opens no port.

The event loop stays here, at the edge: what blocks runs in threads, once for all who wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from orchestrator.errors import OrchestratorError
from orchestrator.gate import pages
from orchestrator.gate.config import TOKEN, UPSTREAM
from orchestrator.gate.hosts import RESERVED, host_name, own_path, preview_name
from orchestrator.gate.origins import is_own
from orchestrator.gate.passes import Pass, Passes
from orchestrator.gate.table import Reading, serves, upstream
from orchestrator.gate.waking import Waking
from orchestrator.lifecycle.looks import Glance
from orchestrator.sections import GatewaySection

#: How long a request waits for a preview to wake: a page is shown soon, a program would rather have the answer.
PAGE_PATIENCE_SECONDS = 1.0
PATIENCE_SECONDS = 20.0
WRITE_SECONDS = 5.0
_LARGEST_FORM = 4096
_BEARER = "bearer "


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What the gate works with.

    Attributes:
        gateway: the settings.
        reading: the previews.
        waking: wakes them.
        passes: who may come in.
        open_share: the pass that a share link's secret gives to the preview with an id; blocking.
        write_visits: remembers when previews were asked for; blocking.
    """

    gateway: GatewaySection
    reading: Reading
    waking: Waking
    passes: Passes
    open_share: Callable[[str, str], Pass | None]
    write_visits: Callable[[Mapping[str, datetime]], None]


def make_gate(gate: Gate) -> Starlette:
    """The application."""
    door = _Door(gate)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        writing = asyncio.create_task(door.write_now_and_then())
        yield
        writing.cancel()
        await door.write()
        gate.waking.close()

    routes = [
        Route("/gate", door.admit),
        Route("/gate/name", door.name),
        Route("/gate/unreachable", door.unreachable),
        Route(f"{RESERVED}login", door.ask_token, methods=["GET"]),
        Route(f"{RESERVED}login", door.take_token, methods=["POST"]),
        Route(f"{RESERVED}logout", door.logout, methods=["POST"]),
        Route(f"{RESERVED}share/{{secret}}", door.share),
        Route(f"{RESERVED}{{rest:path}}", door.nothing),
    ]
    return Starlette(routes=routes, lifespan=life, exception_handlers={OrchestratorError: door.blind})


class _Door:
    """The routes."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._asked: dict[str, datetime] = {}

    async def admit(self, request: Request) -> Response:
        """What Caddy asks about a request: where it goes, or what is said instead."""
        preview = await self._preview(request)
        if preview is None:
            return self._unknown(request)
        if self._gate.gateway.private:
            if not await self._pass(request, preview):
                return self._turned_away(request, preview)
            if "service-worker" in request.headers and not self._gate.gateway.service_workers:
                # It would stand before every page of this host, the login page among them, and read what is typed.
                return pages.say(
                    "A private preview takes no service worker",
                    ("service_workers = true under [gateway] allows them.",),
                    status=403,
                    browser=False,
                )
        self._asked[preview.id] = datetime.now(UTC)
        if preview.sleeping and serves(preview):
            awake = await self._woken(request, preview)
            if isinstance(awake, Response):
                return awake
            preview = awake
        if not serves(preview):
            return self._not_there(request, preview)
        return Response(headers={UPSTREAM: upstream(preview)})

    async def name(self, request: Request) -> Response:
        """Whether a name may have a certificate."""
        asked, domain = request.query_params.get("domain", ""), self._gate.gateway.domain
        known = host_name(asked) == domain or await self._named(preview_name(asked, domain)) is not None
        return Response(status_code=200 if known else 403)

    async def unreachable(self, request: Request) -> Response:
        """What is said when the app does not answer where it should be."""
        preview = await self._preview(request, anew=True)
        if preview is None:
            return self._unknown(request)
        if self._gate.gateway.private and not await self._pass(request, preview):
            return self._turned_away(request, preview)
        return pages.say(
            f"{preview.name} does not answer",
            (
                "The app closed the connection, or it does not run any more.",
                f"preview logs {preview.name} shows what it said; preview up {preview.name} starts it again.",
            ),
            status=502,
            browser=_browser(request),
        )

    async def ask_token(self, request: Request) -> Response:
        """The login page."""
        preview = await self._preview(request)
        if preview is None:
            return self._unknown(request)
        to = own_path(request.query_params.get("to"))
        if not self._gate.gateway.private or await self._pass(request, preview):
            return RedirectResponse(to, status_code=303, headers={"Cache-Control": "no-store"})
        return pages.login(name=preview.name, to=to, status=200, server=self._server(request, to))

    async def take_token(self, request: Request) -> Response:
        """A token from the login page, for a cookie."""
        preview = await self._preview(request)
        if preview is None:
            return self._unknown(request)
        if not is_own(request.headers, request.method):
            return pages.say("This form is another page's", status=403, browser=_browser(request))
        form = await _form(request)
        to = own_path(form.get("to"))
        given = await asyncio.to_thread(self._gate.passes.recognise, form.get("token", "").strip())
        if given is None:
            wrong = "This token is not known, has expired or was revoked."
            return pages.login(
                name=preview.name, to=to, status=403, server=self._server(request, to), wrong=wrong
            )
        return self._let_in(preview, given, to)

    async def share(self, request: Request) -> Response:
        """A share link, for a cookie."""
        preview = await self._preview(request)
        if preview is None:
            return self._unknown(request)
        given = await asyncio.to_thread(self._gate.open_share, request.path_params["secret"], preview.id)
        if given is None:
            return pages.say(
                "This link is not good any more",
                ("It has expired, was revoked, or is another preview's. Ask for a new one.",),
                status=403,
                browser=_browser(request),
            )
        return self._let_in(preview, given, own_path(request.query_params.get("to")))

    async def logout(self, request: Request) -> Response:
        """Forget the cookie."""
        answer = pages.say("You are logged out of this preview", status=200, browser=_browser(request))
        self._set_cookie(answer, "", seconds=0)
        return answer

    async def nothing(self, request: Request) -> Response:
        """What the reserved path has nothing for."""
        return pages.say("There is nothing here", status=404, browser=_browser(request))

    async def blind(self, request: Request, error: Exception) -> Response:
        """What is said when the diary does not answer: nobody is let in on what was good once."""
        del error
        return pages.say(
            "The previews cannot be looked up right now",
            ("Their diary does not answer.",),
            status=503,
            browser=_browser(request),
            again=3,
        )

    # the pieces

    async def _preview(self, request: Request, *, anew: bool = False) -> Glance | None:
        return await self._named(
            preview_name(request.headers.get("host", ""), self._gate.gateway.domain), anew=anew
        )

    async def _named(self, name: str | None, *, anew: bool = False) -> Glance | None:
        if name is None:
            return None
        table = await self._gate.reading.table(anew=anew)
        found = table.previews.get(name)
        if found is None and not anew:  # it may have been made a moment ago
            found = (await self._gate.reading.table(anew=True)).previews.get(name)
        return found

    async def _pass(self, request: Request, preview: Glance) -> Pass | None:
        shown = request.headers.get(TOKEN) or _ours(request.headers.get("authorization"))
        if shown:
            return await asyncio.to_thread(self._gate.passes.recognise, shown.strip())
        if not is_own(request.headers, _method(request)):
            return None
        # Starlette gives the first Cookie line only; a client may send several.
        cookies = "; ".join(request.headers.getlist("cookie"))
        return self._gate.passes.opened(cookies, preview, await self._gate.reading.table())

    async def _woken(self, request: Request, preview: Glance) -> Glance | Response:
        """The preview, awake; or what is said while it is not."""
        # Nothing is awaited from this look until the wake has begun: it is not begun for one that just woke.
        preview = (await self._gate.reading.table()).previews.get(preview.name, preview)
        if not preview.sleeping:
            return preview
        browser = _browser(request)
        # A page is shown soon; whoever would not ask again by itself gets the answer itself.
        patience = PAGE_PATIENCE_SECONDS if browser else PATIENCE_SECONDS
        try:
            awake = await self._gate.waking.awake(preview.id, patience)
        except OrchestratorError as error:
            return pages.say(
                f"{preview.name} does not wake",
                (error.message, *((f"next: {error.hint}",) if error.hint else ())),
                status=503,
                browser=browser,
                again=10,
            )
        if awake:
            return (await self._gate.reading.table()).previews.get(preview.name, preview)
        words = ("Nobody has asked for it in a while. It starts now, which takes a few seconds.",)
        return pages.say(f"{preview.name} wakes up", words, status=503, browser=browser, again=2)

    def _let_in(self, preview: Glance, given: Pass, to: str) -> Response:
        answer = RedirectResponse(
            to, status_code=303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        )
        self._set_cookie(answer, self._gate.passes.sealed(preview, given), seconds=self._gate.passes.seconds)
        return answer

    def _set_cookie(self, answer: Response, value: str, *, seconds: int) -> None:
        # No domain: the browser gives it back to this very host only.
        answer.set_cookie(
            self._gate.passes.cookie,
            value,
            max_age=seconds,
            path="/",
            secure=self._gate.passes.secure,
            httponly=True,
            samesite="lax",
        )

    def _server(self, request: Request, to: str) -> str | None:
        """Where a login of the team's server is exchanged for a cookie here."""
        if self._gate.gateway.server_url is None:
            return None
        host = request.headers.get("host", "")
        return f"{self._gate.gateway.server_url}/gate/enter?host={quote(host)}&to={quote(to, safe='')}"

    def _turned_away(self, request: Request, preview: Glance) -> Response:
        uri = request.headers.get("x-forwarded-uri", "/")
        if urlsplit(uri).path == "/robots.txt":
            return PlainTextResponse("User-agent: *\nDisallow: /\n")
        if _browser(request):
            to = f"{RESERVED}login?to={quote(own_path(uri), safe='')}"
            return RedirectResponse(to, status_code=302, headers={"Cache-Control": "no-store"})
        return pages.say(
            f"{preview.name} is private",
            (f"Send a token as {TOKEN}; `preview token create` makes one.",),
            status=401,
            browser=False,
            headers={"WWW-Authenticate": 'Bearer realm="preview"'},
        )

    def _unknown(self, request: Request) -> Response:
        return pages.say(
            "There is no such preview",
            (
                "It may have been promoted or discarded, or its name is another one.",
                "preview list shows those that there are.",
            ),
            status=404,
            browser=_browser(request),
        )

    def _not_there(self, request: Request, preview: Glance) -> Response:
        if preview.state.working:
            words: tuple[str, ...] = (f"It is {preview.state} right now.",)
            return pages.say(
                f"{preview.name} is being made", words, status=503, browser=_browser(request), again=3
            )
        words = (f"It is {preview.state}.", *((preview.error,) if preview.error else ()))
        hint = f"preview show {preview.name} says more."
        return pages.say(
            f"{preview.name} has no app to show", (*words, hint), status=503, browser=_browser(request)
        )

    # visits

    async def write_now_and_then(self) -> None:
        """Write down who was asked for, all of them at once."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write it down now; what could not be written is written the next time."""
        asked, self._asked = self._asked, {}
        if not asked:
            return
        try:
            await asyncio.to_thread(self._gate.write_visits, asked)
        except OrchestratorError:
            self._asked = {**asked, **self._asked}


def _method(request: Request) -> str:
    """The method of the request that Caddy asks about; of a request to us, its own."""
    return request.headers.get("x-forwarded-method") or request.method


def _browser(request: Request) -> bool:
    """Whether a person waits for a page; else a program, or a page's own script or picture, asks."""
    # A form that is sent to the app gets no page that asks again by itself: its fields would be lost.
    if _method(request) not in ("GET", "HEAD"):
        return False
    if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        return False
    return "text/html" in request.headers.get("accept", "")


def _ours(authorization: str | None) -> str | None:
    """A token of ours in an Authorization line; the app's own are none of our business."""
    if authorization is None or not authorization.lower().startswith(_BEARER):
        return None
    token = authorization[len(_BEARER) :].strip()
    return token if token.startswith("preview_") else None


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; of a large one, nothing."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            return {}
    with suppress(UnicodeDecodeError, ValueError):
        return {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=10).items()}
    return {}
