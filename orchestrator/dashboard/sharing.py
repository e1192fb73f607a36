"""Pages of a preview's share links: who has one, a new one, and taking one back. Keeps no link."""

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.api.answers import status_of
from orchestrator.dashboard.desk import Link, Problem
from orchestrator.dashboard.entrance import Visitor
from orchestrator.dashboard.frame import Filled, Frame, Front, Guest, Page
from orchestrator.dashboard.offers import Offer
from orchestrator.dashboard.render import page
from orchestrator.dashboard.showing import find
from orchestrator.errors import OrchestratorError, UnknownPreview, UsageError
from orchestrator.lifecycle import Preview, State
from orchestrator.sections import parse_duration

router = APIRouter(route_class=Page, include_in_schema=False)

#: For how long, as the form offers it; the first is chosen.
_SPANS = (("2d", "two days"), ("12h", "twelve hours"), ("7d", "a week"), ("30d", "thirty days"))


def _live(front: Frame, guest: Visitor, name: str) -> Preview:
    with front.desk.store(guest.caller.who) as store:
        found = find(store, front.desk.project, name)
    if found.state is State.CLOSED:
        raise UnknownPreview(f"{name} is closed: nobody can see it", hint="its links are no good any more")
    return found


def _page(
    front: Frame,
    guest: Visitor,
    preview: Preview,
    *,
    made: str = "",
    error: OrchestratorError | None = None,
) -> HTMLResponse:
    return page(
        "shares.html",
        status=status_of(error) if error else 200,
        **guest.shown(),
        name=preview.name,
        links=front.desk.links(preview.name, guest.caller),
        spans=_SPANS,
        made=made,
        error=Problem.of(error) if error else None,
        refused=front.desk.no_links() or front.desk.forbids_sharing(guest.caller, preview),
    )


@router.get("/previews/{name}/shares")
def shares(guest: Guest, front: Front, name: str) -> HTMLResponse:
    """Who has a link."""
    return _page(front, guest, _live(front, guest, name))


@router.post("/previews/{name}/shares")
def make(filled: Filled, front: Front, name: str) -> Response:
    """Make a link; it is in this page and nowhere else."""
    guest = filled.visitor
    preview = _live(front, guest, name)
    try:
        lasts = filled.text("lasts")
        if lasts not in dict(_SPANS):
            raise UsageError("for how long is not said", hint="choose one of the spans")
        made = front.desk.make_link(
            name, guest.caller, lasts=parse_duration(lasts), note=filled.text("note")[:200]
        )
    except OrchestratorError as error:
        return _page(front, guest, preview, error=error)
    return _page(front, guest, preview, made=made)


def _chosen(front: Frame, guest: Visitor, name: str, link_id: str) -> tuple[Preview, Link]:
    preview = _live(front, guest, name)
    for each in front.desk.links(name, guest.caller):
        if each.id == link_id:
            return preview, each
    raise HTTPException(404, "there is no such link")


@router.get("/previews/{name}/shares/{link_id}/revoke")
def confirmation(guest: Guest, front: Front, name: str, link_id: str) -> HTMLResponse:
    """What revoking it does, and the button that does it."""
    preview, link = _chosen(front, guest, name, link_id)
    whom = f", for {link.note}," if link.note else ""
    back = f"/previews/{name}/shares"
    offer = Offer(
        verb="revoke",
        title="Revoke",
        does=(
            f"The link {link.id}{whom} by {link.made_by} is no good any more.",
            "Whoever came by it sees the preview no longer, from now on.",
        ),
        refused=front.desk.forbids_sharing(guest.caller, preview)
        or ("it is revoked already" if link.state == "revoked" else ""),
        grave=True,
    )
    return page(
        "confirm.html", **guest.shown(), name=name, offer=offer, error=None, back=back,
        target=f"{back}/{link.id}/revoke", seen=link.id,
    )  # fmt: skip


@router.post("/previews/{name}/shares/{link_id}/revoke")
def revoke(filled: Filled, front: Front, name: str, link_id: str) -> Response:
    """Make a link no good."""
    _chosen(front, filled.visitor, name, link_id)
    front.desk.revoke_link(name, filled.visitor.caller, link_id)
    return RedirectResponse(f"/previews/{name}/shares", status_code=303)
