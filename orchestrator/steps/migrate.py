"""migrating -> launching: the generated plan, rehearsed on the branch. Touches the branch's PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.checks.data import sum_tables
from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Finding, blocking, in_lines
from orchestrator.checks.rows import count_rows
from orchestrator.checks.second_look import second_look
from orchestrator.checks.stakes import open_questions
from orchestrator.errors import OrchestratorError, PlanDoesNotConverge, StepFailed
from orchestrator.lifecycle import Advance, Next, Preview, Rest, State
from orchestrator.migration.online import Online
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.dump import see
from orchestrator.postgres.inspect import inspect, inspect_writes
from orchestrator.postgres.trace import StatementTrace
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.names import Key
from orchestrator.schema.privileges import Compare
from orchestrator.steps.border import translating
from orchestrator.steps.goal import Goal
from orchestrator.steps.project import NeonProject


class MigrateStep:
    """Plans from the branch's own snapshot to the goal, asks the data, applies, and looks again."""

    def __init__(
        self,
        project: NeonProject,
        goal: Goal,
        *,
        policy: Online = Online(),  # noqa: B008 - a frozen value
        trust_proofs: bool = False,
    ) -> None:
        self._project = project
        self._goal = goal
        self._policy = policy
        self._trust_proofs = trust_proofs

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Rehearse. A branch that a dead run left half migrated is replaced: a rehearsal is always whole."""
        branch_id = preview.facts["branch"]["id"]
        with (
            translating(f"migrating branch {preview.facts['branch']['name']}"),
            self._project.connect_disposable(branch_id, "migrate") as connection,
        ):
            base = inspect(connection)
            if base.fingerprint() != preview.facts["base"]:
                return Advance(
                    to=State.BRANCHING,
                    note="the branch was left half migrated: a fresh one",
                    facts={"rotated": None},
                )
            base = replace(base, writes=self._writes_of_main())
            goal, wanted = self._goal.read(branch_id, detail)
            planned = make_plan(
                base,
                goal,
                answers=preview.facts.get("answers", {}),
                policy=self._policy,
                trust_proofs=self._trust_proofs,
                compare=self._goal.compare,
            )
            questions = [question.to_json() for question in planned.questions]
            if planned.plan is None:
                return Rest(
                    to=State.WAITING,
                    note=f"{len(questions)} question{'s' * (len(questions) != 1)}",
                    facts={"questions": questions, "goal": self._goal.fingerprint_of(goal)},
                )
            plan = planned.plan
            detail("asking the data")
            at_stake = open_questions(connection, planned.at_stake, preview.facts.get("answers", {}))
            if at_stake:
                return Rest(
                    to=State.WAITING,
                    note=f"{len(at_stake)} question{'s' * (len(at_stake) != 1)} about rows",
                    facts={"questions": [each.to_json() for each in at_stake], "goal": goal.fingerprint()},
                )
            findings = preflight(connection, plan)
            _refuse_what_would_fail(findings)
            detail("counting rows and summing up values")
            tables = table_names(base)
            before = count_rows(connection, tables)
            sums = sum_tables(connection, tables)
            traces = self._apply(branch_id, plan, detail)
            detail("inspecting again")
            after = inspect(connection)
            _assert_reached(after, goal, self._goal.compare)
            detail("looking again through pg_dump")
            findings = (*findings, second_look(see(connection), wanted))
        return Advance(
            to=State.LAUNCHING,
            note=summary(plan) + _unused(planned.unused_answers),
            facts={
                "plan": plan_with_traces(plan, traces),
                "questions": questions,
                "proved": dict(planned.proved),
                "goal": self._goal.fingerprint_of(goal),
                "reached": after.fingerprint(),
                "rows_before": dict(before),
                "values_before": {table: each.to_json() for table, each in sums.items()},
                "preflight": [finding.to_json() for finding in findings],
            },
        )

    def _writes_of_main(self) -> Mapping[Key, float]:
        """How busy production's tables are: a branch's own statistics begin with the branch."""
        try:
            with self._project.connect_reading(self._project.main.id, "read traffic") as connection:
                return inspect_writes(connection)
        except OrchestratorError:
            return {}  # only the plan's words about traffic are missing then

    def _apply(self, branch_id: str, plan: Plan, detail: Callable[[str], None]) -> tuple[StatementTrace, ...]:
        return apply(
            lambda: self._project.connect_disposable(branch_id, "rehearse"),
            plan,
            observer=Telling(plan, detail),
        )


class Telling:
    """An observer of apply that says which statement runs, and whom it waits for."""

    def __init__(self, plan: Plan, detail: Callable[[str], None]) -> None:
        self._total = len(plan.statements)
        self._detail = detail

    def started(self, index: int, statement: Statement) -> None:
        """A statement begins."""
        self._detail(f"{index + 1}/{self._total} {statement.why}")

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        """A statement is done."""

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        """A statement's group will be tried again."""
        self._detail(f"{index + 1}/{self._total} {statement.why}: waits: {reason}")

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        """One more batch is done."""
        self._detail(f"{index + 1}/{self._total} {statement.why}: {100 * done // max(total, 1)} %")


def table_names(snapshot: Snapshot) -> tuple[str, ...]:
    """Every table of a snapshot, qualified and quoted as SQL needs it."""
    return tuple(key.name for key in snapshot.of_kind("table"))


def plan_with_traces(plan: Plan, traces: Sequence[StatementTrace]) -> dict[str, Any]:
    """The plan's JSON with each statement's trace beside it."""
    value = plan.to_json()
    for trace in traces:
        value["statements"][trace.index]["trace"] = trace.to_json()
    return value


def summary(plan: Plan) -> str:
    """One line: how many statements and hazards."""
    statements, hazards = len(plan.statements), len(plan.hazards)
    if not statements:
        return "no change: main is the goal already"
    return f"{statements} statement{'s' * (statements != 1)}, {hazards} hazard{'s' * (hazards != 1)}"


def _unused(answers: Sequence[str]) -> str:
    """Answers to questions that are not asked any more, for the step's line."""
    return f" (not needed: the answer to {', '.join(answers)})" if answers else ""


def _refuse_what_would_fail(findings: Sequence[Finding]) -> None:
    blocked = blocking(findings)
    if blocked:
        raise StepFailed(
            f"the migration would fail on the data: {blocked[0].subject}"
            + (f" and {len(blocked) - 1} more" if len(blocked) > 1 else ""),
            detail=in_lines(blocked),
            hint="mend the rows in production or change the goal, then run `preview up` again",
        )


def _assert_reached(after: Snapshot, goal: Snapshot, compare: Compare) -> None:
    remaining = describe_difference(after, goal, compare=compare)
    if remaining:
        raise PlanDoesNotConverge(
            f"after the migration {len(remaining)} difference{'s' * (len(remaining) != 1)} remain: {remaining[0]}",
            detail="\n".join(remaining),
            hint="this is a fault of the generator: please report the two schemas",
        )
