"""Who asks: a request's token to a Caller with a role, or a refusal that the audit remembers. Reads no body."""

import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from orchestrator.access import Caller, Role
from orchestrator.api.rates import source_of
from orchestrator.api.site import Site
from orchestrator.errors import NotAllowed, NotRecognised, TooOften

_bearer = HTTPBearer(auto_error=False, description="A token of `preview token create`.")


def site_of(request: Request) -> Site:
    """The server's doors."""
    site: Site = request.app.state.site
    return site


def address_of(request: Request) -> str:
    """Where a request comes from: what connects to us, or what a proxy of `server.proxies` says."""
    return request.client.host if request.client else "unknown"


def recognise(site: Site, token: str | None, *, address: str, what: str) -> Caller:
    """The caller who shows this token; blocking. Also for tokens that come by another way than a header.

    Args:
        site: the server's doors.
        token: what was shown, if anything.
        address: from where.
        what: what was asked, for the audit: ``METHOD /path``.

    Raises:
        NotRecognised: no token, or none that is good.
        TooOften: too many requests with this token, or too many bad ones from this address.
    """
    rates, source = site.rates, source_of(address)
    token = token if token and len(token) < 200 else None
    if (wait := rates.failures.look(source)) and not (token and rates.lately.knows(token)):
        # Whoever guesses gets no answer to the next guess; who was let in before is not shut out by it.
        site.refusals.tell(None, what, on=address, note="too many bad tokens", source=source)
        raise TooOften(_wait_words(wait))
    caller = None
    if token:
        with site.tokens() as tokens:
            caller = tokens.recognise(token)
        rates.lately.was(token, good=caller is not None)
    if caller is None:
        rates.failures.take(source)
        note = "a token that is not good" if token else "no token"
        site.refusals.tell(None, what, on=address, note=note, source=source)
        raise NotRecognised(
            "the token is not known, has expired or was revoked" if token else "there is no token",
            hint="`preview token create` on the server's side makes one; export it as PREVIEW_TOKEN",
        )
    if wait := rates.tokens.take(caller.token):
        site.refusals.tell(caller, what, on=address, note="too many requests", kind="too many requests")
        raise TooOften(_wait_words(wait))
    return caller


def admit(request: Request, site: Site, token: str | None, role: Role) -> Caller:
    """The caller who shows this token with a request, when the role is enough.

    Raises:
        NotRecognised, TooOften: see recognise.
        NotAllowed: it is not.
    """
    what = f"{request.method} {request.url.path}"
    caller = recognise(site, token, address=address_of(request), what=what)
    if not caller.may(role):
        # The route as it was declared: of these there are a few.
        kind = f"{request.method} {getattr(request.scope.get('route'), 'path', '')}"
        site.refusals.tell(caller, what, on="", note=f"needs the role {role.value}", kind=kind)
        raise NotAllowed(
            f"the role {caller.role.value} may not do that; it needs {role.value}",
            hint=f"ask somebody with the role {role.value}, or an admin for another token",
        )
    return caller


class Needs:
    """A dependency that gives the caller, who has at least this role; on routes that are `AskedFirst` only.

    Args:
        role: the least role.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(
        self, request: Request, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Caller:
        """The caller, whom the route has asked already."""
        caller: Caller = request.state.caller
        return caller


class AskedFirst(APIRoute):
    """A route that knows who asks before it reads what was sent.

    A framework reads and parses the body first, and asks then.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        inner = super().get_route_handler()
        roles = [each.call.role for each in self.dependant.dependencies if isinstance(each.call, Needs)]

        async def handle(request: Request) -> Response:
            for role in roles:
                shown = await _bearer(request)
                request.state.caller = await run_in_threadpool(
                    admit, request, site_of(request), shown.credentials if shown else None, role
                )
            return await inner(request)

        return handle


def _wait_words(seconds: float) -> str:
    return f"too many requests; try again in {max(1, math.ceil(seconds))} s"


Doors = Annotated[Site, Depends(site_of)]
Viewer = Annotated[Caller, Depends(Needs(Role.VIEWER))]
Developer = Annotated[Caller, Depends(Needs(Role.DEVELOPER))]
Approver = Annotated[Caller, Depends(Needs(Role.APPROVER))]
Admin = Annotated[Caller, Depends(Needs(Role.ADMIN))]

#: What answers say beside 200, for the OpenAPI document of every route that needs a token.
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or none that is good."},
    403: {"description": "The role is not enough, or a guard said no."},
    429: {"description": "Too many requests."},
}
