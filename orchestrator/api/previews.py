"""Routes that look at previews: list, show, report, history, logs. They change nothing."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from orchestrator.acts.access import authors
from orchestrator.api.callers import REFUSALS, AskedFirst, Doors, Viewer
from orchestrator.api.following import Followed
from orchestrator.api.site import Site
from orchestrator.approval import looked_at
from orchestrator.errors import Refused, UnknownPreview, UsageError
from orchestrator.facts import migration_log, past, preview_json, previews_json
from orchestrator.jobs.work import Silent
from orchestrator.lifecycle import Preview
from orchestrator.mail import Mailbox
from orchestrator.redaction import clean
from orchestrator.settings import NAME_PATTERN, home
from orchestrator.steps.border import translating
from orchestrator.steps.launch import candidate_name
from orchestrator.steps.surroundings import service_name
from preview.ending import Ending

_TEXT = "text/plain; charset=utf-8"

router = APIRouter(tags=["previews"], responses=REFUSALS, route_class=AskedFirst)

Name = Annotated[str, Path(pattern=f"^{NAME_PATTERN.pattern}$", description="The preview's name.")]


def find(site: Site, name: str) -> Preview:
    """The live preview of this name, of this server's project.

    Raises:
        UnknownPreview: there is none.
    """
    with site.store("server") as store:
        found = store.find(name)
    if found is None or found.project != site.project:
        raise UnknownPreview(f"there is no preview {name!r}", hint=f"`preview up {name}` makes it")
    return found


@router.get("/settings")
def read_settings(caller: Viewer, site: Doors) -> dict[str, Any]:
    """What a client has to know of the server's settings."""
    del caller
    app = site.settings.app
    return {
        "project": site.project,
        "database": site.settings.project.database,
        "blocking": site.settings.promote.block,
        "allowed": site.settings.promote.allow,
        "main": site.main,
        "app": {"image": app.image is not None, "dockerfile": app.dockerfile},
        "services": list(site.settings.services),
        "largest_upload": site.settings.server.upload_bytes,
    }


@router.get("/previews")
def list_previews(
    caller: Viewer, site: Doors, closed: Annotated[bool, Query(description="Closed ones too.")] = False
) -> list[dict[str, Any]]:
    """The project's previews, oldest first."""
    del caller
    with site.store("server") as store:
        found = [each for each in store.live(closed=closed) if each.project == site.project]
        return previews_json(store, found)


@router.get("/previews/{name}")
def show_preview(name: Name, caller: Viewer, site: Doors) -> dict[str, Any]:
    """State, URL, questions, plan with measured locks, report; and what is really there."""
    del caller
    preview = find(site, name)
    return {
        **preview_json(preview),
        "authors": sorted(authors(preview)),
        "seen": seen(site, preview),
        "looked_at": looked_at(preview),
    }


@router.get("/previews/{name}/row")
def read_row(name: Name, caller: Viewer, site: Doors) -> dict[str, Any]:
    """The preview as the diary holds it, for clients that render it themselves; its shape follows the version."""
    del caller
    preview = find(site, name)
    return {"row": preview.to_json(), "seen": seen(site, preview)}


@router.get("/shadows/{preview_id}")
def read_shadow(
    preview_id: Annotated[str, Path(pattern=r"^[0-9a-f]{8}$")], caller: Viewer, site: Doors
) -> dict[str, Any]:
    """The preview that is being rehearsed to take another's place, as the diary holds it."""
    del caller
    with site.store("server") as store:
        found = store.shadow_of(preview_id)
    mine = found is not None and found.project == site.project
    return {"row": found.to_json() if found is not None and mine else None}


def seen(site: Site, preview: Preview) -> dict[str, str]:
    """What is really there, beside what is remembered."""
    if not preview.facts.get("url"):
        return {"app": "not started"}
    try:
        there = site.candidates.runtime(preview).observe(candidate_name(preview))
    except Exception as error:  # noqa: BLE001 - showing goes on; what could not be seen is said
        return {"app": f"not seen ({clean(getattr(error, 'message', type(error).__name__))})"}
    return {"app": there.state if there else "gone"}


@router.get("/previews/{name}/parts")
def read_parts(name: Name, caller: Viewer, site: Doors) -> list[dict[str, Any]]:
    """Branch, compute, app and URL: what should be there, and what is. Asks Neon and the runtime."""
    preview = find(site, name)
    with site.assembled(caller.who, Silent()) as rooms:
        return [
            {
                "name": part.name,
                "wanted": clean(part.wanted),
                "seen": clean(part.seen),
                "well": part.well,
            }
            for part in rooms.healing.look(preview)
        ]


@router.get("/previews/{name}/report")
def read_report(
    name: Name,
    caller: Viewer,
    site: Doors,
    form: Annotated[Literal["json", "html", "markdown"], Query(alias="format")] = "json",
) -> Response:
    """What the rehearsal found."""
    del caller
    preview = find(site, name)
    if not preview.facts.get("report"):
        raise Refused(
            f"{name} is {preview.state}; it has no report yet", hint=f"`preview up {name}` rehearses"
        )
    value = preview_json(preview)
    if form == "json":
        import json

        return Response(json.dumps(value["report"]), media_type="application/json")
    from orchestrator.pages.render import html, markdown

    if form == "markdown":
        return PlainTextResponse(markdown(value, commands=[]), media_type="text/markdown")
    page = html(value, commands=[])
    # The page is one file with its own styles, and needs no script.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
    return Response(page, media_type="text/html", headers={"content-security-policy": policy})


@router.get("/previews/{name}/mails")
def read_mails(name: Name, caller: Viewer, site: Doors) -> list[dict[str, Any]]:
    """What its app would have mailed, newest first; nobody else got it."""
    del caller
    return Mailbox(home()).mails(find(site, name))


@router.get("/previews/{name}/mails/{mail_id}")
def read_mail(name: Name, mail_id: str, caller: Viewer, site: Doors) -> dict[str, str]:
    """One of its mails, whole, as it was sent."""
    del caller
    return {"id": mail_id, "source": Mailbox(home()).source(find(site, name), mail_id)}


@router.get("/previews/{name}/history")
def preview_history(name: Name, caller: Viewer, site: Doors) -> list[dict[str, Any]]:
    """Who did what with it, when, and how long it took; also when it is closed already."""
    del caller
    with site.store("server") as store:
        told = past(store, name, project=site.project)
        return [{"name": each, **event.to_json()} for each, event in told]


@router.get("/history")
def history(caller: Viewer, site: Doors) -> list[dict[str, Any]]:
    """Who did what, when, and how long it took; of all previews of the project."""
    del caller
    with site.store("server") as store:
        told = past(store, None, project=site.project)
        return [{"name": each, **event.to_json()} for each, event in told]


@router.get("/previews/{name}/logs", response_class=PlainTextResponse)
async def read_logs(
    name: Name,
    caller: Viewer,
    site: Doors,
    tail: Annotated[int, Query(ge=0, le=10_000, description="How many lines from the end.")] = 100,
    follow: Annotated[bool, Query(description="Go on as new lines come.")] = False,
    migration: Annotated[bool, Query(description="What the migration command said, instead.")] = False,
    service: Annotated[
        str | None, Query(max_length=80, description="The log of a service beside the app, instead.")
    ] = None,
) -> StreamingResponse:
    """The app's log, a line each."""
    del caller
    preview = await run_in_threadpool(find, site, name)
    if service is not None and service not in site.settings.services:
        raise UsageError(
            "there is no such service", hint=f"services: {', '.join(site.settings.services) or 'none'}"
        )
    whose = service_name(preview, service) if service else candidate_name(preview)

    def opened(ending: Ending | None = None) -> Iterator[str]:
        with translating(f"reading the log of {name}"):
            runtime = site.candidates.runtime(preview)
            yield from runtime.logs(whose, tail=tail, follow=follow, ending=ending)

    if migration:
        lines: Iterator[str] = iter(migration_log(preview)[-tail or None :])
    elif follow:
        followed = Followed(lambda ending: map(_line, opened(ending)))
        await followed.begun()
        return StreamingResponse(followed.lines(), media_type=_TEXT)
    else:
        lines = opened()
        # Errors are told before the answer has begun.
        lines = _with_first(await run_in_threadpool(next, lines, None), lines)
    return StreamingResponse(map(_line, lines), media_type=_TEXT)


def _with_first(first: str | None, rest: Iterator[str]) -> Iterator[str]:
    if first is not None:
        yield first
        yield from rest


def _line(text: str) -> str:
    return clean(text.rstrip("\n")) + "\n"
