"""Who asks: a request's token to a Caller with a role, or a refusal that the audit remembers. Does nothing else."""

import math
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from orchestrator.access import Caller, Role
from orchestrator.api.site import Site
from orchestrator.errors import NotAllowed, NotRecognised, TooOften

_bearer = HTTPBearer(auto_error=False, description="A token of `preview token create`.")


def site_of(request: Request) -> Site:
    """The server's doors."""
    site: Site = request.app.state.site
    return site


def address_of(request: Request) -> str:
    """Where a request comes from, as far as we know."""
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
    if wait := site.rates.failures.take(f"look {address}", drops=0.0):
        raise TooOften(_wait_words(wait))
    caller = None
    if token and len(token) < 200:
        with site.tokens() as tokens:
            caller = tokens.recognise(token)
    if caller is None:
        if wait := site.rates.failures.take(address):
            # Not written down any more: whoever floods us must not flood the audit.
            raise TooOften(_wait_words(wait))
        site.write(
            None,
            what,
            on=address,
            outcome="refused",
            note="a token that is not good" if token else "no token",
        )
        raise NotRecognised(
            "the token is not known, has expired or was revoked" if token else "there is no token",
            hint="`preview token create` on the server's side makes one; export it as PREVIEW_TOKEN",
        )
    if wait := site.rates.tokens.take(caller.token):
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
        site.write(caller, what, outcome="refused", note=f"needs the role {role.value}")
        raise NotAllowed(
            f"the role {caller.role.value} may not do that; it needs {role.value}",
            hint=f"ask somebody with the role {role.value}, or an admin for another token",
        )
    return caller


def needs(role: Role) -> Callable[..., Caller]:
    """A dependency that gives the caller, who has at least this role."""

    def check(
        request: Request,
        site: Annotated[Site, Depends(site_of)],
        shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        return admit(request, site, shown.credentials if shown else None, role)

    return check


def _wait_words(seconds: float) -> str:
    return f"too many requests; try again in {max(1, math.ceil(seconds))} s"


Doors = Annotated[Site, Depends(site_of)]
Viewer = Annotated[Caller, Depends(needs(Role.VIEWER))]
Developer = Annotated[Caller, Depends(needs(Role.DEVELOPER))]
Approver = Annotated[Caller, Depends(needs(Role.APPROVER))]
Admin = Annotated[Caller, Depends(needs(Role.ADMIN))]

#: What answers say beside 200, for the OpenAPI document of every route that needs a token.
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or none that is good."},
    403: {"description": "The role is not enough, or a guard said no."},
    429: {"description": "Too many requests."},
}
