"""The commands that go into a preview: logs, psql, open. They leave its row and its history alone."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs, urlsplit

import typer

from orchestrator.cli.given import AsJson, Name, assembled, assembled_here, checked_name
from orchestrator.errors import StepFailed, UsageError

if TYPE_CHECKING:
    from neon_client.models import ConnectionURI

#: What a URI's query says, and the variable in which libpq reads it (PostgreSQL docs, 34.15).
_OF_QUERY = {"sslmode": "PGSSLMODE", "channel_binding": "PGCHANNELBINDING", "options": "PGOPTIONS"}
#: The caller's own of these would lead elsewhere, or ask this server for what it does not have.
_NOT_INHERITED = frozenset(
    {
        *("PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS"),
        *("PGSSLMODE", "PGCHANNELBINDING", "PGREQUIREAUTH", "PGSSLNEGOTIATION", "PGGSSENCMODE"),
    }
)


def logs(
    name: Name,
    tail: Annotated[int, typer.Option("--tail", min=0, help="How many lines from the end.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines come.")] = False,
    migration: Annotated[
        bool, typer.Option("--migration", help="What the migration command said on the branch, instead.")
    ] = False,
    service: Annotated[
        str | None, typer.Option("--service", help="The log of a service beside the app, instead.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help='Print each line as JSON: {"line": ...}, one a line.')
    ] = False,
) -> None:
    """Print the app's log."""
    from orchestrator.cli import render
    from orchestrator.facts import migration_log
    from orchestrator.steps.border import translating
    from orchestrator.steps.launch import candidate_name
    from orchestrator.steps.surroundings import service_name

    with render.Progress() as progress, assembled(progress) as rooms:
        preview = rooms.controller.mine(name)
        services = rooms.services
        if service is not None and service not in services:
            known = ", ".join(services) or "none"
            raise UsageError(f"there is no service {service!r} in preview.toml", hint=f"services: {known}")
        whose = service_name(preview, service) if service else candidate_name(preview)
        with translating(f"reading the log of {name}"):
            lines: Iterable[str] = (
                migration_log(preview)[-tail or None :]
                if migration
                else rooms.candidates.runtime(preview).logs(whose, tail=tail, follow=follow)
            )
            for line in lines:
                text = line.rstrip("\n")
                render.result(json.dumps({"line": text}, ensure_ascii=False) if as_json else text)


def psql(
    name: Annotated[
        str | None, typer.Argument(help="The preview; or --main, or --branch.", callback=checked_name)
    ] = None,
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
    with render.Progress() as progress, assembled_here(progress) as rooms:
        if main:
            branch_id = rooms.project.main.id
        elif branch is not None:
            with translating(f"looking for branch {branch}"):
                found = rooms.project.neon.find_branch(rooms.project.id, branch)
            if found is None:
                raise UsageError(f"project {rooms.project.id} has no branch {branch!r}")
            branch_id = found.id
        else:
            facts = rooms.controller.mine(name or "").facts
            if "branch" not in facts:
                raise UsageError(f"{name} has no branch yet", hint=f"`preview up {name}`")
            branch_id = facts["branch"]["id"]
        uri = rooms.project.uri(branch_id)
    arguments = [_psql_program()]
    if command is not None:
        arguments += ["-X", "-v", "ON_ERROR_STOP=1", "-c", command]
    if file is not None:
        arguments += ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file)]
    sys.stdout.flush()
    os.execvpe(arguments[0], arguments, psql_environment(uri, os.environ))  # noqa: S606 - becomes psql, signals and all


def psql_environment(uri: "ConnectionURI", inherited: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with the variables in which libpq finds the database, and without what leads elsewhere.

    Not argv, which everybody on the machine can read; and not ``-d``, which libpq takes for a connection string
    when it has a ``=`` in it, as a database's name may (PostgreSQL docs, 34.1.1).
    """
    query = parse_qs(urlsplit(uri.reveal()).query)
    return {
        **{name: value for name, value in inherited.items() if name not in _NOT_INHERITED},
        "PGHOST": uri.host,
        "PGPORT": str(uri.port),
        "PGUSER": uri.role,
        "PGDATABASE": uri.database,
        "PGPASSWORD": uri.password.reveal(),
        "PGAPPNAME": "preview psql",
        **{_OF_QUERY[key]: values[-1] for key, values in query.items() if key in _OF_QUERY},
    }


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


def open_(name: Name, as_json: AsJson = False) -> None:
    """Open the preview in a browser, woken when it sleeps; prints the URL too."""
    import webbrowser

    from orchestrator.cli import render
    from orchestrator.cli.gateway import awake
    from orchestrator.facts import clicked

    with render.Progress() as progress, assembled(progress, patience_seconds=30) as rooms:
        url = clicked(awake(rooms, name).facts)
    if not url:
        raise UsageError(f"{name} has no URL yet", hint=f"`preview up {name}` brings it up")
    if as_json:
        render.result_json({"name": name, "url": url})
    else:
        render.result(url)
    webbrowser.open(url)
