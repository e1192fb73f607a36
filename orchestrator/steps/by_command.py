"""The migration command as that which migrates: rehearsed on the preview's branch, run on main, explained by a plan.

The generated plan is not applied here: it says in statements and hazards what the command did, and that main still
needs exactly this.
"""

import itertools
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.checks.books import read_books
from orchestrator.checks.rows import count_rows
from orchestrator.checks.sums import Limits, sum_tables
from orchestrator.database import Connection
from orchestrator.errors import StepFailed
from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.migration.compose import compose
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import Planned, make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.ledger import begin
from orchestrator.postgres.trace import StatementTrace
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.privileges import Compare
from orchestrator.schema.shown import differences, shortened
from orchestrator.steps.command import Command
from orchestrator.steps.commanded import plan_for
from orchestrator.steps.own import OwnSteps, measured
from orchestrator.steps.project import NeonProject
from orchestrator.steps.telling import Telling, plan_with_traces, summary, table_names

#: What PostgreSQL says of SQLSTATE 55P03; tools pass it on.
_LOCKED = re.compile(r"due to lock timeout|\b55P03\b|LockNotAvailable")

NOTE = (
    "the migration command itself runs on main; its statements are not known, these say what it did and how it would"
    " be done without hurting anybody"
)


class ByCommand:
    """Rehearses the command, and the steps around it."""

    def __init__(
        self,
        project: NeonProject,
        command: Command,
        own: OwnSteps,
        *,
        lock_attempts: int,
        compare: Compare,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._limits = limits
        self._lock_attempts = lock_attempts
        self._compare = compare
        self._project = project
        self._command = command
        self._own = own

    def rehearse(
        self, preview: Preview, connection: Connection, base: Snapshot, detail: Callable[[str], None]
    ) -> Next:
        """Own steps, the command, own steps; on the preview's branch.

        Raises:
            StepFailed: the command failed; the branch will be replaced.
        """
        branch_id = preview.facts["branch"]["id"]
        left = self._own.left(connection)
        books = read_books(connection, self._command.bookkeeping)
        detail("counting rows and summing up values")
        tables = [table for table in table_names(base) if table not in books]
        before = count_rows(connection, tables)
        sums = sum_tables(connection, tables, limits=self._limits)

        def on_branch(plan: Plan) -> tuple[StatementTrace, ...]:
            return apply(
                lambda: self._project.connect_disposable(branch_id, "rehearse"),
                plan,
                observer=Telling(plan, detail),
            )

        begin(connection)  # rows may change, which nobody would see after a kill
        nothing = Plan(base="", goal="", statements=())
        first = on_branch(compose(nothing, own={"before": left.get("before", ())}))
        ran = self._command.rehearse(preview, self._project.uri(branch_id), detail)
        last = on_branch(compose(nothing, own={"after": left.get("after", ())}))
        detail("looking at what the command did")
        after = inspect(connection)
        generated, known = explained(base, after, connection, preview.facts.get("answers", {}), self._compare)
        plan = compose(generated, own=left)
        # The traces of what came last, by its place in the whole plan.
        offset = len(plan.statements) - len(last)
        traces = (*first, *(replace(trace, index=trace.index + offset) for trace in last))
        plan = measured(plan, traces)
        return Advance(
            to=State.LAUNCHING,
            note=f"the command did what {summary(plan)} would",
            facts={
                "plan": plan_with_traces(plan, traces),
                "questions": [],
                "goal": after.fingerprint(),
                "reached": after.fingerprint(),
                "differences": shortened(differences(base, after)),
                "proved": known,
                "command": {"log": list(ran.lines), "milliseconds": ran.milliseconds, "on_main": True},
                "rows_before": dict(before),
                "values_before": {table: each.to_json() for table, each in sums.items()},
                "preflight": [],
            },
        )

    def promote(
        self,
        preview: Preview,
        main: Connection,
        apply_: Callable[[Plan], tuple[StatementTrace, ...]],
        detail: Callable[[str], None],
    ) -> tuple[StatementTrace, ...]:
        """The same on main: own steps that did not run yet, the command, own steps. Runs again after any crash.

        A tool keeps its own books, so that a second run does what the first left. Only a lock that was not granted
        is tried again here.

        Returns:
            No traces: what the command did cannot be seen statement by statement.

        Raises:
            StepFailed: the command failed; main holds what it committed.
        """
        left = self._own.left(main)
        nothing = Plan(base="", goal="", statements=())
        apply_(compose(nothing, own={"before": left.get("before", ())}))
        uri = self._project.uri(self._project.main.id)
        for attempt in itertools.count(1):
            try:
                self._command.promote(preview, uri, detail)
                break
            except StepFailed as error:
                if attempt >= self._lock_attempts or not _LOCKED.search(error.detail):
                    raise
                detail(f"waits: for a lock, try {attempt} of {self._lock_attempts}")
                time.sleep(random.uniform(0.1, min(10.0, 0.2 * 2**attempt)))  # noqa: S311 - jitter
        apply_(compose(nothing, own={"after": left.get("after", ())}))
        return ()


def explained(
    base: Snapshot,
    goal: Snapshot,
    connection: Connection | None,
    given: Mapping[str, str],
    compare: Compare,
) -> tuple[Plan, dict[str, str]]:
    """The plan that says what a command did; what facts do not decide is told as if it were no rename.

    Returns:
        The plan, and the answers that facts gave.

    Raises:
        UnsupportedObject: it changed what no plan covers; named.
    """

    def make(answers: Mapping[str, str]) -> Planned:
        return make_plan(base, goal, answers=answers, compare=compare)

    planned, known = plan_for(make, (base, goal), connection, given)
    plan = planned.plan
    if plan is None:
        plan = make_plan(base, goal, answers={**given, **known}, assume_defaults=True, compare=compare).plan
    if plan is None:  # pragma: no cover - defaults answer every question
        raise AssertionError("questions are open though defaults are assumed")
    return (replace(plan, notes=(*plan.notes, NOTE)) if plan.statements else plan), known
