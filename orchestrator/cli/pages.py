"""The commands about people: dashboard opens the pages, notify tells others. Verb to render only."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.given import AsJson, only_here


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (dashboard, notify):
        app.command()(command)


def dashboard(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Where `preview serve` listens.")
    ] = 8600,
    browser: Annotated[bool, typer.Option(help="Open it in a browser, when there is a terminal.")] = True,
) -> None:
    """Open the dashboard of a running `preview serve`, or of the team's server, and print its address.

    On a laptop the address signs you in: it is good once, for 15 minutes.
    """
    import httpx

    from orchestrator.dashboard.at_site import place_of
    from orchestrator.dashboard.mount import session_key
    from orchestrator.dashboard.sessions import Sessions
    from orchestrator.errors import ServerUnreachable, UsageError
    from orchestrator.opening import open_store
    from orchestrator.remote.wire import server
    from orchestrator.settings import find, load

    if (there := server()) is not None:
        _open(f"{there.rstrip('/')}/", browser=browser)  # one signs in with a token
        return
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
    _open(url, browser=browser)


def _open(url: str, *, browser: bool) -> None:
    import sys
    import webbrowser

    from orchestrator.cli import render

    render.result(url)
    if browser and sys.stdout.isatty():
        webbrowser.open(url)


def notify(
    list_: Annotated[
        bool, typer.Option("--list", help="Show what was said and what waits, newest first.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was given up.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell others what happened since the last time: `[[notify.to]]` in preview.toml.

    `preview serve` does it all the time, and every command that changes something does it when it is done.
    """
    from orchestrator.bootstrap import open_project
    from orchestrator.cli import render
    from orchestrator.notify.notifier import Notifier
    from orchestrator.notify.outbox import Outbox
    from orchestrator.opening import open_store
    from orchestrator.settings import find, load

    only_here()
    settings = load(find(Path.cwd()))
    with open_project(settings) as project, open_store(settings) as store:
        outbox = Outbox(store.connection, project.key)
        sent = failed = 0
        if again:
            outbox.again()
        if not list_:
            notifier = Notifier(settings, project=project.key, open_store=lambda: nullcontext(store))
            sent, failed = notifier.once()
        letters = outbox.all()
    if as_json:
        render.result_json([each.to_json() for each in letters])
    elif list_:
        render.letters([each.to_json() for each in letters])
    else:
        render.result(f"{sent} sent, {failed} not")
