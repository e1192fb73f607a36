"""Whether the server lives and can work: for load balancers and watchers. Needs no token, tells no secret."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from orchestrator.api.callers import Doors
from orchestrator.errors import OrchestratorError

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives; asks nobody."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "The store does not answer."}})
def readyz(site: Doors) -> JSONResponse:
    """The store answers: this server can do what it is asked."""
    try:
        with site.tokens() as tokens:
            tokens.ping()
    except OrchestratorError:
        return JSONResponse({"status": "the store does not answer"}, status_code=503)
    return JSONResponse({"status": "ok"})
