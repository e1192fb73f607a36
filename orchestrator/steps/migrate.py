"""migrating -> launching: the plan, rehearsed on the branch. Touches the branch's PostgreSQL.

The plan is generated, with a person's own steps and the rows of migration tools in their places; or it explains what
a migration command did by itself (by_command.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from orchestrator.checks.books import read_books
from orchestrator.checks.drops import drops
from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.names import touched_tables
from orchestrator.checks.preflight import CHECK as PREFLIGHT
from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Finding, Report, Severity, blocking, in_lines
from orchestrator.checks.rows import count_rows
from orchestrator.checks.second_look import second_look
from orchestrator.checks.stakes import open_questions
from orchestrator.checks.sums import Limits, sum_tables
from orchestrator.checks.unwritten import expected, moment, written
from orchestrator.database import Connection
from orchestrator.errors import OrchestratorError, PlanDoesNotConverge, StepFailed
from orchestrator.lifecycle import Advance, Next, Preview, Rest, State
from orchestrator.migration import books as bookkeeping
from orchestrator.migration.books import Books
from orchestrator.migration.compose import compose
from orchestrator.migration.keeping import Keeping
from orchestrator.migration.online import Online
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import Planned, make_plan
from orchestrator.migration.reverse import Reverse, reverse_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.dump import see
from orchestrator.postgres.inspect import inspect, inspect_writes
from orchestrator.postgres.kept import kept
from orchestrator.postgres.ledger import begin, begun
from orchestrator.postgres.trace import StatementTrace
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.names import Key
from orchestrator.schema.privileges import Compare
from orchestrator.schema.shown import differences, shortened
from orchestrator.steps.border import translating
from orchestrator.steps.by_command import ByCommand
from orchestrator.steps.command import Command
from orchestrator.steps.commanded import Commanded, Wanted, not_carried, plan_for
from orchestrator.steps.goal import Goal
from orchestrator.steps.own import OwnSteps, measured
from orchestrator.steps.project import NeonProject
from orchestrator.steps.queries import PastQueries
from orchestrator.steps.telling import Telling, plan_with_traces, retyped, summary, table_names
from orchestrator.steps.way_back import counted, facts_of

_NOT_RUN = (
    "it was not run: its locks, values, queries, both versions of the app and its way back were not looked at"
)


class MigrateStep:
    """Plans from the branch's own snapshot to the goal, asks the data, applies, and looks again."""

    def __init__(
        self,
        project: NeonProject,
        goal: Goal,
        *,
        own: OwnSteps,
        command: Command,
        commanded: Commanded,
        by_command: ByCommand,
        queries: PastQueries,
        policy: Online = Online(),  # noqa: B008 - a frozen value
        keeping: Keeping = Keeping(),  # noqa: B008 - a frozen value
        trust_proofs: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._limits = limits
        self._project = project
        self._goal = goal
        self._own = own
        self._command = command
        self._commanded = commanded
        self._by_command = by_command
        self._queries = queries
        self._policy = policy
        self._keeping = keeping
        self._trust_proofs = trust_proofs

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Rehearse. A branch that a dead run left half migrated is replaced: a rehearsal is always whole."""
        branch_id = preview.facts["branch"]["id"]
        own = self._own.digests()  # a file that cannot be read is said before anything runs
        with (
            translating(f"migrating branch {preview.facts['branch']['name']}"),
            self._project.connect_disposable(branch_id, "migrate") as connection,
        ):
            base = inspect(connection)
            if base.fingerprint() != preview.facts["base"] or begun(connection):
                return Advance(
                    to=State.BRANCHING,
                    note="the branch was left half migrated: a fresh one",
                    facts={"rotated": None},
                )
            base = replace(base, writes=self._writes_of_main())
            queries = None
            if self._command.on_main:
                queries = self._queries.before(connection, detail)
                outcome = self._by_command.rehearse(preview, connection, base, detail)
            else:
                with self._wanted(preview, detail) as wanted:
                    outcome = self._rehearse(preview, connection, base, wanted, detail)
        command = {"argv": self._command.argv} if self._command.wanted else None
        kept = outcome.facts.get("command")
        facts = {
            **({"queries": queries} if queries else {}),
            **outcome.facts,
            "own_steps": own,
            "command": {**command, **(kept or {})} if command else None,
        }
        return replace(outcome, facts=facts)

    @contextmanager
    def _wanted(self, preview: Preview, detail: Callable[[str], None]) -> Iterator[Wanted]:
        if self._command.wanted:
            with self._commanded.wanted(preview, detail) as wanted:
                yield wanted
        else:
            goal, seen = self._goal.read(preview.facts["branch"]["id"], detail)
            yield Wanted(goal=goal, seen=seen)

    def _rehearse(
        self,
        preview: Preview,
        connection: Connection,
        base: Snapshot,
        wanted: Wanted,
        detail: Callable[[str], None],
    ) -> Next:
        planned, known = plan_for(
            lambda answers: make_plan(
                base,
                wanted.goal,
                answers=answers,
                policy=self._policy,
                trust_proofs=self._trust_proofs,
                compare=self._goal.compare,
                keeping=self._keeping,
            ),
            (base, wanted.goal),
            wanted.connection,
            preview.facts.get("answers", {}),
        )
        questions = [question.to_json() for question in planned.questions]
        if planned.plan is None:
            return Rest(
                to=State.WAITING,
                note=f"{len(questions)} question{'s' * (len(questions) != 1)}",
                facts={"questions": questions, "goal": self._goal.fingerprint_of(wanted.goal)},
            )
        books = read_books(connection, self._command.bookkeeping) if self._command.wanted else {}
        own = self._own.left(connection)
        plan = compose(
            planned.plan,
            own=own,
            rows=bookkeeping.statements(books, wanted.books),
        )
        detail("asking the data")
        # Own steps may mend the rows first: then nobody is asked, and the run tells.
        given = preview.facts.get("answers", {})
        at_stake = () if own else open_questions(connection, planned.at_stake, given)
        if at_stake:
            return Rest(
                to=State.WAITING,
                note=f"{len(at_stake)} question{'s' * (len(at_stake) != 1)} about rows",
                facts={
                    "questions": [each.to_json() for each in at_stake],
                    "goal": self._goal.fingerprint_of(wanted.goal),
                },
            )
        findings = softened(preflight(connection, plan), plan)
        _refuse_what_would_fail(preview.name, plan, findings)
        detail("counting rows and summing up values")
        tables = [table for table in table_names(base) if table not in {*books, *wanted.books}]
        since = moment(connection)
        before = count_rows(connection, tables)
        triggers = bool(base.of_kind("trigger"))
        sums = sum_tables(
            connection,
            tables,
            touched=touched_tables(plan),
            casts=retyped(base, wanted.goal),
            limits=self._limits,
            unread=None
            if preview.facts.get("read_all")
            else expected(plan, since, before, triggers=triggers),
        )
        findings = (*findings, *drops(connection, plan, limits=self._limits))
        queries = self._queries.before(connection, detail)
        if books or wanted.books or own:
            begin(connection)  # rows will change, which nobody would see after a kill
        losses = counted(connection, self._reverse(base, wanted.goal, planned)).losses
        traces = self._apply(preview.facts["branch"]["id"], plan, detail)
        detail("looking for rows that were written")
        unforeseen = written(connection, sums)
        if unforeseen:
            # Whose values changed is to be said by column: once more, with all of them summed up before.
            return Advance(
                to=State.BRANCHING,
                note=f"rows of {unforeseen[0]} were written, which no statement says: once more, on a fresh branch",
                facts={"rotated": None, "read_all": True},
            )
        detail("inspecting again")
        after = inspect(connection)
        _assert_reached(after, wanted.goal, self._goal.compare, own=bool(own))
        detail("looking again through pg_dump")
        findings = (*findings, second_look(see(connection), wanted.seen))
        if self._command.wanted:
            _assert_carried(read_books(connection, self._command.bookkeeping), wanted.books)
            left = [table for table in table_names(after) if table not in wanted.books]
            findings = (*findings, *not_carried(wanted, connection, left))
        reverse = self._back(connection, base, after, planned)
        asked = {(each.on, each.count_sql): each for each in losses if each.count_sql}
        reverse = replace(
            reverse, losses=tuple(asked.get((each.on, each.count_sql), each) for each in reverse.losses)
        )
        short = None
        if reverse.plan is not None and any(each.by_blocks for each in reverse.plan.statements):
            # Millions of rows in batches take minutes; on a branch of nobody's one statement does the same.
            short = self._back(connection, base, after, planned, policy=Online(mode="never")).plan
        plan = measured(plan, traces)
        ran = wanted.ran
        return Advance(
            to=State.LAUNCHING,
            note=summary(plan) + _unused(planned.unused_answers),
            facts={
                "plan": plan_with_traces(plan, traces),
                "questions": questions,
                "reverse": reverse.to_json(),
                "back": facts_of(reverse, short) if plan.statements else None,
                "proved": {**planned.proved, **known},
                "goal": self._goal.fingerprint_of(wanted.goal),
                "reached": after.fingerprint(),
                "differences": shortened(differences(base, after, renames=planned.renames.keys)),
                "command": {"log": list(ran.lines), "milliseconds": ran.milliseconds} if ran else None,
                "rows_before": dict(before),
                "values_before": {table: each.to_json() for table, each in sums.items()},
                "preflight": [finding.to_json() for finding in findings],
                "queries": queries,
            },
        )

    def _reverse(self, base: Snapshot, goal: Snapshot, planned: Planned) -> Reverse:
        return reverse_plan(
            base, goal, planned, policy=self._policy, compare=self._goal.compare, keeping=self._keeping
        )

    def _back(
        self,
        connection: Connection,
        base: Snapshot,
        after: Snapshot,
        planned: Planned,
        *,
        policy: Online | None = None,
    ) -> Reverse:
        """The way back from what was reached, with what this plan has set aside."""
        names = {each.keeps.name for each in planned.plan.statements if each.keeps} if planned.plan else set()
        things = tuple(each for each in kept(connection) if each.name in names) if names else ()
        return reverse_plan(
            base,
            after,
            planned,
            policy=policy or self._policy,
            compare=self._goal.compare,
            kept=things,
            returned=inspect(connection, returning=things) if things else None,
            keeping=self._keeping,
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


def softened(findings: Sequence[Finding], plan: Plan) -> tuple[Finding, ...]:
    """Findings as they are before a person's own steps run: those may mend what would fail, and the run will tell."""
    first = next((i for i, each in enumerate(plan.statements) if each.source), None)
    last = max(
        (i for i, each in enumerate(plan.statements) if not each.source and not each.repair), default=-1
    )
    if first is None or first > last:
        return tuple(findings)
    return tuple(
        replace(
            each, severity=Severity.ATTENTION, message=f"{each.message}; unless your own steps mend it before"
        )
        if each.severity is Severity.BLOCKED
        else each
        for each in findings
    )


def _assert_carried(found: Books, wanted: Books) -> None:
    left = bookkeeping.differences(found, wanted)
    if left:
        raise PlanDoesNotConverge(
            f"after the migration {left[0]} from what the command left",
            detail="\n".join(left),
            hint='this is a fault of the generator: please report it; migration.promote_with = "command" goes round it',
        )


def _unused(answers: Sequence[str]) -> str:
    """Answers to questions that are not asked any more, for the step's line."""
    return f" (not needed: the answer to {', '.join(answers)})" if answers else ""


def _refuse_what_would_fail(name: str, plan: Plan, findings: Sequence[Finding]) -> None:
    """Leave a report for who must mend the rows: the plan as it would have run, and what it would have met."""
    blocked = blocking(findings)
    if not blocked:
        return
    error = StepFailed(
        f"the migration would fail on the data: {blocked[0].subject}"
        + (f" and {len(blocked) - 1} more" if len(blocked) > 1 else ""),
        detail=in_lines(blocked),
        hint=f"mend the rows in production or change the goal, then run `preview up {name}` again; "
        f"`preview report {name}` has it to pass on",
    )
    report = Report(findings=(*findings, not_looked_at(PREFLIGHT, "migration", _NOT_RUN)))
    error.facts = {"plan": plan_with_traces(plan, ()), "report": report.to_json()}
    raise error


def _assert_reached(after: Snapshot, goal: Snapshot, compare: Compare, *, own: bool) -> None:
    remaining = describe_difference(after, goal, compare=compare)
    if remaining:
        raise PlanDoesNotConverge(
            f"after the migration {len(remaining)} difference{'s' * (len(remaining) != 1)} remain: {remaining[0]}",
            detail="\n".join(remaining),
            hint="your own steps may change rows, not the schema, which is the goal's to say"
            if own
            else "this is a fault of the generator: please report the two schemas",
        )
