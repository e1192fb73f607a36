"""Pages that do something: what it will do, then the verb, refused by what stands at that moment."""

from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.api.answers import status_of
from orchestrator.dashboard.desk import Problem
from orchestrator.dashboard.entrance import Sent, Visitor
from orchestrator.dashboard.frame import Filled, Frame, Front, Guest, Page
from orchestrator.dashboard.live import word_of
from orchestrator.dashboard.looking import whole_page
from orchestrator.dashboard.offers import FORCED, Offer
from orchestrator.dashboard.promoted import WAYS, PromotionPage, promotion_entries
from orchestrator.dashboard.render import page
from orchestrator.dashboard.showing import Showing, seen_of
from orchestrator.errors import OrchestratorError, Refused, UsageError
from orchestrator.facts import open_questions
from orchestrator.lifecycle import Preview, Store

router = APIRouter(route_class=Page, include_in_schema=False)
VERBS = (
    "approve",
    "promote",
    "up",
    "rebase",
    "sleep",
    "wake",
    "extend",
    "keep",
    "discard",
    FORCED,
    "restore",
)


@router.post("/previews/{name}/answer")
def answer(filled: Filled, front: Front, name: str) -> Response:
    """Answer the open questions and go on."""
    with front.desk.store(filled.visitor.caller.who) as store:
        shown = front.show(store, filled.visitor, name)
    if why := shown.now()["answer_refused"]:
        raise front.refusal(filled.visitor, "answer", name, why)
    given, wrong = _answers(filled, shown.preview)
    if wrong:
        return whole_page(filled.visitor, front, name, status=400, wrong=wrong, given=given)
    front.desk.do("answer", name, {"answers": given}, filled.visitor.caller)
    return RedirectResponse(f"/previews/{name}", status_code=303)


def _confirm(
    guest: Visitor, shown: Showing, offer: Offer, *, status: int = 200, error: Problem | None = None
) -> HTMLResponse:
    name = shown.preview.name
    return page(
        "confirm.html", status=status, **guest.shown(), name=name, offer=offer, error=error,
        back=f"/previews/{name}", target=f"/previews/{name}/{offer.verb}", seen=seen_of(shown.preview),
    )  # fmt: skip


def _asked(front: Frame, store: Store, guest: Visitor, name: str, verb: str) -> tuple[Showing, Offer]:
    if verb not in VERBS:
        raise HTTPException(404, "there is no such page")
    shown = front.show(store, guest, name)
    offer = shown.offer(verb)
    if offer is None:
        raise Refused(f"{name} is {shown.preview.state}; {verb} makes no sense now")
    return shown, offer


@router.get("/previews/{name}/{verb}")
def confirmation(guest: Guest, front: Front, name: str, verb: str) -> HTMLResponse:
    """What a verb will do, and the button that does it."""
    with front.desk.store(guest.caller.who) as store:
        shown, offer = _asked(front, store, guest, name, verb)
    return _confirm(guest, shown, offer)


@router.post("/previews/{name}/{verb}")
def act(filled: Filled, front: Front, name: str, verb: str) -> Response:
    """Do it, if it still is what was looked at."""
    guest = filled.visitor
    with front.desk.store(guest.caller.who) as store:
        shown, wanted = _asked(front, store, guest, name, verb)
    if wanted.refused:
        front.desk.refused(guest.caller, verb, on=name, why=wanted.refused)
        return _confirm(guest, shown, wanted, status=403)
    if filled.text("seen") != seen_of(shown.preview):
        moved = Problem(
            message=f"{name} has changed since you looked at it",
            hint="look again, then decide; nothing was done",
        )
        return _confirm(guest, shown, wanted, status=409, error=moved)
    if missing := not_ticked(filled, wanted):
        return _confirm(guest, shown, wanted, status=400, error=missing)
    arguments: dict[str, Any] = dict(wanted.means)
    if wanted.allows:
        arguments["allow"] = [
            each for each in filled.texts("allow") if each in {a.name for a in wanted.allows}
        ]
    if wanted.note:
        arguments["note"] = filled.text("note")[:500]
    for pick in wanted.picks:
        arguments |= pick.means(filled.text(pick.name))
    try:
        front.desk.do(wanted.asked, name, arguments, guest.caller)
    except OrchestratorError as error:
        return _confirm(guest, shown, wanted, status=status_of(error), error=Problem.of(error))
    return RedirectResponse("/" if wanted.asked == "discard" else f"/previews/{name}", status_code=303)


def not_ticked(filled: Sent, offer: Offer) -> Problem | None:
    """What is said to whoever has not said that they know what is lost."""
    if {each.name for each in offer.ticks} <= set(filled.texts("tick")):
        return None
    return Problem(message="not everything is ticked that has to be known first", hint="nothing was done")


@router.get("/promotions")
def promotions(guest: Guest, front: Front) -> HTMLResponse:
    """What was promoted and reverted."""
    with front.desk.promotions(guest.caller.who) as kept:
        found = promotion_entries(kept.all())
    return page("promotions.html", **guest.shown(), promotions=found, here="promotions")


@router.get("/promotions/{promotion_id}")
def promotion(guest: Guest, front: Front, promotion_id: str) -> HTMLResponse:
    """One promotion."""
    with front.desk.promotions(guest.caller.who) as kept:
        shown = PromotionPage(front.desk, guest.caller, kept, promotion_id)
        seen = word_of(front.marks_of_promotion(kept, shown.promotion))
        shown = PromotionPage(
            front.desk, guest.caller, kept, promotion_id
        )  # not older than what `seen` stands for
    return page("promotion.html", **guest.shown(), **shown.values(), seen=seen, here="promotions")


@router.get("/promotions/{promotion_id}/parts/{part}")
def part_of_promotion(guest: Guest, front: Front, promotion_id: str, part: str) -> HTMLResponse:
    """A part of its page, for a page that is open."""
    template = {"top": "_promotion_top.html", "rest": "_promotion.html"}.get(part)
    if template is None:
        raise HTTPException(404, "there is no such part")
    with front.desk.promotions(guest.caller.who) as kept:
        shown = PromotionPage(front.desk, guest.caller, kept, promotion_id)
    return page(template, **guest.shown(), **shown.values())


@router.get("/promotions/{promotion_id}/{way}")
def revert_page(guest: Guest, front: Front, promotion_id: str, way: str) -> HTMLResponse:
    """What a revert will do, and the button that does it."""
    with front.desk.promotions(guest.caller.who) as kept:
        shown = PromotionPage(front.desk, guest.caller, kept, promotion_id)
    return page("confirm.html", **guest.shown(), **shown.confirmation(_way(way)))


def _way(way: str) -> str:
    if way not in WAYS:
        raise HTTPException(404, "there is no such page")
    return way


@router.post("/promotions/{promotion_id}/{way}")
def revert(filled: Filled, front: Front, promotion_id: str, way: str) -> Response:
    """Revert it."""
    guest = filled.visitor
    with front.desk.promotions(guest.caller.who) as kept:
        shown = PromotionPage(front.desk, guest.caller, kept, promotion_id)
    values = shown.confirmation(_way(way))
    offer = values["offer"]
    if offer.refused:
        raise front.refusal(guest, "revert", promotion_id, offer.refused)
    if filled.text("seen") != values["seen"]:
        moved = Problem(
            message="what would be done has changed since you looked at it",
            hint="look again, then decide; nothing was done",
        )
        return page("confirm.html", status=409, **guest.shown(), **{**values, "error": moved})
    if missing := not_ticked(filled, offer):
        return page("confirm.html", status=400, **guest.shown(), **{**values, "error": missing})
    meant = {"promotion": shown.promotion.id, "digest": values["seen"], **offer.means}
    front.desk.do("revert", shown.promotion.preview_name, meant, guest.caller)
    return RedirectResponse(f"/promotions/{promotion_id}", status_code=303)


def _answers(filled: Sent, preview: Preview) -> tuple[dict[str, str], dict[str, str]]:
    """The answers of a filled-in form; each question's by its place in the form, so that ids are no field names.

    Returns:
        The answers by question, and what is wrong with them by question.

    Raises:
        UsageError: the questions are others now.
    """
    given: dict[str, str] = {}
    wrong: dict[str, str] = {}
    asked = {question.id for question in open_questions(preview)}
    for number, question in enumerate(filled.texts("question"), 1):
        value = filled.text(f"free-{number}") or filled.text(f"answer-{number}")
        if question not in asked:
            raise UsageError("the questions are others now", hint="open the page again")
        if value:
            given[question] = value
        else:
            wrong[question] = "This has no answer yet."
    if not given and not wrong:
        raise UsageError("there is no answer in this form", hint="open the page again")
    return given, wrong
