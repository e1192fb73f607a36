"""``neon-embedded``: start, status, stop, serve. The only room here that prints; decides nothing."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neon_embedded.background import ensure_running, status, stop
from neon_embedded.errors import EmbeddedError

app = typer.Typer(
    help="Neon for one machine: the Neon API v2 over local PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def default_home() -> Path:
    """$PREVIEW_HOME; for root /var/lib/preview, which PostgreSQL's user can enter; else the platform's place."""
    asked = os.environ.get("PREVIEW_HOME")
    if asked:
        return Path(asked)
    if os.geteuid() == 0:
        return Path("/var/lib/preview")
    from platformdirs import user_data_dir

    return Path(user_data_dir("preview"))


Home = Annotated[Path | None, typer.Option("--home", help="Directory of its state; default: $PREVIEW_HOME.")]


@app.command()
def start(home: Home = None) -> None:
    """Start the server in the background, if it does not run."""
    running = ensure_running(home or default_home())
    typer.echo(running.base_url)
    typer.echo(f"running, process {running.pid}; the API key is in {running.home / 'api-key'}", err=True)


@app.command(name="status")
def show_status(
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on standard output.")] = False,
) -> None:
    """Show whether the server runs, and what it has. Exit 1 when it does not run."""
    found = status(home or default_home())
    running = found.running
    if as_json:
        shown = (
            {"base_url": running.base_url, "pid": running.pid, "ca_file": str(running.ca_file)}
            if running
            else None
        )
        typer.echo(json.dumps({"home": str(found.home), "running": shown, "projects": list(found.projects)}))
    elif running is None:
        typer.echo(f"not running ({found.home})")
    else:
        typer.echo(f"running at {running.base_url}, process {running.pid} ({found.home})")
        typer.echo(f"TLS is verified by {running.ca_file}")
        for project in found.projects:
            typer.echo(f"  {project['name']}  {project['id']}  PostgreSQL {project['pg_version']}")
            for branch in project["branches"]:
                computes = ", ".join(map(_compute_line, branch["computes"])) or "no compute"
                mark = "*" if branch["default"] else " "
                typer.echo(f"  {mark} {branch['name']}  {branch['id']}  {computes}")
                if spares := spares_line(branch["spares"]):
                    typer.echo(f"      {spares}")
    if running is None:
        raise typer.Exit(1)


def spares_line(spares: dict[str, Any]) -> str:
    """What a branch's warm spares are, cost and lack; empty when there is nothing to say."""
    facts = []
    if spares["ready"] or spares["copying"] or spares["asked"]:
        facts.append(f"warm spares: {spares['ready']} ready")
    if spares["copying"]:
        facts.append(f"{spares['copying']} being copied")
    if spares["bytes"]:
        facts.append(f"{spares['bytes'] / 1_000_000:,.0f} MB of disk")
    if spares["trouble"]:
        facts.append(str(spares["trouble"]))
    return ", ".join(facts)


@app.command(name="spares")
def ask_for_spares(
    number: Annotated[
        str,
        typer.Argument(
            help="0 to 3, or `auto`: one for a default branch of 100 MB up to a tenth of the free disk."
        ),
    ],
    branch: Annotated[
        str,
        typer.Option("--branch", help="Id or name of the branch; default: every project's default branch."),
    ] = "",
    home: Home = None,
) -> None:
    """Keep warm spares of a branch, so that branching it is quick where files share no blocks. 0 ends it.

    Each is a whole copy that follows the branch: its disk, its memory and the replay of what is written are the price.
    """
    from neon_embedded.background import ask_spares

    if number != "auto" and number not in {"0", "1", "2", "3"}:
        raise typer.BadParameter("0 to 3, or `auto`")
    wanted = None if number == "auto" else int(number)
    for name in ask_spares(home or default_home(), branch=branch, number=wanted):
        typer.echo(f"{name}: {number}")


def _compute_line(compute: dict[str, Any]) -> str:
    facts = [f"{compute['host']} {compute['state']}"]
    if compute.get("idle_since"):
        facts.append(f"idle since {compute['idle_since']}")
    if compute.get("memory_bytes"):
        facts.append(f"{compute['memory_bytes'] / 1_000_000:.1f} MB")
    return ", ".join(facts)


@app.command(name="stop")
def stop_all(home: Home = None) -> None:
    """Stop the server and all computes. Not running is fine."""
    where = home or default_home()
    stop(where)
    typer.echo(f"stopped ({where})", err=True)


@app.command(name="import")
def import_data(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="postgresql:// URI, a dump's path, or - to read the URI from standard input (so that no shell"
            " history has its password).",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the new project.")],
    home: Home = None,
) -> None:
    """Make a project of any Postgres database or dump. Prints its id; progress goes to standard error."""
    from neon_embedded.importing import import_database

    where = sys.stdin.readline().strip() if source == "-" else source
    made = import_database(
        home or default_home(), source=where, name=name, say=lambda line: typer.echo(line, err=True)
    )
    typer.echo(made.project_id)
    typer.echo(f"project {name!r}, PostgreSQL {made.pg_version}, at {made.uri}", err=True)


@app.command()
def serve(home: Home = None) -> None:
    """Run the server in the foreground until Ctrl-C; then all computes are stopped."""
    from neon_embedded.serve import serve as run

    run(home or default_home())


def main() -> None:
    """The console script: errors become one line and exit status 1."""
    try:
        app()
    except EmbeddedError as error:
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        sys.exit(1)
