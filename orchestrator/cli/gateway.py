"""The commands about reaching a preview: sleep, wake. Verb to render only."""

from typing import TYPE_CHECKING

import typer

from orchestrator.cli.given import AsJson, Name, Quiet, assembled

if TYPE_CHECKING:
    from orchestrator.bootstrap import Assembly
    from orchestrator.lifecycle import Preview


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (sleep, wake):
        app.command(name=command.__name__)(command)


def sleep(name: Name, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Stop a preview's app until somebody asks for it; its branch stays, and what was found out about it.

    The gateway wakes it on the first request, `preview wake` and `preview open` do.
    """
    from orchestrator.cli import render

    with render.Progress(quiet=quiet) as progress, assembled(progress, patience_seconds=30) as rooms:
        preview = rooms.sleeping.sleep(rooms.controller.mine(name).id)
    _tell(preview, f"{name} sleeps", as_json=as_json)


def wake(name: Name, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Start a sleeping preview's app again, wait until it is healthy, print its URL."""
    from orchestrator.cli import render
    from orchestrator.facts import clicked

    with render.Progress(quiet=quiet) as progress, assembled(progress, patience_seconds=30) as rooms:
        preview = awake(rooms, name)
    _tell(preview, clicked(preview.facts) or "", as_json=as_json)


def awake(rooms: "Assembly", name: str) -> "Preview":
    """The preview of this project, woken when it sleeps."""
    preview = rooms.controller.mine(name)
    return rooms.sleeping.wake(preview.id) if preview.facts.get("sleeping_since") else preview


def _tell(preview: "Preview", text: str, *, as_json: bool) -> None:
    from orchestrator.cli import render
    from orchestrator.facts import preview_json

    if as_json:
        render.result_json(preview_json(preview))
    else:
        render.result(text)
