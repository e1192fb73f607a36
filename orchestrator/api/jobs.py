"""Routes of the acts, made from their table; of jobs, with what they say while they run; of sources that are sent."""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from orchestrator.access import Caller
from orchestrator.acts import ACTS, Act
from orchestrator.api.bell import JOB, Bell
from orchestrator.api.callers import REFUSALS, AskedFirst, Developer, Doors, Needs, Viewer, site_of
from orchestrator.api.previews import Name
from orchestrator.api.site import Site
from orchestrator.errors import TooOften, UsageError
from orchestrator.facts import preview_json
from orchestrator.jobs.contexts import Contexts
from orchestrator.lifecycle import Preview

router = APIRouter(tags=["jobs"], responses=REFUSALS, route_class=AskedFirst)

#: How long a client may wait for news of a job, in seconds: shorter than what proxies bear.
LONGEST_WAIT = 25.0

Key = Annotated[
    str | None, Header(pattern=r"^[A-Za-z0-9._-]{1,80}$", description="The same key is the same job.")
]
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the archive, hexadecimal.")]
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]


def _endpoint(act: Act) -> Callable[..., dict[str, Any]]:
    def endpoint(
        name: Name, arguments: Any, caller: Caller, site: Doors, idempotency_key: Key = None
    ) -> dict[str, Any]:
        with site.store(caller.who) as store:
            job = site.submissions.submit(
                store, caller, act.name, name, arguments.model_dump(mode="json"), request=idempotency_key
            )
        return job.to_json()

    endpoint.__annotations__["arguments"] = act.arguments
    endpoint.__annotations__["caller"] = Annotated[Caller, Depends(Needs(act.asked.role))]
    return endpoint


def _of_project(act: Act) -> Callable[..., dict[str, Any]]:
    def endpoint(arguments: Any, caller: Caller, site: Doors, idempotency_key: Key = None) -> dict[str, Any]:
        return of_preview("", arguments, caller, site, idempotency_key)

    of_preview = _endpoint(act)
    endpoint.__annotations__["arguments"] = act.arguments
    endpoint.__annotations__["caller"] = Annotated[Caller, Depends(Needs(act.asked.role))]
    return endpoint


for _act in ACTS.values():
    _whole = _act.of == "project"
    router.add_api_route(
        f"/project/{_act.name}" if _whole else f"/previews/{{name}}/{_act.name}",
        _of_project(_act) if _whole else _endpoint(_act),
        methods=["POST"],
        status_code=202,
        name=_act.name,
        operation_id=_act.name,
        summary=f"{_act.summary} Answers with the job at once.",
    )


@router.get("/jobs")
def list_jobs(
    caller: Viewer, site: Doors, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> list[dict[str, Any]]:
    """The newest jobs, newest first."""
    del caller
    with site.book() as book:
        return [each.to_json() for each in book.of_project(site.project, limit=limit)]


@router.get("/jobs/{job_id}")
async def follow_job(
    job_id: JobId,
    request: Request,
    caller: Viewer,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Lines behind this one.")] = 0,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT, description="How long to wait for something new, in seconds.")
    ] = 0,
    row: Annotated[bool, Query(description="The preview as the diary holds it, too.")] = False,
) -> dict[str, Any]:
    """A job, the lines that it said since, and how it ended."""
    del caller
    site, bell = site_of(request), _bell(request)
    until = time.monotonic() + wait
    while True:
        # First to the bell, then look: what happens between the two is not missed.
        ringing = asyncio.ensure_future(bell.wait(JOB, job_id, min(2.0, max(0.0, until - time.monotonic()))))
        await asyncio.sleep(0)
        try:
            value = await run_in_threadpool(_job, site, job_id, after, row)
            if value["lines"] or value["ended_at"] or time.monotonic() >= until:
                return value
            await ringing
        finally:
            ringing.cancel()


def _bell(request: Request) -> Bell:
    bell: Bell = request.app.state.bell
    return bell


def _job(site: Site, job_id: str, after: int, row: bool) -> dict[str, Any]:
    with site.book() as book:
        # The job first: once it has ended, every line of it is there.
        job = book.get(job_id)
        if job.project != site.project:
            book.get("")
        lines = book.lines(job_id, after=after)
    result: Mapping[str, Any] | None = job.result
    if result and ACTS[job.act].of != "project":
        result = preview_json(Preview.from_json(result))
    value = {
        **job.to_json(),
        "lines": [{"number": number, **line} for number, line in lines],
        "result": result,
    }
    return {**value, "row": job.result} if row else value


@router.get("/contexts/{digest}")
def have_context(digest: Digest, caller: Developer, site: Doors) -> dict[str, bool]:
    """Whether the sources with this digest are here already."""
    del caller
    with site.store("server") as store:
        return {"here": Contexts(store.connection).has(digest)}


@router.put(
    "/contexts/{digest}",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            "required": True,
        }
    },
)
async def put_context(digest: Digest, request: Request, caller: Developer) -> dict[str, bool]:
    """Send an app's sources: a tar archive, without compression."""
    site = site_of(request)
    if wait := site.rates.uploads.take(caller.who):
        note = "too many uploads"
        await run_in_threadpool(site.refusals.tell, caller, "sources", on=digest[:12], note=note)
        raise TooOften(f"too many uploads; try again in {wait:.0f} s")
    with tempfile.TemporaryFile() as file:
        total = hashlib.sha256()
        async for part in request.stream():
            total.update(part)
            await run_in_threadpool(file.write, part)
        if total.hexdigest() != digest:
            raise UsageError("the sources are not what their digest says", hint="send them again")
        file.seek(0)
        await run_in_threadpool(_keep, site, caller, digest, file)
    return {"here": True}


def _keep(site: Site, caller: Caller, digest: str, file: IO[bytes]) -> None:
    with site.store("server") as store:
        Contexts(store.connection).put(digest, file, who=caller.who, most=site.settings.server.upload_bytes)
    site.write(caller, "sources", on=digest[:12], outcome="allowed")
