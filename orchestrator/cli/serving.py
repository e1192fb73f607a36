"""The commands of a team's server: serve, token. Verb to render only."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.given import AsJson, only_here


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(worker)
    token = typer.Typer(help="Tokens for the server: who may do what.", no_args_is_help=True)
    for command in (create, list_, revoke):
        token.command(name=command.__name__.rstrip("_"))(command)
    app.add_typer(token, name="token")


def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0: a free one.")] = 8600,
    workers: Annotated[
        int, typer.Option("--workers", min=0, max=64, help="How many jobs this process works on at once.")
    ] = 2,
    behind_gateway: Annotated[
        bool,
        typer.Option(
            "--behind-gateway", help="Allow a --host that other machines reach: TLS is in front of it."
        ),
    ] = False,
) -> None:
    """Serve previews to a team: the API, the pages and the workers, with this folder's preview.toml.

    The first token is made beside it: `preview token create --local --role admin NAME`.
    """
    from orchestrator.cli import render
    from orchestrator.server import serve as run
    from orchestrator.settings import find, load

    only_here()
    run(
        load(find(Path.cwd())),
        host=host,
        port=port,
        workers=workers,
        say=render.result,
        show=lambda url: render.console().print(f"  pages: {url}", markup=False, soft_wrap=True),
        anywhere=behind_gateway,
    )


def worker(
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="How many jobs at once.")] = 2,
) -> None:
    """Work for a team's server, on this machine: with the same preview.toml, store and keys."""
    from orchestrator.cli import render
    from orchestrator.server import work
    from orchestrator.settings import find, load

    only_here()
    work(load(find(Path.cwd())), jobs=jobs, say=render.result)


def create(
    who: Annotated[str, typer.Argument(help="Whose it is: a person or an agent.")],
    role: Annotated[str, typer.Option("--role", help="viewer, developer, approver or admin.")] = "developer",
    days: Annotated[float, typer.Option("--days", help="How long it is good.")] = 90,
    note: Annotated[str, typer.Option("--note", help="What it is for.")] = "",
    local: Annotated[
        bool, typer.Option("--local", help="On the server's own machine, by way of its store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a token; it is printed once and kept nowhere."""
    from orchestrator.cli import render
    from orchestrator.cli.tokens import open_tokens

    with open_tokens(local=local) as tokens:
        made = tokens.create(who=who, role=role, days=days, note=note)
    if as_json:
        render.result_json(made)
        return
    render.result(made["secret"])
    render.console().print(
        f"  {made['role']} for {made['who']}, id {made['id']}, good until {made['expires_at'][:10]}; "
        "it is shown this once",
        markup=False,
    )


def list_(
    local: Annotated[
        bool, typer.Option("--local", help="On the server's own machine, by way of its store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List tokens: whose, what for, until when, last used."""
    from orchestrator.cli import render
    from orchestrator.cli.tokens import open_tokens

    with open_tokens(local=local) as tokens:
        values = tokens.all()
    if as_json:
        render.result_json(values)
    else:
        render.tokens(values)


def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `preview token list` shows it.")],
    local: Annotated[
        bool, typer.Option("--local", help="On the server's own machine, by way of its store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a token no good, from the next request on."""
    from orchestrator.cli import render
    from orchestrator.cli.tokens import open_tokens

    with open_tokens(local=local) as tokens:
        gone = tokens.revoke(token_id)
    if as_json:
        render.result_json(gone)
    else:
        render.result(f"revoked {gone['id']}: {gone['role']} of {gone['who']}")
