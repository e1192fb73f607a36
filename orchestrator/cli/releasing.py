"""The commands about production's app: `preview release status|start|stop|logs`. Verb to render only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.given import AsJson, Quiet, assembled_here
from orchestrator.errors import StepFailed, UsageError

if TYPE_CHECKING:
    from orchestrator.bootstrap import Assembly


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Production's app, where `preview` runs it (`[release]`).")
    for command in (status, start, stop, logs):
        group.command(name=command.__name__)(command)
    app.add_typer(group, name="release")


def status(as_json: AsJson = False) -> None:
    """Show what is in production, whether it runs, and which earlier versions are kept."""
    from orchestrator.cli import render

    with render.Progress() as progress, assembled_here(progress) as rooms:
        value = rooms.releases.status()
    if as_json:
        render.result_json(value)
        return
    live, out = value["live"], render.console()
    if live is None:
        render.result("nothing was released here")
        return
    where = f" on {value['address']} ({value['seen']['address']})" if value["address"] else ""
    running = f", app {value['seen']['app']}" if value["address"] else ""
    render.result(f"{_shown(live)}{where}{running}")
    for name in value.get("left_over", ()):
        out.print(f"  {name} is there too: left by a release that did not end", markup=False)
    for each in reversed(value["earlier"]):
        out.print(f"  before: {_shown(each)}", markup=False)


def start(
    image: Annotated[
        str | None, typer.Option("--image", help="For the first time: the image that production runs today.")
    ] = None,
    context: Annotated[
        Path | None,
        typer.Option("--context", help="For the first time: the folder of the version that it runs today."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Bring up production's app and its address, after a reboot or for the first time."""
    from orchestrator.bootstrap import runtime_kind
    from orchestrator.cli import render

    if image and context:
        raise UsageError("give --image or --context, not both")
    with render.Progress(quiet=quiet) as progress, assembled_here(progress) as rooms:
        _assert_ours(rooms)
        if image is None and context is None:
            with _told_why(rooms):
                started = rooms.releases.start(lambda line: progress.say(f"  {line}"))
            if started is None:
                raise UsageError(
                    "nothing was released here yet",
                    hint="`preview release start --image IMAGE` or `--context FOLDER` begins with today's version",
                )
        else:
            rooms.releases.begin(
                image,
                str(context.resolve()) if context else None,
                lambda line: progress.say(f"  {line}"),
                kind=runtime_kind(rooms.settings),
            )
        value = rooms.releases.status()
    _told(value, as_json=as_json)


def stop(
    yes: Annotated[bool, typer.Option("--yes", help="Production goes down: that is wanted.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Take production's app and its address down; `preview release start` brings them back."""
    from orchestrator.cli import render

    with render.Progress(quiet=quiet) as progress, assembled_here(progress) as rooms:
        _assert_ours(rooms)
        if not yes:
            raise UsageError(
                f"that takes production down: nobody will answer on {rooms.releases.address}",
                hint="preview release stop --yes",
            )
        rooms.releases.stop()
        value = rooms.releases.status()
    _told(value, as_json=as_json)


def logs(
    tail: Annotated[int, typer.Option("--tail", min=0, help="How many lines from the end.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines come.")] = False,
) -> None:
    """Print the log of production's app."""
    from orchestrator.cli import render
    from orchestrator.steps.border import translating

    with render.Progress() as progress, assembled_here(progress) as rooms:
        _assert_ours(rooms)
        with translating("reading the log of production"):
            for line in rooms.releases.logs(tail=tail, follow=follow):
                render.result(line.rstrip("\n"))


@contextmanager
def _told_why(rooms: "Assembly") -> Iterator[None]:
    """Say it where a promotion stopped half-way: what ran before may not survive what that has changed already."""
    from orchestrator.facts import previews_json

    try:
        yield
    except StepFailed as error:
        found = [each for each in rooms.store.live() if each.project == rooms.project.key]
        names = [each["name"] for each in previews_json(rooms.store, found) if each["stopped"]]
        if names:
            error.hint = (
                f"the promotion of {names[0]} stopped half-way, and this version may not survive what it has changed: "
                f"`preview promote {names[0]}` goes on with it, `preview revert` takes it back"
            )
        raise


def _assert_ours(rooms: "Assembly") -> None:
    if rooms.releases.address is None:
        raise UsageError(
            "`preview` does not run production's app here",
            hint='set kind = "container" and address = "127.0.0.1:8080" under [release] in preview.toml',
        )


def _told(value: dict[str, Any], *, as_json: bool) -> None:
    from orchestrator.cli import render

    if as_json:
        render.result_json(value)
    else:
        render.result(f"http://{value['address']}")


def _shown(release: dict[str, Any]) -> str:
    image = (release["image"] or {}).get("reference", "")
    return f"{release['preview'] or release['id']} ({image}, {release['at'][:16].replace('T', ' ')} UTC)"
