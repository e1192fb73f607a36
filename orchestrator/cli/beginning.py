"""The commands that come first: init and doctor."""

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape
from rich.prompt import Prompt

from orchestrator.cli.given import AsJson
from orchestrator.errors import SettingsError, UsageError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="init")(init)
    app.command(name="doctor")(doctor)


def init(
    neon: Annotated[
        str | None, typer.Option("--neon", help="`embedded`, `neon`, or the URL of a Neon API.")
    ] = None,
    project: Annotated[str | None, typer.Option("--project", help="The Neon project's name or id.")] = None,
    database: Annotated[str | None, typer.Option("--database", help="The database in it.")] = None,
    goal_branch: Annotated[
        str | None, typer.Option("--goal-branch", help="The wanted schema is on this branch.")
    ] = None,
    goal_url_env: Annotated[
        str | None, typer.Option("--goal-url-env", help="... in the database whose URL this variable holds.")
    ] = None,
    goal_directory: Annotated[
        str | None, typer.Option("--goal-directory", help="... in this folder of .sql files.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            "--command", help="... as this migration command makes it, such as `alembic upgrade head`."
        ),
    ] = None,
    context: Annotated[str, typer.Option("--context", help="The folder with the Dockerfile.")] = ".",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="The port the app listens on.")
    ] = 8000,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing preview.toml.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write preview.toml; on the embedded server, make the project when it is not there yet.

    Asks for what is not given, when there is a terminal; for Neon it shows projects, databases and branches to
    choose from, and asks for the key when NEON_API_KEY is not set. No secret is written.
    """
    from orchestrator import opening
    from orchestrator.cli import choosing, render
    from orchestrator.projects import ensure_embedded
    from orchestrator.settings import FILE_NAME, load
    from orchestrator.steps.border import translating

    file = Path.cwd() / FILE_NAME
    if file.exists() and not force:
        raise UsageError(f"{file} is there already", hint="edit it, or replace it with --force")
    goals = [goal for goal in (goal_branch, goal_url_env, goal_directory, command) if goal]
    if len(goals) > 1:
        raise UsageError("give one of --goal-branch, --goal-url-env, --goal-directory and --command")
    ask = _flag_is_missing if as_json else _ask
    neon = neon or ask("Where is production: embedded or neon?", "--neon", "embedded")
    key_was_asked = neon != opening.EMBEDDED and not as_json and choosing.ensure_key()
    with opening.open_neon(neon) as client:
        if neon == opening.EMBEDDED:
            project = project or ask("The project's name?", "--project", Path.cwd().name)
            database = database or ask("The database?", "--database", "neondb")
            if not goals:
                goal_branch = ask(
                    "The development branch, whose schema is wanted?", "--goal-branch", "development"
                )
            found = ensure_embedded(client, name=project, database=database, development=goal_branch)
            key, value, made_here = "name", project, found.created
            if database not in found.databases:
                raise UsageError(
                    f"project {project} has no database {database!r}; it has {', '.join(found.databases)}",
                    hint="give one of them with --database",
                )
            known = found.project
            made = "made" if made_here else "found"
            render.console().print(f"{made} project {project} ({known.id}) on this machine", markup=False)
        else:
            known = choosing.choose_project(client, project)
            key, value, made_here = "id", known.id, False
            with translating("looking at the project"):
                main, branches = client.default_branch(known.id), client.branches(known.id)
            database = choosing.choose_database(client, known.id, main, database)
            if goal_branch or not goals:
                goal_branch = choosing.choose_goal(branches, goal_branch)
            render.console().print(
                f"project {known.name} ({known.id}), main is branch {main.name}", markup=False
            )
    text = _TEMPLATE.format(
        neon=json.dumps(neon),
        key=key,
        value=json.dumps(value, ensure_ascii=False),
        database=json.dumps(database, ensure_ascii=False),
        goal=_goal(goal_branch, goal_url_env, goal_directory, command),
        context=json.dumps(context, ensure_ascii=False),
        port=port,
    )
    file.write_text(text, encoding="utf-8")
    load(file)
    if as_json:
        about = {"id": known.id, "name": known.name, "created": made_here}
        render.result_json({"file": str(file), "neon": neon, "project": about, "database": database})
    else:
        render.result(str(file))
    if key_was_asked:
        render.console().print(
            f"the key was not kept: export {choosing.KEY_VARIABLE} for the other commands", markup=False
        )
    render.console().print("next: preview up NAME", markup=False)


_TEMPLATE = """\
# What `preview` needs to know. Every key: docs/settings.md. No secret belongs here.

[project]
neon = {neon}
{key} = {value}
database = {database}

{goal}

[app]
context = {context}
port = {port}
health = "/healthz"
# command = ["python", "app.py"]   # for machines without Docker: how the app starts as a local process
"""


def _goal(branch: str | None, url_env: str | None, directory: str | None, command: str | None) -> str:
    section, key, value = (
        ("migration", "command", command)
        if command
        else ("goal", "branch", branch)
        if branch
        else ("goal", "url_env", url_env)
        if url_env
        else ("goal", "directory", directory)
    )
    return f"[{section}]\n{key} = {json.dumps(value, ensure_ascii=False)}"


def _ask(question: str, flag: str, default: str) -> str:
    """Ask at a terminal; without one, say which flag is missing."""
    from orchestrator.cli.ask import can_ask
    from orchestrator.cli.render import console

    if not can_ask():
        _flag_is_missing(question, flag, default)
    return Prompt.ask(question, default=default, console=console())


def _flag_is_missing(_question: str, flag: str, default: str) -> NoReturn:
    raise UsageError(f"{flag} is missing", hint=f"for example {flag} {default}")


def doctor(
    server: Annotated[
        bool, typer.Option("--server", help="Look at the team's server that PREVIEW_SERVER names, instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is missing on this machine or in preview.toml, and the command that mends it."""
    from orchestrator import diagnosis
    from orchestrator.cli import render
    from orchestrator.settings import find, load

    problem = None
    settings = None
    try:
        settings = load(find(Path.cwd()))
    except SettingsError as error:
        problem = error
    if server:
        from orchestrator.remote.visit import look_at_server

        results = look_at_server()
    else:
        results = diagnosis.examine(settings, problem)
    if as_json:
        render.result_json([result.to_json() for result in results])
    else:
        marks = {"ok": "[green]ok     [/]", "missing": "[red]missing[/]", "note": "[yellow]note   [/]"}
        out = render.stdout()
        for result in results:
            out.print(f"{marks[result.status]}  {result.subject}: {escape(result.message)}")
            if result.mend:
                out.print(f"         mend: {escape(result.mend)}")
    if any(result.status == "missing" for result in results):
        sys.exit(1)
