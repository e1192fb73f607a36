"""The goal as a migration command makes it: run on a branch of its own, looked at, compared. Touches branches only.

The command never sees the preview's branch nor main: what it made is a goal like any other, and the generated plan
leads there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from orchestrator.checks.books import read_books
from orchestrator.checks.looking import looking, not_looked_at
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.sums import TableSums, sum_tables
from orchestrator.database import Connection
from orchestrator.lifecycle import Preview
from orchestrator.migration.books import Books
from orchestrator.migration.planner import Planned
from orchestrator.migration.recipes.columns import fill_id
from orchestrator.postgres.dump import see
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.candidates import NO, question_id
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.dumped import Seen
from orchestrator.schema.names import literal
from orchestrator.schema.objects import Column
from orchestrator.schema.questions import Question
from orchestrator.steps.backstop import lending, throwaway_end
from orchestrator.steps.border import translating
from orchestrator.steps.command import Command, Ran
from orchestrator.steps.project import NeonProject, annotations, scratch_name

CHECK = "command"
#: Answers by facts bring new questions (a column's value, once its table is known): asked so often.
_ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The goal, and what is known of how it came about.

    Attributes:
        goal: its snapshot.
        seen: the same through pg_dump's eyes.
        books: rows of migration tools' tables that go with it; empty when no command made it.
        connection: to the branch that the command ran on, for reading; None when no command made it.
        ran: the command's run.
    """

    goal: Snapshot
    seen: Seen
    books: Books = field(default_factory=dict)
    connection: Connection | None = None
    ran: Ran | None = None


class Commanded:
    """Makes the goal by the command."""

    def __init__(
        self,
        project: NeonProject,
        command: Command,
        endpoint_settings: Callable[[Preview], Mapping[str, Any] | None],
    ) -> None:
        self._project = project
        self._command = command
        self._endpoint_settings = endpoint_settings

    @contextmanager
    def wanted(self, preview: Preview, detail: Callable[[str], None]) -> Iterator[Wanted]:
        """Run the command on a child of the preview's branch, which is gone at the end of the block.

        Raises:
            StepFailed: the branch cannot be made, or the command failed.
        """
        project, name = self._project, scratch_name(preview)
        with lending(project.neon, project.id, preview.facts["branch"]["id"]):
            project.remove_scratch(preview)  # a dead run's
            try:
                with translating(f"making branch {name}"):
                    detail(f"branching {preview.facts['branch']['name']} for the migration command")
                    branch = project.neon.create_branch(
                        project.id,
                        name=name,
                        parent_id=preview.facts["branch"]["id"],
                        endpoint_settings=self._endpoint_settings(preview),
                        annotations=annotations(preview),
                        expires_at=throwaway_end(),
                    ).branch
                    project.neon.assert_disposable(project.id, branch.id)
                    project.rotate(branch.id)
                ran = self._command.rehearse(preview, project.uri(branch.id), detail)
                detail("looking at what the command made")
                with (
                    project.connect_reading(branch.id, "look at what the command made") as connection,
                    translating("looking at what the command made"),
                ):
                    goal = inspect(connection)
                    books = read_books(connection, self._command.bookkeeping)
                    yield Wanted(goal=goal, seen=see(connection), books=books, connection=connection, ran=ran)
            finally:
                project.remove_scratch(preview)


def plan_for(
    make: Callable[[Mapping[str, str]], Planned],
    between: tuple[Snapshot, Snapshot],
    connection: Connection | None,
    given: Mapping[str, str],
) -> tuple[Planned, dict[str, str]]:
    """The plan to the goal, or the open questions; with the answers that facts gave.

    What a command did to a copy can be looked at: whether it renamed or made anew, and what value it filled in.

    Args:
        make: plans with these answers.
        between: before and after.
        connection: to where a command made the goal; None when none did, and nothing can be looked at.
        given: a person's answers, which go first.

    Returns:
        What planning came to, and the answers beyond those given.
    """
    known: dict[str, str] = {}
    planned = make(given)
    for _ in range(_ROUNDS):
        if planned.plan is not None or connection is None:
            break
        more = _by_facts(planned.questions, *between, connection)
        new = {each: value for each, value in more.items() if each not in {*given, *known}}
        if not new:
            break
        known |= new
        planned = make({**given, **known})
    return planned, known


def _by_facts(
    questions: Sequence[Question], base: Snapshot, goal: Snapshot, connection: Connection
) -> Mapping[str, str]:
    """Answers to questions that looking at the command's work decides."""
    found: dict[str, str] = {}
    keys = {question_id(key): key for kind in ("table", "column") for key in goal.of_kind(kind)}
    fills = {fill_id(key): key for key in goal.of_kind("column")}
    lines = {line: key for key, line in base.lineage.items() if key.kind in {"table", "column"}}
    for question in questions:
        if question.id in keys:
            key = keys[question.id]
            old = lines.get(goal.lineage.get(key, ""))
            name = old.path[-1] if old is not None else NO
            choices = {choice.value for choice in question.choices}
            if (value := name if name in choices else NO) in choices:
                found[question.id] = value
        elif question.id in fills:
            column = goal.objects[fills[question.id]]
            if isinstance(column, Column) and (one := _only_value(connection, column)) is not None:
                found[question.id] = one
    return found


def _only_value(connection: Connection, column: Column) -> str | None:
    """The one value that all rows hold, as an expression; None when they differ or it cannot be written as one."""
    schema, table, name = column.key.path
    query = sql.SQL("select distinct {}::text from {} limit 2").format(
        sql.Identifier(name), sql.Identifier(schema, table)
    )
    with looking(connection) as looked:
        rows = looked.execute(query).fetchall()
    if (
        len(rows) != 1
        or rows[0][0] is None
        or any(each in str(rows[0][0]) for each in (";", "$", "\\", "--", "/*"))
    ):
        return None
    return f"{literal(str(rows[0][0])).strip()}::{column.type}"


def not_carried(wanted: Wanted, branch: Connection, tables: Sequence[str]) -> tuple[Finding, ...]:
    """Where the rows that the command left differ from those that the plan leaves: it changed data, the plan would not.

    Args:
        wanted: what the command made.
        branch: the preview's branch, migrated by the plan.
        tables: the goal's tables that are no books.
    """
    if wanted.connection is None:
        return ()
    theirs, ours = sum_tables(wanted.connection, tables), sum_tables(branch, tables)
    found = [_compared(table, theirs[table], ours[table]) for table in sorted({*theirs} & {*ours})]
    return tuple(each for each in found if each is not None)


def _compared(table: str, theirs: TableSums, ours: TableSums) -> Finding | None:
    if theirs.unseen or ours.unseen:
        return not_looked_at(
            CHECK, table, f"whether the command changed its rows: {theirs.unseen or ours.unseen}"
        )
    if theirs.ranges != ours.ranges:
        return not_looked_at(CHECK, table, "whether the command changed its rows: too large to be read whole")
    if theirs.rows != ours.rows:
        what = f"the command left {theirs.rows:,} rows, the plan leaves {ours.rows:,}"
    else:
        here = {column.name: column.checksum for column in ours.columns.values()}
        other = sorted(c.name for c in theirs.columns.values() if here.get(c.name, c.checksum) != c.checksum)
        if not other:
            return None
        what = f"the command left other values in {', '.join(other)} ({theirs.rows:,} rows)"
    return Finding(
        check=CHECK,
        severity=Severity.BLOCKED,
        subject=table,
        message=(
            f'{what}: it changed data, and promote_with = "plan" would not; take "command", write the change as a '
            f"step ([[migration.steps]]), or allow it: --allow {CHECK}:{table}"
        ),
    )
