"""Routes about tokens and the audit: for admins. Verb to JSON only."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.access import Role
from orchestrator.access.tokens import DAYS, MOST_DAYS
from orchestrator.api.callers import REFUSALS, Admin, AskedFirst, Doors, Viewer
from orchestrator.diagnosis import Result, examine
from orchestrator.jobs.queue import workers_alive
from orchestrator.redaction import clean

router = APIRouter(tags=["access"], responses=REFUSALS, route_class=AskedFirst)


class NewToken(BaseModel):
    """What a token is to be."""

    model_config = ConfigDict(extra="forbid")

    who: str = Field(max_length=80, description="Whose it is: a person or an agent.")
    role: Role
    days: float = Field(DAYS, gt=0, le=MOST_DAYS, description="How long it is good.")
    note: str = Field("", max_length=200, description="What it is for.")


@router.get("/me")
def me(caller: Viewer) -> dict[str, str]:
    """Who the token says that you are."""
    return {"who": caller.who, "role": caller.role.value, "token": caller.token}


@router.get("/tokens")
def list_tokens(caller: Admin, site: Doors) -> list[dict[str, Any]]:
    """Every token: whose, what for, until when; not the tokens themselves."""
    del caller
    with site.tokens() as tokens:
        return [each.to_json() for each in tokens.all()]


@router.post("/tokens", status_code=201)
def create_token(wanted: NewToken, caller: Admin, site: Doors) -> dict[str, Any]:
    """Make a token; it is in this answer and nowhere else."""
    with site.tokens() as tokens:
        made, whole = tokens.create(
            who=wanted.who, role=wanted.role, by=caller.who, days=wanted.days, note=wanted.note
        )
    site.write(
        caller, "token create", on=made.id, outcome="allowed", note=f"{made.role.value} for {made.who}"
    )
    return {**made.to_json(), "secret": whole.reveal()}


@router.delete("/tokens/{token_id}")
def revoke_token(token_id: str, caller: Admin, site: Doors) -> dict[str, Any]:
    """Make a token no good from now on."""
    with site.tokens() as tokens:
        gone = tokens.revoke(token_id, by=caller.who)
    site.write(caller, "token revoke", on=gone.id, outcome="allowed", note=f"{gone.role.value} of {gone.who}")
    return gone.to_json()


@router.get("/audit")
def read_audit(
    caller: Admin,
    site: Doors,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """What was asked, by whom, and whether it was allowed; newest first."""
    del caller
    with site.audit() as audit:
        return [each.to_json() for each in audit.read(before=before, limit=limit)]


@router.get("/doctor")
def doctor(caller: Admin, site: Doors) -> list[dict[str, Any]]:
    """What is missing on the server's machine, in its settings, or of its workers."""
    del caller
    results = list(examine(site.settings, None))
    with site.store("server") as store:
        working = workers_alive(store.connection)
    results.append(
        Result(subject="workers", status="ok", message=f"{working} at work")
        if working
        else Result(
            subject="workers", status="missing", message="nobody works on jobs", mend="preview worker"
        )
    )
    return [{**each.to_json(), "message": clean(each.message), "mend": clean(each.mend)} for each in results]
