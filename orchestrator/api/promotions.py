"""Routes that look at promotions: all, one, and what a revert would do and lose. They change nothing."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from orchestrator.api.callers import REFUSALS, AskedFirst, Developer, Doors, Viewer
from orchestrator.errors import Refused, UnknownPromotion
from orchestrator.facts import promotions_json
from orchestrator.jobs.work import Silent
from orchestrator.redaction import clean

router = APIRouter(tags=["promotions"], responses=REFUSALS, route_class=AskedFirst)

_ID = r"^[0-9a-f]{1,40}$"


@router.get("/promotions")
def promotions(caller: Viewer, site: Doors) -> list[dict[str, Any]]:
    """Promotions and reverts of the project: who asked, who approved, each statement, restore point, proof, release."""
    del caller
    with site.store("server") as store:
        return promotions_json(store, site.project)


@router.get("/promotions/{promotion_id}")
def promotion(
    promotion_id: Annotated[str, Path(pattern=_ID, description="Of a promotion or a revert.")],
    caller: Viewer,
    site: Doors,
) -> dict[str, Any]:
    """One promotion or revert, whole."""
    del caller
    with site.store("server") as store:
        for each in promotions_json(store, site.project):
            if each["id"] == promotion_id:
                return each
    raise UnknownPromotion(f"there is no promotion {promotion_id!r}", hint="`preview history` lists them")


@router.get("/way-back")
def way_back(
    caller: Developer,
    site: Doors,
    promotion: Annotated[
        str | None, Query(pattern=_ID, description="Its id; default: the last that can be taken back.")
    ] = None,
    to_restore_point: Annotated[bool, Query(description="By the restore point, instead of a plan.")] = False,
) -> dict[str, Any]:
    """What a revert would do and lose, looked at now in production; `digest` is what a yes to it is bound to."""
    with site.store(caller.who) as store:
        known = store.promotions(site.project)
        # Before anything is opened or started: is there one at all?
        if promotion is not None:
            known.get(promotion)
        elif not known.all():
            raise Refused("there is no promotion to revert", hint="`preview history` tells what was promoted")
    with site.assembled(caller.who, Silent()) as rooms:
        found = rooms.reverts.look(rooms.reverts.choose(promotion), to_restore_point=to_restore_point)
    value = found.to_json()
    return {**value, "app": clean(value["app"]), "losses": [clean(each) for each in value["losses"]]}
