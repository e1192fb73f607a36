"""What every page stands on: the desk, the doors, routes whose errors are pages. Holds no page of its own."""

import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.api.answers import status_of
from orchestrator.dashboard.desk import Desk, Problem
from orchestrator.dashboard.entrance import Elsewhere, Entrance, Sent, Visitor, WrongHost, inside
from orchestrator.dashboard.live import Following, Marks, Streams, mark
from orchestrator.dashboard.pictures import Pictures
from orchestrator.dashboard.render import page
from orchestrator.dashboard.sessions import Sessions
from orchestrator.dashboard.showing import Showing, content_of, find
from orchestrator.errors import NotAllowed, OrchestratorError
from orchestrator.lifecycle import State, Store
from orchestrator.lifecycle.promotions import Promotion, Promotions
from orchestrator.redaction import clean

_log = logging.getLogger("preview.dashboard")


class Frame:
    """What the pages of one server stand on.

    Args:
        desk: the server behind them.
        key: signs their sessions.
        pictures: see Pictures.
    """

    def __init__(self, desk: Desk, *, key: bytes, pictures: Pictures) -> None:
        self.desk = desk
        self.sessions = Sessions(key)
        self.entrance = Entrance(desk, self.sessions)
        self.pictures = pictures
        self.streams = Streams()
        self.following = Following()

    def show(self, store: Store, guest: Visitor, name: str) -> Showing:
        """A preview of this project, for one person.

        Raises:
            UnknownPreview: there never was one here.
        """
        preview = find(store, self.desk.project, name)
        taken = self.pictures.of(preview)
        stopped = preview.state is State.PROMOTING and preview.id not in store.worked_on([preview.id])
        return Showing(
            self.desk, guest.caller, preview, picture=taken.version, no_picture=taken.why_not, stopped=stopped
        )

    def marks_of_list(self, store: Store) -> Marks:
        """What the list is made from."""
        return {"changed": str(store.following().last())}

    def marks_of(self, store: Store, name: str) -> Marks:
        """What a preview's page is made from; asked before the page is made, so that nothing falls in between."""
        found = store.find_last(name, project=self.desk.project)
        job = self.desk.job(name)
        if found is None:
            return {"changed": mark(job), "content": ""}
        number = store.following().last(found.id)
        taken = self.pictures.of(found).version
        return {"changed": mark(found.id, number, job, taken), "content": content_of(found)}

    def marks_of_promotion(self, promotions: Promotions, promotion: Promotion) -> Marks:
        """What a promotion's page is made from."""
        job = self.desk.job(promotion.preview_name)
        return {"changed": mark(promotions.last(promotion.id), job)}

    def refusal(self, guest: Visitor, verb: str, on: str, why: str) -> NotAllowed:
        """An error for what somebody may not do; the audit remembers it."""
        self.desk.refused(guest.caller, verb, on=on, why=why)
        return NotAllowed(f"{verb} {on}: {why}")


def frame_of(request: Request) -> Frame:
    """The frame of the application that this request came to."""
    frame: Frame = request.app.state.dashboard
    return frame


Front = Annotated[Frame, Depends(frame_of)]


def visitor_of(request: Request, front: Front) -> Visitor:
    """Whoever has a session; others go to where one signs in."""
    return front.entrance.visitor(request)


async def form_of(request: Request, front: Front) -> FormData:
    """A form that a page of ours sent."""
    return await front.entrance.form(request)


Guest = Annotated[Visitor, Depends(visitor_of)]
Form = Annotated[FormData, Depends(form_of)]


def sent_of(guest: Guest, form: Form, front: Front) -> Sent:
    """A form that a page of ours sent in this very session."""
    return front.entrance.sent(guest, form)


Filled = Annotated[Sent, Depends(sent_of)]


class Page(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:  # noqa: PLR0911 - an answer for each kind of error
            try:
                return await inner(request)
            except Elsewhere as elsewhere:
                if "hx-request" in request.headers:
                    return Response(status_code=204, headers={"hx-redirect": elsewhere.to})
                return RedirectResponse(elsewhere.to, status_code=303)
            except OrchestratorError as error:
                return _problem(
                    request, Problem.of(error), 421 if isinstance(error, WrongHost) else status_of(error)
                )
            except RequestValidationError:
                return _problem(request, Problem(message="the address of this page is not right"), 404)
            except HTTPException as error:
                return _problem(request, Problem(message=str(error.detail)), error.status_code)
            except Exception as error:  # noqa: BLE001 - the border: a fault of ours becomes a page and a line in the log
                _log.exception("unexpected %s in %s", type(error).__name__, request.url.path[:200])
                said = Problem(
                    message=f"unexpected {type(error).__name__}; this is a fault of preview",
                    hint="the server's log has the details",
                )
                return _problem(request, said, 500)

        return handle


def _problem(request: Request, problem: Problem, status: int) -> HTMLResponse:
    titles = {401: "Not signed in", 403: "Not allowed", 404: "Not found", 409: "Refused", 421: "Wrong host"}
    referrer = inside(request.url.path.rsplit("/", 1)[0] or "/") if request.method == "POST" else "/"
    cleaned = Problem(message=clean(problem.message), hint=clean(problem.hint), detail=clean(problem.detail))
    return page(
        "error.html",
        status=status,
        title=titles.get(status, "That did not work"),
        error=cleaned,
        back=referrer,
    )
