"""Routes about share links: made, listed, revoked. Verb to JSON only."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from orchestrator.acts.sharing import Sharing
from orchestrator.api.callers import REFUSALS, AskedFirst, Developer, Doors
from orchestrator.api.previews import Name
from orchestrator.sections import parse_duration
from orchestrator.sections.base import checked_duration

router = APIRouter(tags=["shares"], responses=REFUSALS, route_class=AskedFirst)

Id = Annotated[str, Path(pattern=r"^[0-9a-f]{8}$", description="The link's id; not the link.")]


class NewShare(BaseModel):
    """What a link is to be."""

    model_config = ConfigDict(extra="forbid")

    lasts: Annotated[str, AfterValidator(checked_duration)] = Field(
        "2d", max_length=20, description="How long it is good: `30m`, `12h`, `2d`; at most 90 days."
    )
    note: str = Field("", max_length=200, description="Whom it is for.")

    @property
    def span(self) -> timedelta:
        """How long."""
        return parse_duration(self.lasts)


@router.post("/previews/{name}/shares", status_code=201)
def make_share(name: Name, wanted: NewShare, caller: Developer, site: Doors) -> dict[str, Any]:
    """Make a link by which somebody without a token may see a preview; it is in this answer and nowhere else."""
    with site.store(caller.who) as store:
        return sharing(site).make(store, caller, name, lasts=wanted.span, note=wanted.note)


@router.get("/previews/{name}/shares")
def list_shares(name: Name, caller: Developer, site: Doors) -> list[dict[str, Any]]:
    """The links of a preview: whom for, until when; not the links themselves."""
    with site.store(caller.who) as store:
        return sharing(site).of(store, name)


@router.delete("/previews/{name}/shares/{share_id}")
def revoke_share(name: Name, share_id: Id, caller: Developer, site: Doors) -> dict[str, Any]:
    """Make a link no good from now on, also for those who came by it."""
    with site.store(caller.who) as store:
        return sharing(site).revoke(store, caller, name, share_id)


def sharing(site: Doors) -> Sharing:
    """The links of the server's project."""
    return Sharing(site.settings, project=site.project, refused=site.refusals.tell)
