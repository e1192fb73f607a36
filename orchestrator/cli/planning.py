"""The command `plan`: the bare generator, between any two databases or between main and the goal."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orchestrator.cli.given import AsJson, only_here, parse_answers
from orchestrator.errors import Refused, UsageError, WaitingForAnswers

if TYPE_CHECKING:
    from orchestrator.migration.plan import Plan
    from orchestrator.migration.planner import Planned
    from orchestrator.migration.reverse import Reverse
    from orchestrator.schema.catalog import Snapshot


_MODES: "dict[str, Literal['auto', 'always', 'never']]" = {each: each for each in ("auto", "always", "never")}


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
    answers_file: Annotated[
        Path | None,
        typer.Option(
            "--answers", help="A file with answers; default: that of `[migration] answers` in a project."
        ),
    ] = None,
    write_answers: Annotated[
        bool, typer.Option("--write-answers", help="Keep what --answer says in that file too.")
    ] = False,
    online: Annotated[
        str | None,
        typer.Option(
            help="Write tables again beside the traffic: auto (large ones), always, never; default: the setting's."
        ),
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--no-strict",
            help="Compare owners and grants; default: yes for two databases, else what [migration] privileges says.",
        ),
    ] = None,
    reverse: Annotated[
        bool,
        typer.Option("--reverse", help="Print the way back, from the goal to the base, and what it loses."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the migration that leads from one database to another; changes nothing.

    With --from and --to it compares any two databases and needs no project; without them it compares main with the
    goal of preview.toml.
    """
    from orchestrator.answers import read_answers
    from orchestrator.answers import write_answers as write_to
    from orchestrator.cli import render
    from orchestrator.migration.asking import refuse_unfilled
    from orchestrator.migration.planner import make_plan
    from orchestrator.schema.privileges import Compare

    if bool(from_) != bool(to):
        raise UsageError("give both --from and --to, or neither")
    if not from_:
        only_here()
    given = parse_answers(answers or [])
    rules, file = _rules(project=not from_, online=online, file=answers_file)
    if write_answers and file is None:
        raise UsageError(
            "there is no file to write answers to",
            hint="name one with --answers, or set `[migration] answers`",
        )
    if answers_file and not answers_file.exists() and not write_answers:
        raise UsageError(f"there is no answers file {answers_file}", hint="--write-answers makes it")
    kept = read_answers(file) if file else {}
    if strict is not None:
        rules["compare"] = Compare.ALL if strict else Compare.IGNORE
    base, goal = _two_databases(from_, to, whole=not sql or as_json) if from_ and to else _main_and_goal()
    planned = make_plan(base, goal, answers={**kept, **given}, assume_defaults=no_questions, **rules)
    if write_answers and file and write_to(file, given):
        render.console().print(f"answers written to {file}", markup=False)
    for unused in planned.unused_answers:
        render.console().print(f"note: the answer to {unused} was not needed", markup=False)
    questions = [question.to_json() for question in planned.questions]
    if planned.plan is None:
        render.result_json({"questions": questions}) if as_json else render.questions(planned.questions)
        raise WaitingForAnswers(
            f"{len(questions)} question{'s' * (len(questions) != 1)} need an answer: "
            + ", ".join(question.id for question in planned.questions),
            hint="add --answer ID=VALUE for each, or --no-questions",
        )
    if no_questions:
        refuse_unfilled(planned.questions, {**kept, **given, **planned.proved})
    # The way back belongs to a plan's JSON; as text it is shown when asked for.
    back = _back(base, goal, planned, rules) if reverse or as_json else None
    _show(planned.plan, back, questions, alone=reverse, sql=sql, as_json=as_json)


def _back(base: "Snapshot", goal: "Snapshot", planned: "Planned", rules: dict[str, Any]) -> "Reverse":
    from orchestrator.migration.reverse import reverse_plan

    return reverse_plan(base, goal, planned, policy=rules["policy"], compare=rules["compare"])


def _show(
    made: "Plan",
    back: "Reverse | None",
    questions: list[dict[str, Any]],
    *,
    alone: bool,
    sql: bool,
    as_json: bool,
) -> None:
    from orchestrator.cli import render

    if back is not None and alone:
        _show_reverse(back, sql=sql, as_json=as_json)
    elif back is not None:
        render.result_json({**made.to_json(), "questions": questions, "reverse": back.to_json()})
    elif sql:
        render.result(made.to_sql().rstrip("\n"))
    else:
        render.plan(made.to_json(), to_stdout=True)


def _show_reverse(back: "Reverse", *, sql: bool, as_json: bool) -> None:
    """The way back as a result; what it loses beside it.

    Raises:
        Refused: there is none.
    """
    from orchestrator.cli import render

    if as_json:
        render.result_json(back.to_json())
    elif back.plan is not None and sql:
        render.result(back.plan.to_sql().rstrip("\n"))
    elif back.plan is not None:
        render.plan(back.plan.to_json(), to_stdout=True)
    if not as_json:
        for loss in back.losses:
            render.console().print(f"not brought back: {loss.on}: {loss.detail}", markup=False)
    if back.plan is None:
        raise Refused(
            f"there is no way back: {back.refused}", hint="only a restore point would undo this plan"
        )


def _rules(*, project: bool, online: str | None, file: Path | None) -> tuple[dict[str, Any], Path | None]:
    """How to plan, and where answers are: by the settings in a project, by the options everywhere."""
    from orchestrator.migration.online import Online
    from orchestrator.schema.privileges import Compare
    from orchestrator.settings import find, load

    policy, trust, compare = Online(), False, Compare.ALL
    if project:
        from orchestrator.bootstrap import online as policy_of

        settings = load(find(Path.cwd()))
        policy, trust = policy_of(settings), settings.migration.renames == "ask_unless_proved"
        compare = settings.compare
        file = file or (settings.path(settings.migration.answers) if settings.migration.answers else None)
    if online is not None:
        if online not in _MODES:
            raise UsageError(f"--online {online} is not known", hint="say auto, always or never")
        policy = replace(policy, mode=_MODES[online])
    return {"policy": policy, "trust_proofs": trust, "compare": compare}, file


def _two_databases(from_: str, to: str, *, whole: bool) -> "tuple[Snapshot, Snapshot]":
    """Both snapshots, read at once; ``whole`` ones where fingerprints are shown."""
    from orchestrator.database import connect
    from orchestrator.postgres.inspect import inspect
    from orchestrator.postgres.pair import inspect_pair
    from orchestrator.steps.border import translating

    with (
        connect(_url(from_), purpose="plan") as base,
        connect(_url(to), purpose="plan") as goal,
        translating("inspecting a database"),
    ):
        if not whole:
            return inspect_pair(base, goal)
        with ThreadPoolExecutor(max_workers=2) as pool:
            first, second = pool.map(inspect, (base, goal))
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
