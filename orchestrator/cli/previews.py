"""The commands about one preview: up, answer, list, show, logs, psql, open, promote, discard, history."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.errors import OrchestratorError, StepFailed, UsageError, WaitingForAnswers

if TYPE_CHECKING:
    from orchestrator.bootstrap import Assembly
    from orchestrator.cli.render import Progress
    from orchestrator.lifecycle import Preview
    from orchestrator.migration.plan import Plan

Name = Annotated[str, typer.Argument(help="The preview's name: lower-case letters, digits and hyphens.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, answer, list_, show, logs, psql, open_, promote, discard, history):
        app.command(name=command.__name__.rstrip("_"))(command)


def parse_answers(given: list[str]) -> dict[str, str]:
    """``ID=VALUE`` words to a mapping.

    Raises:
        UsageError: a word has no ``=``.
    """
    answers = {}
    for word in given:
        question, separator, value = word.partition("=")
        if not separator or not question:
            raise UsageError(
                f"{word!r} is not an answer", hint="write ID=VALUE, as printed with the question"
            )
        answers[question] = value
    return answers


@contextmanager
def assembled(progress: "Progress", *, patience_seconds: float = 0.0) -> Iterator["Assembly"]:
    """Everything for the preview.toml of this folder."""
    from orchestrator.bootstrap import assemble
    from orchestrator.settings import find, load

    with assemble(load(find(Path.cwd())), progress, wait=_waiting(progress, patience_seconds)) as assembly:
        yield assembly


def _waiting(progress: "Progress", patience_seconds: float) -> Callable[[str], bool]:
    """What to do while another process holds the lease: say so once, wait a little, give up after a while."""
    until = time.monotonic() + patience_seconds
    told = False

    def wait(holder: str) -> bool:
        nonlocal told
        if time.monotonic() > until:
            return False
        if not told:
            progress.say(f"  waiting for {holder}")
            told = True
        time.sleep(0.1)
        return True

    return wait


def up(
    name: Name,
    answers: Annotated[
        list[str] | None, typer.Option("--answer", help="Answer a question: ID=VALUE. May be repeated.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again on a fresh branch of main.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Branch production, apply the generated migration to the branch, run the app on it, print its URL.

    Run it again to go on after a failure, or to bring a preview up to date with goal, main and sources.
    """
    from orchestrator.cli import render

    given = parse_answers(answers or [])
    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        progress.say(f"{name} from {rooms.project.main.name}")

        def go(more: dict[str, str]) -> "Preview":
            return rooms.controller.up(name, answers={**given, **more}, fresh=fresh and not more)

        _until_ready(rooms, name, go, as_json=as_json)


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
            rooms, name, lambda more: rooms.controller.answer(name, {**given, **more}), as_json=as_json
        )


def _until_ready(
    rooms: "Assembly", name: str, go: "Callable[[dict[str, str]], Preview]", *, as_json: bool
) -> None:
    """Run a verb that may end with questions; ask them when a person is there, else print how to answer."""
    from orchestrator.cli import ask, render
    from orchestrator.facts import open_questions, preview_json

    more: dict[str, str] = {}
    while True:
        try:
            preview = go(more)
        except WaitingForAnswers:
            waiting = rooms.controller.show(name)
            asked = open_questions(waiting)
            if ask.can_ask() and not as_json:
                more = {**more, **ask.ask(asked)}
                continue
            if as_json:
                render.result_json(preview_json(waiting))
            render.questions(asked)
            raise
        except OrchestratorError:
            if as_json and (failed := rooms.store.find(name)) is not None:
                render.result_json(preview_json(failed))
            raise
        break
    if as_json:
        render.result_json(preview_json(preview))
        return
    refused = rooms.controller.refused_hazards(_plan(preview))
    if refused:
        flags = " ".join(f"--allow {hazard.name}" for hazard in refused)
        render.console().print(f"  next: preview promote {name} {flags}", markup=False)
    else:
        render.console().print(f"  next: preview promote {name}   or   preview discard {name}", markup=False)
    render.result(preview.facts["url"])


def list_(
    all_: Annotated[bool, typer.Option("--all", help="Closed previews too.")] = False, as_json: AsJson = False
) -> None:
    """List previews."""
    from orchestrator.cli import render
    from orchestrator.facts import preview_json
    from orchestrator.opening import open_store
    from orchestrator.settings import find, load

    with open_store(load(find(Path.cwd()))) as store:
        values = [preview_json(preview) for preview in store.live(closed=all_)]
    if as_json:
        render.result_json(values)
    elif values:
        render.previews(values)
    else:
        render.console().print("no previews; `preview up NAME` makes one", markup=False)


def show(name: Name, as_json: AsJson = False) -> None:
    """Show a preview: state, URL, questions, plan with measured locks, report."""
    from orchestrator.cli import render
    from orchestrator.facts import open_questions, preview_json

    with render.Progress() as progress, assembled(progress) as rooms:
        preview = rooms.controller.show(name)
        seen = _seen(rooms, preview)
    value = {**preview_json(preview), "seen": seen}
    if as_json:
        render.result_json(value)
        return
    out = render.console()
    branch = value["branch"]["name"] if value["branch"] else "no branch yet"
    render.result(f"{name}  {value['state']}  {value['url'] or ''}".rstrip())
    out.print(f"  branch {branch}, app {seen['app']}, made by {value['created_by']}", markup=False)
    if value["error"]:
        out.print(f"  failed while {value['error']['state']}: {value['error']['message']}", markup=False)
        for line in (value["error"].get("detail") or "").splitlines():
            out.print(f"    {line}", markup=False)
    render.questions(open_questions(preview))
    if value["plan"]["digest"]:
        out.print(f"  plan {value['plan']['digest'][:12]}", markup=False)
        render.plan(value["plan"])
    if value["report"]:
        render.report(value["report"])


def _seen(rooms: "Assembly", preview: "Preview") -> dict[str, str]:
    """What is really there, beside what is remembered."""
    from orchestrator.steps.launch import candidate_name

    if not preview.facts.get("url"):
        return {"app": "not started"}
    try:
        there = rooms.candidates.runtime(preview).observe(candidate_name(preview))
    except Exception as error:  # noqa: BLE001 - showing goes on; what could not be seen is said
        return {"app": f"not seen ({getattr(error, 'message', type(error).__name__)})"}
    return {"app": there.state if there else "gone"}


def logs(
    name: Name,
    tail: Annotated[int, typer.Option("--tail", min=0, help="How many lines from the end.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines come.")] = False,
) -> None:
    """Print the app's log."""
    from orchestrator.cli import render
    from orchestrator.steps.border import translating
    from orchestrator.steps.launch import candidate_name

    with render.Progress() as progress, assembled(progress) as rooms:
        preview = rooms.controller.show(name)
        with translating(f"reading the log of {name}"):
            for line in rooms.candidates.runtime(preview).logs(
                candidate_name(preview), tail=tail, follow=follow
            ):
                render.result(line.rstrip("\n"))


def psql(
    name: Annotated[str | None, typer.Argument(help="The preview; or --main, or --branch.")] = None,
    main: Annotated[bool, typer.Option("--main", help="Production's branch instead of a preview's.")] = False,
    branch: Annotated[str | None, typer.Option("--branch", help="Another branch, by name.")] = None,
    command: Annotated[str | None, typer.Option("--command", "-c", help="Run this SQL and end.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Run this file and end.")] = None,
) -> None:
    """Open psql on the preview's branch (or another branch of the project)."""
    from orchestrator.cli import render
    from orchestrator.steps.border import translating

    if sum((name is not None, main, branch is not None)) != 1:
        raise UsageError("say which database: a preview's name, --main or --branch NAME")
    with render.Progress() as progress, assembled(progress) as rooms:
        if main:
            branch_id = rooms.project.main.id
        elif branch is not None:
            with translating(f"looking for branch {branch}"):
                found = rooms.project.neon.find_branch(rooms.project.id, branch)
            if found is None:
                raise UsageError(f"project {rooms.project.id} has no branch {branch!r}")
            branch_id = found.id
        else:
            facts = rooms.controller.show(name or "").facts
            if "branch" not in facts:
                raise UsageError(f"{name} has no branch yet", hint=f"`preview up {name}`")
            branch_id = facts["branch"]["id"]
        uri = rooms.project.uri(branch_id)
    # The password goes by the environment: argv is readable by everybody on the machine.
    environment = {**os.environ, "PGPASSWORD": uri.password.reveal(), "PGAPPNAME": "preview psql"}
    arguments = [_psql_program(), "-h", uri.host, "-p", str(uri.port), "-U", uri.role, "-d", uri.database]
    if command is not None:
        arguments += ["-X", "-v", "ON_ERROR_STOP=1", "-c", command]
    if file is not None:
        arguments += ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file)]
    sys.stdout.flush()
    os.execvpe(arguments[0], arguments, environment)  # noqa: S606 - becomes psql, signals and all


def _psql_program() -> str:
    """The psql of this machine, else the embedded one."""
    if found := shutil.which("psql"):
        return found
    from neon_embedded import EmbeddedError, find_binaries
    from orchestrator.settings import home

    try:
        return str(find_binaries(None, home()).psql)
    except EmbeddedError as error:
        raise StepFailed(f"there is no psql: {error.message}", hint=error.hint) from error


def open_(name: Name) -> None:
    """Open the preview in a browser; prints the URL too."""
    import webbrowser

    from orchestrator.cli import render

    with render.Progress() as progress, assembled(progress) as rooms:
        url = rooms.controller.show(name).facts.get("url")
    if not url:
        raise UsageError(f"{name} has no URL yet", hint=f"`preview up {name}` brings it up")
    render.result(url)
    webbrowser.open(url)


def promote(
    name: Name,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="Allow a hazard by name: CODE or CODE:OBJECT. May be repeated."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the preview up afterwards.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Apply exactly the rehearsed migration to production, prove it, and discard the preview.

    Run it again after a crash: it goes on with what remains.
    """
    from orchestrator.cli import render
    from orchestrator.facts import preview_json

    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        progress.say(f"{name} to {rooms.project.main.name}")
        preview = rooms.controller.promote(name, allow=allow or [], keep=keep)
    if as_json:
        render.result_json(preview_json(preview))
    else:
        applied = preview.facts["promotion"]["applied"]["statements"]
        render.result(
            f"promoted {name}: {len(applied)} statements, plan {preview.facts['plan']['digest'][:12]}"
        )


def discard(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Even when its promotion stopped half-way; main stays as it is.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove everything of a preview: app, image, branch. Its history stays."""
    from orchestrator.cli import render
    from orchestrator.facts import preview_json

    with render.Progress(quiet=quiet) as progress, assembled(progress, patience_seconds=120) as rooms:
        preview = rooms.controller.discard(name, force=force)
    if as_json:
        render.result_json(preview_json(preview))
    else:
        render.result(f"discarded {name}")


def history(
    name: Annotated[str | None, typer.Argument(help="Of one preview; default: of all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Who did what, when, and how long it took."""
    from orchestrator.cli import render
    from orchestrator.facts import past
    from orchestrator.opening import open_store
    from orchestrator.settings import find, load

    with open_store(load(find(Path.cwd()))) as store:
        events = past(store, name)
    if as_json:
        render.result_json([{"name": each, **event.to_json()} for each, event in events])
    else:
        render.history(events)


def _plan(preview: "Preview") -> "Plan":
    from orchestrator.migration.plan import Plan

    return Plan.from_json(preview.facts["plan"])
