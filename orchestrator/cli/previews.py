"""The commands about one preview's life: up, answer, list, show, discard. Verb to render only."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.given import (
    AsJson,
    Name,
    Quiet,
    assembled,
    brought_image,
    diary,
    keep_answers,
    kept_answers,
    parse_answers,
)
from orchestrator.cli.inside import logs, open_, psql
from orchestrator.errors import OrchestratorError, WaitingForAnswers

if TYPE_CHECKING:
    from orchestrator.cli.rooms import Rooms
    from orchestrator.lifecycle import Preview
    from orchestrator.migration.plan import Hazard, Plan


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, answer, list_, show, logs, psql, open_, discard):
        app.command(name=command.__name__.rstrip("_"))(command)


def up(
    name: Name,
    answers: Annotated[
        list[str] | None, typer.Option("--answer", help="Answer a question: ID=VALUE. May be repeated.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again on a fresh branch of main.")] = False,
    write_answers: Annotated[
        bool,
        typer.Option(
            "--write-answers", help="Keep what --answer says in the answers file too (`[migration] answers`)."
        ),
    ] = False,
    image: Annotated[
        str | None,
        typer.Option(
            "--image", help="With a team's server: run this image instead of this folder's sources."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Branch production, apply the generated migration to the branch, run the app on it, print its URL.

    Run it again to go on after a failure, or to bring a preview up to date with goal, main and sources.
    """
    from orchestrator.cli import render

    given = parse_answers(answers or [])
    brought = brought_image(image)
    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        kept = kept_answers(rooms.settings)
        progress.say(f"{name} from {rooms.project.main.name}")

        def go(more: dict[str, str]) -> "Preview":
            told = {**kept, **given, **more}
            return rooms.controller.up(name, answers=told, fresh=fresh and not more, brought=brought)

        def keep(more: dict[str, str]) -> None:
            keep_answers(rooms.settings, {**(given if write_answers else {}), **more}, progress)

        _until_ready(rooms, name, go, keep, as_json=as_json)


def answer(
    name: Name,
    answers: Annotated[list[str], typer.Argument(help="ID=VALUE, as printed with the question.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Answer a waiting preview's questions and go on."""
    from orchestrator.cli import render

    given = parse_answers(answers)
    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        _until_ready(
            rooms,
            name,
            lambda more: rooms.controller.answer(name, {**given, **more}),
            lambda more: keep_answers(rooms.settings, {**given, **more}, progress),
            as_json=as_json,
        )


def _until_ready(
    rooms: "Rooms",
    name: str,
    go: "Callable[[dict[str, str]], Preview]",
    keep: "Callable[[dict[str, str]], None]",
    *,
    as_json: bool,
) -> None:
    """Run a verb that may end with questions; ask them when a person is there, else print how to answer.

    Answers that were taken are kept.
    """
    from orchestrator.cli import ask, render
    from orchestrator.facts import clicked, open_questions, preview_json

    more: dict[str, str] = {}
    while True:
        try:
            preview = go(more)
        except WaitingForAnswers:
            keep(more)
            waiting = rooms.controller.mine(name)
            asked = open_questions(waiting)
            if ask.can_ask() and not as_json:
                more = {**more, **ask.ask(asked)}
                continue
            if as_json:
                render.result_json(preview_json(waiting))
            render.questions(asked)
            raise
        except OrchestratorError as error:
            if as_json and (failed := _failed_so(rooms, name, error)) is not None:
                render.result_json(preview_json(failed))
            raise
        keep(more)
        break
    if as_json:
        render.result_json(preview_json(preview))
        return
    refused = rooms.controller.refused_hazards(_plan(preview))
    blocked = (preview.facts.get("report") or {}).get("verdict") == "blocked"
    render.console().print(f"  next: {next_command(name, refused, blocked=blocked)}", markup=False)
    render.result(clicked(preview.facts) or "")


def _failed_so(rooms: "Rooms", name: str, error: OrchestratorError) -> "Preview | None":
    """The preview of this project whose row tells of this very error; else the error speaks for itself."""
    try:
        found = rooms.store.find(name)
    except OrchestratorError:
        return None  # the diary is what failed: the first error is the one to tell
    if found is None or found.project != rooms.project.key or not found.error:
        return None
    return found if found.error["message"] == error.message else None


def next_command(name: str, refused: "Iterable[Hazard]", *, blocked: bool = False) -> str:
    """What to type when a preview is ready, fit for a shell whatever the objects are called.

    One whose report stops a promotion has to be read first: it says what to mend, or what to allow by name.
    """
    from orchestrator.facts import promote_command

    if blocked:
        return f"preview report {name}"
    hazards = tuple(refused)
    command = promote_command(name, hazards)
    return command if hazards else f"{command}   or   preview discard {name}"


def list_(
    all_: Annotated[bool, typer.Option("--all", help="Closed previews too.")] = False, as_json: AsJson = False
) -> None:
    """List previews."""
    from orchestrator.cli import render

    with diary() as rows:
        values = rows.previews(closed=all_)
    if as_json:
        render.result_json(values)
    elif values:
        render.previews(values)
        for value in values:
            if value.get("stopped"):
                render.console().print(
                    f"  the promotion of {value['name']} stopped half-way, and nobody goes on with it; "
                    f"next: preview promote {value['name']}",
                    markup=False,
                )
    else:
        render.console().print("no previews; `preview up NAME` makes one", markup=False)


def show(name: Name, as_json: AsJson = False) -> None:
    """Show a preview: state, URL, questions, plan with measured locks, report."""
    from orchestrator.cli import render
    from orchestrator.facts import open_questions, preview_json
    from orchestrator.pages.view import uses

    with render.Progress() as progress, assembled(progress) as rooms:
        preview = rooms.controller.mine(name)
        parts = rooms.healing.look(preview)
    seen = {part.name: part.seen for part in parts}
    value = {**preview_json(preview), "seen": seen, "parts": {part.name: part.to_json() for part in parts}}
    if as_json:
        render.result_json(value)
        return
    out = render.console()
    branch = value["branch"]["name"] if value["branch"] else "no branch yet"
    render.result(f"{name}  {value['state']}  {value['url'] or ''}".rstrip())
    out.print(f"  branch {branch}, app {seen['app']}, made by {value['created_by']}", markup=False)
    for part in parts:
        if part.well is not True:
            out.print(f"  {part.name}: wanted {part.wanted}, seen {part.seen}", markup=False)
    if any(part.well is False and part.name == "promotion" for part in parts):
        out.print(f"  next: preview promote {name}", markup=False)
    elif any(part.well is False for part in parts):
        out.print(f"  next: preview reconcile {name}", markup=False)
    if used := uses(value["usage"]):
        at = value["usage"]["at"][:16].replace("T", " ")
        out.print(f"  uses {used} (seen {at} UTC)", markup=False)
    if preview.expires_at:
        out.print(f"  lives until {preview.expires_at:%Y-%m-%d %H:%M} UTC", markup=False)
    if value["error"]:
        out.print(f"  failed while {value['error']['state']}: {value['error']['message']}", markup=False)
        for line in (value["error"].get("detail") or "").splitlines():
            out.print(f"    {line}", markup=False)
    render.questions(open_questions(preview))
    if value["expanded"] and not value["promotion"]:
        left = len(value["expanded"]["left"])
        out.print(
            f"  main has the first phase since {value['expanded']['at']}; {left} statement{'s' * (left != 1)} left: "
            f"preview promote {name} --phase contract",
            markup=False,
        )
    if value["plan"]["digest"]:
        out.print(f"  plan {value['plan']['digest'][:12]}", markup=False)
        render.plan(value["plan"])
    if value["report"]:
        render.report(value["report"])


def discard(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Even when its promotion stopped half-way; main stays as it is.")
    ] = False,
    keep_for: Annotated[
        str | None,
        typer.Option(
            "--keep-for",
            help="Keep its branch so long, for `preview restore`: 2d. Default: as the settings say.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove everything of a preview: app, image, branch. Its history stays."""
    from orchestrator.cli import render
    from orchestrator.cli.living import span
    from orchestrator.facts import preview_json

    kept = span(keep_for) if keep_for else None

    with render.Progress(quiet=quiet) as progress, assembled(progress, patience_seconds=120) as rooms:
        preview = rooms.controller.discard(name, force=force, keep_for=kept)
    if as_json:
        render.result_json(preview_json(preview))
    else:
        render.result(f"discarded {name}")


def _plan(preview: "Preview") -> "Plan":
    from orchestrator.migration.plan import Plan

    return Plan.from_json(preview.facts["plan"])
