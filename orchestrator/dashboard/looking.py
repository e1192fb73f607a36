"""Pages to look at: the list, a preview, its report, logs and mails. All that is done here is to ask for a new one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.dashboard.desk import Problem
from orchestrator.dashboard.entrance import Visitor
from orchestrator.dashboard.frame import Filled, Frame, Front, Guest, Page
from orchestrator.dashboard.live import word_of
from orchestrator.dashboard.render import page
from orchestrator.dashboard.showing import find
from orchestrator.dashboard.views import entries
from orchestrator.errors import OrchestratorError, Refused, UsageError
from orchestrator.pages.render import html as report_html
from orchestrator.settings import check_name

router = APIRouter(route_class=Page, include_in_schema=False)


def _listed(
    guest: Visitor, front: Frame, all_: bool, *, name: str = "", wrong: Problem | None = None
) -> dict[str, Any]:
    """For the list's page; `name` and `wrong`: what somebody wanted a new one to be called, and why it cannot be."""
    with front.desk.store(guest.caller.who) as store:
        seen = word_of(front.marks_of_list(store))
        found = [each for each in store.live(closed=all_) if each.project == front.desk.project]
    can_make = not front.desk.forbids("up", guest.caller, None)
    return {
        **guest.shown(),
        "entries": entries(found, now=datetime.now(UTC)),
        "all_": all_,
        "seen": seen,
        "name": name,
        "wrong": wrong,
        "can_make": can_make,
        "here": "list",
    }


@router.get("/")
def list_(guest: Guest, front: Front, all: int = 0) -> HTMLResponse:  # noqa: A002 - the parameter's name in the URL
    """All previews."""
    return page("list.html", **_listed(guest, front, bool(all)))


@router.get("/parts/list")
def part_of_list(guest: Guest, front: Front, all: int = 0) -> HTMLResponse:  # noqa: A002
    """The list alone, for a page that is open."""
    return page("_list.html", **_listed(guest, front, bool(all)))


@router.post("/previews")
def make(filled: Filled, front: Front) -> Response:
    """Ask for a new preview; what is wrong with its name is said beside the field."""
    name, guest = filled.text("name"), filled.visitor
    if why := front.desk.forbids("up", guest.caller, None):
        raise front.refusal(guest, "up", name[:40], why)
    try:
        check_name(name)
        with front.desk.store(guest.caller.who) as store:
            if store.find(name) is not None:
                raise UsageError(f"there is a preview {name!r} already", hint="choose another name")
    except UsageError as error:
        shown = _listed(guest, front, False, name=name[:60], wrong=Problem.of(error))
        return page("list.html", status=400, **shown)
    front.desk.do("up", name, {}, guest.caller)
    return RedirectResponse(f"/previews/{name}", status_code=303)


def whole_page(
    guest: Visitor,
    front: Frame,
    name: str,
    *,
    status: int = 200,
    wrong: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A preview's page; `wrong` and `given`: what is wrong with answers, and what was given, by question."""
    with front.desk.store(guest.caller.who) as store:
        seen = word_of(front.marks_of(store, check_name(name)))
        try:
            shown = front.show(store, guest, name)
        except OrchestratorError:
            job = front.desk.job(name)
            if job is None:
                raise
            # Asked for, and its row is not written yet, or could not be.
            return page("coming.html", **guest.shown(), name=name, job=job, seen=seen)
        values = {**shown.now(), **shown.content(), **shown.story(store)}
    values |= {"wrong": wrong or {}, "given": given or {}}
    return page("preview.html", status=status, **guest.shown(), **values, seen=seen)


@router.get("/previews/{name}")
def preview(guest: Guest, front: Front, name: str) -> HTMLResponse:
    """One preview."""
    return whole_page(guest, front, name)


@router.get("/previews/{name}/parts/{part}")
def part(guest: Guest, front: Front, name: str, part: str) -> HTMLResponse:
    """A part of its page, for a page that is open."""
    if part not in ("now", "content", "story"):
        raise HTTPException(404, "there is no such part")
    with front.desk.store(guest.caller.who) as store:
        shown = front.show(store, guest, name)
        values = shown.story(store) if part == "story" else getattr(shown, part)()
    return page(f"_{part}.html", **guest.shown(), **values)


@router.get("/previews/{name}/report")
def report(guest: Guest, front: Front, name: str) -> HTMLResponse:
    """Its report as a file to keep or to pass on."""
    with front.desk.store(guest.caller.who) as store:
        shown = front.show(store, guest, name)
    if not shown.value["report"]:
        raise Refused(f"{name} has no report yet", hint="it is made when the rehearsal is through")
    return HTMLResponse(
        report_html(shown.value),
        headers={
            # It has its style inside, which no page of this origin may have: a file to keep, not a page.
            "content-disposition": f'attachment; filename="{shown.preview.name}-report.html"',
            "content-security-policy": "default-src 'none'; sandbox",
        },
    )


@router.get("/previews/{name}/picture")
def picture(guest: Guest, front: Front, name: str) -> Response:
    """The picture of its app's start page."""
    with front.desk.store(guest.caller.who) as store:
        taken = front.pictures.of(find(store, front.desk.project, name))
    if not taken.content:
        return Response(status_code=204)  # it went while a page was shown: nothing to see, and no fault
    return Response(taken.content, media_type="image/png", headers={"cache-control": "private, max-age=60"})


@router.get("/previews/{name}/logs")
def logs(guest: Guest, front: Front, name: str, service: str = "") -> HTMLResponse:
    """The page of its app's log."""
    with front.desk.store(guest.caller.who) as store:
        found = find(store, front.desk.project, name)
    services = front.desk.services(found)
    chosen = service if service in services else ""
    return page("logs.html", **guest.shown(), name=found.name, services=services, service=chosen)


@router.get("/previews/{name}/mails")
def mails(guest: Guest, front: Front, name: str) -> HTMLResponse:
    """What its app sent."""
    with front.desk.store(guest.caller.who) as store:
        found = find(store, front.desk.project, name)
    return page("mails.html", **guest.shown(), name=found.name, mails=front.desk.mails(found))


@router.get("/previews/{name}/mails/{mail_id}")
def mail(guest: Guest, front: Front, name: str, mail_id: str) -> HTMLResponse:
    """One mail, as text."""
    with front.desk.store(guest.caller.who) as store:
        found = find(store, front.desk.project, name)
    shown = front.desk.mail(found, mail_id)
    if shown is None:
        raise HTTPException(404, "there is no such mail")
    return page("mail.html", **guest.shown(), name=found.name, mail=shown)
