"""Choosing at a terminal among what Neon has: project, branch, database. Without a terminal it names the flag."""

import getpass
import os
from collections.abc import Sequence

from rich.markup import escape
from rich.prompt import Prompt

from neon_client import NeonClient
from neon_client.models import Branch, Project
from orchestrator.cli.ask import can_ask
from orchestrator.cli.render import console
from orchestrator.errors import UsageError
from orchestrator.projects import find_project
from orchestrator.steps.border import translating

KEY_VARIABLE = "NEON_API_KEY"
_HINT_LENGTH = 10


def ensure_key() -> bool:
    """Ask for the API key when the environment has none; it is kept for this process only, and written nowhere.

    Returns:
        Whether it was asked for.

    Raises:
        UsageError: nobody is there to ask, or no key was given.
    """
    if os.environ.get(KEY_VARIABLE):
        return False
    if not can_ask():
        raise UsageError(f"${KEY_VARIABLE} is not set", hint="make a key in Neon's console and export it")
    console().print(
        "Neon's API key (console.neon.tech, account settings; it is not written anywhere)", markup=False
    )
    given = getpass.getpass("key: ").strip()
    if not given:
        raise UsageError("no key was given", hint=f"make a key in Neon's console and export {KEY_VARIABLE}")
    os.environ[KEY_VARIABLE] = given
    return True


def choose(what: str, choices: Sequence[tuple[str, str]], flag: str, *, default: str | None = None) -> str:
    """One of the choices, by its number or its value.

    Args:
        what: the question.
        choices: value and what is shown beside it; not empty.
        flag: the flag that answers without a terminal.
        default: the value that Enter takes; the only one when there is only one.

    Raises:
        UsageError: there is no terminal; names the flag and the first values.
    """
    values = [value for value, _ in choices]
    if not can_ask():
        more = ", ..." if len(values) > _HINT_LENGTH else ""
        raise UsageError(f"{flag} is missing", hint=f"one of: {', '.join(values[:_HINT_LENGTH])}{more}")
    out = console()
    out.print(f"\n  [bold]{escape(what)}[/]")
    for number, (value, shown) in enumerate(choices, 1):
        out.print(f"    {number}  {escape(value)}  [dim]{escape(shown)}[/]")
    preset = default or (values[0] if len(values) == 1 else None)
    numbers = {str(number): value for number, value in enumerate(values, 1)}
    while True:
        answer = (
            Prompt.ask("  number or name", console=out)
            if preset is None
            else Prompt.ask("  number or name", console=out, default=preset)
        )
        chosen = answer if answer in values else numbers.get(answer)
        if chosen is not None:
            return chosen
        out.print(f"    there is no {answer!r}", markup=False)


def choose_project(neon: NeonClient, given: str | None) -> Project:
    """The project by name or id, or the one chosen from the list. Raises UsageError."""
    with translating("looking for projects"):
        projects = neon.projects()
    by_id = {project.id: project for project in projects}
    if given:
        return by_id.get(given) or find_project(neon, project_id=None, name=given)
    if not projects:
        raise UsageError("the key sees no project", hint="make one in Neon's console, or use another key")
    choices = [(each.id, f"{each.name}, PostgreSQL {each.pg_version}, {each.region_id}") for each in projects]
    return by_id[choose("Which project is production?", choices, "--project")]


def choose_goal(branches: Sequence[Branch], given: str | None) -> str:
    """The name of the development branch: the one given, when it is there, or the one chosen. Raises UsageError."""
    others = [branch for branch in branches if not branch.default]
    names = [branch.name for branch in others]
    if given:
        if given not in names:
            raise UsageError(
                f"there is no branch {given!r} beside main",
                hint=f"branches: {', '.join(names) or 'none'}",
            )
        return given
    if not others:
        raise UsageError(
            "the project has no branch beside main, so there is none for development",
            hint="make one in Neon, or say where the wanted schema is: --goal-url-env or --goal-directory",
        )
    by_id = {branch.id: branch.name for branch in branches}
    choices = [
        (each.name, f"{each.id}, from {by_id.get(each.parent_id or '', 'nothing')}") for each in others
    ]
    default = "development" if "development" in names else None
    return choose("Which branch has the wanted schema?", choices, "--goal-branch", default=default)


def choose_database(neon: NeonClient, project_id: str, main: Branch, given: str | None) -> str:
    """The name of a database of main. Raises UsageError."""
    with translating("looking for databases"):
        databases = neon.databases(project_id, main.id)
    names = [each.name for each in databases]
    if given:
        if given not in names:
            raise UsageError(
                f"main has no database {given!r}", hint=f"databases: {', '.join(names) or 'none'}"
            )
        return given
    if not names:
        raise UsageError("main has no database", hint="make one in Neon's console")
    return choose(
        "Which database?", [(each.name, f"of {each.owner_name}") for each in databases], "--database"
    )
