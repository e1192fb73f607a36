"""On the team's server: a login there, exchanged for a cookie on a preview's own host. Knows no page of the server."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from orchestrator.access import Caller
from orchestrator.api.callers import Doors
from orchestrator.errors import UnknownPreview, UsageError
from orchestrator.gate.hosts import RESERVED, own_path, preview_name

#: The link on which a browser goes over to the preview's host; it is good once.
_GOES_OVER = timedelta(seconds=60)


class Visitor(Protocol):
    """Whoever is logged in at the server."""

    @property
    def caller(self) -> Caller:
        """Who it is."""


def gate_routes(visitor: Callable[..., Visitor], route_class: type[APIRoute]) -> APIRouter:
    """The routes.

    Args:
        visitor: a dependency that gives who is logged in, or sends others to where one logs in.
        route_class: makes pages of errors.
    """
    router = APIRouter(prefix="/gate", route_class=route_class, include_in_schema=False)

    @router.get("/enter")
    def enter(
        doors: Doors, guest: Annotated[Any, Depends(visitor)], host: str = "", to: str = "/"
    ) -> RedirectResponse:
        """Go over to a preview that its visitor came from, with a link that lets in once."""
        name = preview_name(host, doors.settings.gateway.domain)
        who: Caller = guest.caller
        if name is None:
            # The name is compared with what there is, so nobody is sent to a host of somebody else's choice.
            raise UnknownPreview(f"{host[:80]!r} is no preview's host")
        if not who.token:
            raise UsageError("this login has no token to go on with", hint="log in with a token")
        with doors.store(who.who) as store:
            preview = store.find(name)
            if preview is None:
                raise UnknownPreview(
                    f"there is no preview {name!r}", hint="`preview list` shows those that there are"
                )
            _, secret = store.shares().make(
                preview.id, lasts=_GOES_OVER, by=who.who, note=who.who, grants=f"token:{who.token}", once=True
            )
        url = doors.settings.gateway.url(name)
        return RedirectResponse(
            f"{url}{RESERVED}share/{secret}?to={quote(own_path(to), safe='')}",
            status_code=303,
            headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
        )

    return router
