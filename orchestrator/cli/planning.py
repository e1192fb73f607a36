"""The command `plan`: the bare generator, between any two databases or between main and the goal."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.given import AsJson, parse_answers
from orchestrator.errors import UsageError, WaitingForAnswers

if TYPE_CHECKING:
    from orchestrator.schema.catalog import Snapshot


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="plan")(plan)


def plan(
    from_: Annotated[
        str | None, typer.Option("--from", help="The database to change: a URL, or env:NAME of a variable.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The database with the wanted schema: a URL, or env:NAME.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print plain SQL that psql can run.")] = False,
    no_questions: Annotated[
        bool,
        typer.Option(
            "--no-questions",
            help="Answer every open question with its default: no rename, no invented value.",
        ),
    ] = False,
    answers: Annotated[
        list[str] | None, typer.Option("--answer", help="Answer a question: ID=VALUE. May be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the migration that leads from one database to another; changes nothing.

    With --from and --to it compares any two databases and needs no project; without them it compares main with the
    goal of preview.toml.
    """
    from orchestrator.cli import render
    from orchestrator.migration.planner import make_plan

    if bool(from_) != bool(to):
        raise UsageError("give both --from and --to, or neither")
    base, goal = _two_databases(from_, to) if from_ and to else _main_and_goal()
    planned = make_plan(base, goal, answers=parse_answers(answers or []), assume_defaults=no_questions)
    for unused in planned.unused_answers:
        render.console().print(f"note: the answer to {unused} was not needed", markup=False)
    questions = [question.to_json() for question in planned.questions]
    if planned.plan is None:
        if as_json:
            render.result_json({"questions": questions})
        else:
            render.questions(planned.questions)
        raise WaitingForAnswers(
            f"{len(questions)} question{'s' * (len(questions) != 1)} need an answer: "
            + ", ".join(question.id for question in planned.questions),
            hint="add --answer ID=VALUE for each, or --no-questions",
        )
    if as_json:
        render.result_json({**planned.plan.to_json(), "questions": questions})
    elif sql:
        render.result(planned.plan.to_sql().rstrip("\n"))
    else:
        render.plan(planned.plan.to_json(), to_stdout=True)


def _two_databases(from_: str, to: str) -> "tuple[Snapshot, Snapshot]":
    """Both snapshots, read at once."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        first, second = pool.map(_snapshot, (_url(from_), _url(to)))
    return first, second


def _url(given: str) -> str:
    """A URL, or the value of the variable that ``env:NAME`` names (argv is no place for passwords)."""
    if not given.startswith("env:"):
        return given
    name = given.removeprefix("env:")
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"${name} is not set", hint=f"export {name}=postgresql://...")
    return value


def _snapshot(url: str) -> "Snapshot":
    from orchestrator.database import connect
    from orchestrator.postgres.inspect import inspect
    from orchestrator.steps.border import translating

    with connect(url, purpose="plan") as connection, translating("inspecting a database"):
        return inspect(connection)


def _main_and_goal() -> "tuple[Snapshot, Snapshot]":
    from orchestrator.bootstrap import open_project
    from orchestrator.postgres.inspect import inspect
    from orchestrator.settings import find, load
    from orchestrator.steps.border import translating
    from orchestrator.steps.goal import Goal

    settings = load(find(Path.cwd()))
    with open_project(settings) as project:
        with project.connect_reading(project.main.id, "plan") as connection, translating("inspecting main"):
            base = inspect(connection)
        return base, Goal(project, settings).snapshot(None, lambda _text: None)
