"""Streams of what goes on: the list, a preview, a log. Each says only what is old, or gives lines of text."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.dashboard.frame import Front, Guest, Page
from orchestrator.dashboard.live import Sending, line_item
from orchestrator.dashboard.showing import content_of, find
from orchestrator.errors import UsageError
from orchestrator.redaction import clean
from orchestrator.settings import check_name

router = APIRouter(route_class=Page, include_in_schema=False)


@router.get("/live")
def live(guest: Guest, front: Front, request: Request) -> Response:
    """Tells when the list is old."""
    last = -1

    def look() -> Sending | None:
        nonlocal last
        if front.desk.caller(guest.session.token) is None:
            return None
        with front.desk.store(guest.caller.who) as store:
            now = store.following().last()
        before, last = last, now
        return [("changed", str(now))] if before not in (-1, now) else []

    return front.streams.answer(request, guest.whose, look)


@router.get("/previews/{name}/live")
def preview_live(guest: Guest, front: Front, request: Request, name: str) -> Response:
    """Tells when parts of a preview's page are old, and what the running step says."""
    if front.desk.job(check_name(name)) is None:  # what was asked for comes: the stream waits for its row
        with front.desk.store(guest.caller.who) as store:
            find(store, front.desk.project, name)
    seen: tuple[object, ...] = ()
    content, said = "", 0

    def look() -> Sending | None:
        nonlocal seen, content, said
        if front.desk.caller(guest.session.token) is None:
            return None
        with front.desk.store(guest.caller.who) as store:
            found = store.find_last(name, project=front.desk.project)
            number = store.following().last(found.id) if found else 0
        job = front.desk.job(name)
        taken = front.pictures.of(found).version if found else ""
        now = (found.id if found else "", number, job, taken)
        body = content_of(found) if found else ""
        said, lines = front.desk.lines(name, said)
        sending = [("line", line_item(clean(line))) for line in lines]
        if seen and now != seen:
            sending.append(("changed", str(number)))
        if content and body != content:
            sending.append(("content", body))
        seen, content = now, body
        return sending

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
