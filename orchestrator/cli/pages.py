"""The command that opens the dashboard. Verb to render only."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dashboard)


def dashboard(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Where `preview serve` listens.")
    ] = 8600,
    browser: Annotated[bool, typer.Option(help="Open it in a browser, when there is a terminal.")] = True,
) -> None:
    """Open the dashboard of a running `preview serve`, and print its address.

    On a laptop the address signs you in: it is good once, for 15 minutes.
    """
    import sys
    import webbrowser

    import httpx

    from orchestrator.cli import render
    from orchestrator.dashboard.at_site import place_of
    from orchestrator.dashboard.mount import session_key
    from orchestrator.dashboard.sessions import Sessions
    from orchestrator.errors import ServerUnreachable, UsageError
    from orchestrator.opening import open_store
    from orchestrator.settings import find, load

    settings = load(find(Path.cwd()))
    if not settings.dashboard.enabled:
        raise UsageError("dashboard.enabled is off", hint="switch it on in preview.toml")
    place = place_of(settings, host="127.0.0.1", port=port)
    url = f"{place.origin}/"
    if place.local:
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            raise ServerUnreachable(
                f"no server answers at http://127.0.0.1:{port}",
                hint="`preview serve` starts one; or give its --port",
            ) from None
        with open_store(settings) as store:
            url = f"{place.origin}/enter?ticket={Sessions(session_key(store)).ticket()}"
    render.result(url)
    if browser and sys.stdout.isatty():
        webbrowser.open(url)
