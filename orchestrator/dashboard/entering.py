"""Coming in and going out: tokens, tickets, and our own files. Shows nothing of a preview."""

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from orchestrator.api.answers import status_of
from orchestrator.dashboard.entrance import inside
from orchestrator.dashboard.frame import Filled, Form, Front, Page
from orchestrator.dashboard.render import page, static
from orchestrator.errors import NotRecognised, TooOften

router = APIRouter(route_class=Page, include_in_schema=False)


@router.get("/static/{version}/{name}")
def file(version: str, name: str) -> Response:
    """One of our own files; its path changes with what is in it."""
    del version
    found = static(name)
    if found is None:
        raise HTTPException(404, "there is no such file")
    return Response(
        found[0], media_type=found[1], headers={"cache-control": "public, max-age=31536000, immutable"}
    )


@router.get("/login")
def login(request: Request, front: Front, next: str = "/") -> HTMLResponse:  # noqa: A002 - the parameter's name in the URL
    """Where one signs in."""
    front.entrance.host(request)
    return page("login.html", local=front.desk.place.local, next=inside(next), error="")


@router.post("/login")
def sign_in(request: Request, front: Front, form: Form) -> Response:
    """Begin a session for whoever shows a good token."""
    token, to = form.get("token", ""), form.get("next", "/")
    address = request.client.host if request.client else "unknown"
    try:
        caller = front.desk.sign_in(token.strip() if isinstance(token, str) else "", address=address)
    except (NotRecognised, TooOften) as error:
        return page(
            "login.html",
            status=status_of(error),
            local=front.desk.place.local,
            next=inside(str(to)),
            error=error.message,
        )
    return front.entrance.begin(caller.token, str(to))


@router.get("/enter")
def enter(request: Request, front: Front, ticket: str = "") -> Response:
    """Begin a session for whoever has a ticket of this machine."""
    front.entrance.host(request)
    if front.desk.place.local and front.sessions.redeem(ticket):
        return front.entrance.begin("", "/")
    return page(
        "login.html", status=401, local=front.desk.place.local, next="/",
        error="this link was used already, or is too old",
    )  # fmt: skip


@router.post("/logout")
def logout(filled: Filled, front: Front) -> Response:
    """End the session in this browser."""
    del filled
    return front.entrance.end()
