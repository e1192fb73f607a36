"""Streams of what goes on: the list, a preview, a promotion, a log. Each says only what is old, or gives lines."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.dashboard.entrance import Visitor
from orchestrator.dashboard.frame import Frame, Front, Guest, Page
from orchestrator.dashboard.live import Marks, Old, Sending, line_item
from orchestrator.dashboard.showing import find
from orchestrator.errors import UsageError
from orchestrator.redaction import clean
from orchestrator.settings import check_name

router = APIRouter(route_class=Page, include_in_schema=False)


@router.get("/live")
def live(guest: Guest, front: Front, request: Request, seen: str = "") -> Response:
    """Tells when the list is old."""

    def marks() -> Marks:
        with front.desk.store(guest.caller.who) as store:
            return front.marks_of_list(store)

    return _telling(guest, front, request, seen, marks)


@router.get("/previews/{name}/live")
def preview_live(guest: Guest, front: Front, request: Request, name: str, seen: str = "") -> Response:
    """Tells when parts of a preview's page are old, and what the running step says."""
    if front.desk.job(check_name(name)) is None:  # what was asked for comes: the stream waits for its row
        with front.desk.store(guest.caller.who) as store:
            find(store, front.desk.project, name)

    def marks() -> Marks:
        with front.desk.store(guest.caller.who) as store:
            return front.marks_of(store, name)

    return _telling(guest, front, request, seen, marks, speaker=name)


@router.get("/promotions/{promotion_id}/live")
def promotion_live(
    guest: Guest, front: Front, request: Request, promotion_id: str, seen: str = ""
) -> Response:
    """Tells when a promotion's page is old, and what its running step says."""
    with front.desk.promotions(guest.caller.who) as kept:
        promotion = kept.get(promotion_id[:40])

    def marks() -> Marks:
        with front.desk.promotions(guest.caller.who) as kept:
            return front.marks_of_promotion(kept, promotion)

    return _telling(guest, front, request, seen, marks, speaker=promotion.preview_name)


def _telling(
    guest: Visitor,
    front: Frame,
    request: Request,
    seen: str,
    marks: Callable[[], Marks],
    *,
    speaker: str = "",
) -> Response:
    """A stream of which parts of a page are old, and of what the step of a preview says, if one is named."""
    old, said = Old(seen), 0

    def look() -> Sending | None:
        nonlocal said
        if front.desk.caller(guest.session.token) is None:
            return None
        now = marks()
        lines: Sequence[str] = ()
        if speaker:
            said, lines = front.desk.lines(speaker, said)
        return [*(("line", line_item(clean(line))) for line in lines), *old.since(now)]

    return front.streams.answer(request, guest.whose, look)


@router.get("/previews/{name}/logs/live")
def logs_live(guest: Guest, front: Front, request: Request, name: str, service: str = "") -> Response:
    """The last lines of a log, then those to come."""
    with front.desk.store(guest.caller.who) as store:
        found = find(store, front.desk.project, name)
    if service and service not in front.desk.services(found):
        raise UsageError(f"{name} has no service {service[:60]!r}")
    read = front.following.reader(
        (found.id, service, found.facts.get("url")),
        lambda: (clean(line) for line in front.desk.log(found, service)),
    )
    farewell = [("line", line_item("Another page of yours is live now. Load this one again to go on."))]
    return front.streams.answer(request, guest.whose, read, farewell=farewell)
