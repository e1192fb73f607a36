"""The commands about reaching a preview: gateway, sleep, wake. Verb to render only."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.given import AsJson, Name, Quiet, assembled, only_here

if TYPE_CHECKING:
    from orchestrator.cli.rooms import Rooms
    from orchestrator.lifecycle import Preview


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (gateway, sleep, wake):
        app.command(name=command.__name__)(command)


def gateway(
    stop: Annotated[
        bool, typer.Option("--stop", help="End the gateway that an ended `preview gateway` left running.")
    ] = False,
    gate_only: Annotated[
        bool,
        typer.Option(
            "--gate-only", help="Run the gate; Caddy runs elsewhere, with what --show-config prints."
        ),
    ] = False,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print Caddy's config, and run nothing.")
    ] = False,
) -> None:
    """Give previews names, as `[gateway]` says: run Caddy and the gate that it asks; wake who sleeps.

    Ctrl-C ends both. When it is ended otherwise, Caddy stays, and nobody's connection is cut by a restart.
    """
    from orchestrator.api.site import Site
    from orchestrator.cli import render
    from orchestrator.gate import serving
    from orchestrator.settings import find, load

    only_here()
    if stop:
        render.result("stopped the gateway" if serving.stop_gateway() else "no gateway runs")
        return
    settings = load(find(Path.cwd()))
    if show_config:
        config = serving.config_of(settings.gateway)
        # By default Caddy takes orders from every process of the machine, on port 2019.
        render.result_json({"admin": {"disabled": True}, **config})
        return
    with render.Progress() as progress:
        site = Site(settings)
        try:
            # Ctrl-C is how it is ended.
            with suppress(KeyboardInterrupt):
                serving.run_gateway(site, say=render.result, tell=progress.say, with_caddy=not gate_only)
        finally:
            site.close()


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


def awake(rooms: "Rooms", name: str) -> "Preview":
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
