"""promoting -> promoted: the approved plan, on main. Touches main's PostgreSQL; the only step that may.

The branch is the goal: what remains is diff(main, branch), asked anew on every run, so that *fresh*, *resumed*
and *moved* are one rule (DESIGN, section 4).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.checks.books import read_books
from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Finding, blocking, in_lines
from orchestrator.database import Connection
from orchestrator.errors import MainMoved, OrchestratorError, PlanDoesNotConverge, PreviewMoved, Refused
from orchestrator.lifecycle import Advance, Next, Preview, Promotion, Promotions, State
from orchestrator.migration import books as bookkeeping
from orchestrator.migration import part_of
from orchestrator.migration.books import Books
from orchestrator.migration.compose import compose
from orchestrator.migration.keeping import keeping_of
from orchestrator.migration.online import as_in
from orchestrator.migration.phases import split
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.trace import StatementTrace
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.privileges import Compare
from orchestrator.steps import proof
from orchestrator.steps.border import translating
from orchestrator.steps.by_command import ByCommand, explained
from orchestrator.steps.changeover import ChangeOver, change_over
from orchestrator.steps.command import Command
from orchestrator.steps.in_order import in_order
from orchestrator.steps.migrate import softened
from orchestrator.steps.on_main import OnMain
from orchestrator.steps.own import OwnSteps
from orchestrator.steps.project import NeonProject
from orchestrator.steps.release import Releases
from orchestrator.steps.restore_point import RestorePoints, in_words
from orchestrator.steps.telling import plan_with_traces, rehearsed_times

#: How often the first phase looks for more that the running app survives.
_ROUNDS = 4


@dataclass(slots=True)
class _Attempt:
    """How far one run of the step came.

    Attributes:
        began: whether the first statement may have reached main.
    """

    began: bool = False


class PromoteStep:
    """Applies what remains of the approved plan to main and proves that nothing remains after it."""

    def __init__(
        self,
        project: NeonProject,
        *,
        command: Command,
        own: OwnSteps,
        by_command: ByCommand,
        promotions: Promotions,
        on_main: OnMain,
        points: RestorePoints,
        compare: Compare,
        releases: Releases,
    ) -> None:
        self._project = project
        self._promotions = promotions
        self._on_main = on_main
        self._points = points
        self._releases = releases
        self._command = command
        self._own = own
        self._by_command = by_command
        self._compare = compare

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Promote.

        Raises:
            PromotionUnderWay: another promotion runs; nothing was changed.
            MainMoved: main is not what was approved; nothing was changed.
            PreviewMoved: the branch or the settings are not; nothing was changed.
            ApplyError: a statement failed; running again continues with what remains.
        """
        attempt = _Attempt()
        promotion_id = str(preview.facts["promotion_id"])
        try:
            with (
                translating(f"promoting {preview.name} to {self._project.main.name}"),
                self._on_main.turn(promotion_id, f"promote {preview.name}") as main,
            ):
                return self._promote(preview, main, attempt, detail)
        except OrchestratorError as error:
            # What a person may do next depends on whether main was touched: looked at, never assumed. Only a
            # first attempt that ended before its first statement cannot have touched it.
            first = not preview.facts.get("resumed")
            error.nothing_done = (first and not attempt.began) or self._untouched(preview)
            self._promotions.record(
                promotion_id,
                # Between two phases nothing more was done, which is not nothing.
                "refused" if error.nothing_done and not preview.facts.get("expanded") else "failed",
                note=error.message,
                detail={"kind": type(error).__name__, "hint": error.hint, "detail": error.detail},
            )
            raise

    def _promote(
        self, preview: Preview, main: Connection, attempt: _Attempt, detail: Callable[[str], None]
    ) -> Next:
        """Compare, ask the data, apply, compare again; under the promotion's lock."""
        detail("comparing main with the approved plan")
        self._assert_same_settings(preview)
        goal, books = self._goal(preview)
        approved = Plan.from_json(preview.facts["plan"])
        before = inspect(main)
        remaining = self._remaining(preview, main, before, goal, books, approved)
        first_only = preview.facts.get("phase") == "expand"
        if first_only:
            remaining = split(remaining).expand
        if self._command.on_main:
            self._command.rehearsed_image(preview, detail)  # refuses while nothing is done
        else:
            detail("asking production's data")
            _refuse_what_would_fail(preview, softened(preflight(main, remaining), remaining))
        promotion = self._ready_to_apply(preview, main, before, goal, remaining, detail)
        if first_only:
            attempt.began = True
            return self._expand(preview, main, remaining, approved, detail)
        detail(f"applying {len(remaining.statements)} of {len(approved.statements)} statements")
        attempt.began = True
        traces, released = self._applied(preview, main, remaining, detail)
        detail("proving that main is the goal")
        after = inspect(main)
        left = list(describe_difference(after, goal, compare=self._compare))
        if books and not self._command.on_main:
            left += bookkeeping.differences(read_books(main, self._command.bookkeeping), books)
        if left:
            raise PlanDoesNotConverge(
                f"main still differs from the branch: {left[0]}",
                detail="\n".join(left),
                hint="`preview promote` again shows what remains",
            )
        proved = self._proved(promotion, main, approved, after)
        done = len(remaining.statements)
        return Advance(
            to=State.PROMOTED,
            note=f"{done} statement{'s' * (done != 1)} on {self._project.main.name}; main equals the branch"
            + in_words(promotion.last("restore_point")),
            facts={
                "promotion": {
                    "id": promotion.id,
                    "plan_digest": approved.digest,
                    "applied": plan_with_traces(remaining, traces),
                    "main_before": before.fingerprint(),
                    "main_after": after.fingerprint(),
                    "restore_to": promotion.last("restore_point"),
                    "proof": proved,
                },
                "release": released,
                "resumed": None,
                "phase": None,
            },
        )

    def _expand(
        self,
        preview: Preview,
        main: Connection,
        first: Plan,
        approved: Plan,
        detail: Callable[[str], None],
    ) -> Next:
        """The first phase alone: what the running version of the app survives; the preview rests in the middle."""
        goal, books = self._goal(preview)
        done: list[dict[str, Any]] = []
        for _ in range(_ROUNDS):
            detail(f"applying {len(first.statements)} statements that the running app survives")
            traces = self._on_main.apply(
                preview.facts["promotion_id"],
                main,
                first,
                purpose=f"promote {preview.name}",
                detail=detail,
                expected=rehearsed_times(preview.facts["plan"]),
            )
            done += plan_with_traces(first, traces)["statements"]
            detail("looking what is left for the second phase")
            middle = inspect(main)
            left = self._remaining(preview, main, middle, goal, books, approved)
            # What shared a transaction with the second phase may be free of it now.
            first = split(left).expand
            if not first.statements:
                break
        later = len(left.statements)
        note = (
            f"expand: {len(done)} statement{'s' * (len(done) != 1)} on {self._project.main.name}; "
            f"{later} left to contract"
        )
        expanded = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "main": middle.fingerprint(),
            "applied": {"statements": done},
            "left": [each.why for each in left.statements],
        }
        self._promotions.record(preview.facts["promotion_id"], "expanded", note=note, detail=expanded)
        return Advance(
            to=State.READY, note=note, facts={"expanded": expanded, "phase": None, "resumed": None}
        )

    def _ready_to_apply(
        self,
        preview: Preview,
        main: Connection,
        before: Snapshot,
        goal: Snapshot,
        remaining: Plan,
        detail: Callable[[str], None],
    ) -> Promotion:
        """The restore point and what the way back needs, written down before the first statement; once."""
        promotions = self._promotions
        promotion = promotions.get(preview.facts["promotion_id"])
        if promotion.touched and not self._without_point(preview, promotion, remaining):
            return promotion
        if promotion.touched:
            point, took = self._points.make(promotion, main, before, detail)
            note = "the one from before the first phase is gone: this one is from between the two"
            promotions.record(promotion.id, "restore_point", note=note, detail=point, milliseconds=took)
            return promotions.get(promotion.id)
        if remaining.statements or self._command.on_main:
            point, took = self._points.make(promotion, main, before, detail)
            promotions.record(promotion.id, "restore_point", detail=point, milliseconds=took)
        plan = Plan.from_json(preview.facts["plan"])
        rows = proof.count(main, proof.touched(plan, before))
        with promotions.together():
            promotions.carry(promotion.id, "base", before.to_json())
            promotions.carry(promotion.id, "goal", goal.to_json())
            promotions.record(
                promotion.id,
                "applying",
                note=f"{len(remaining.statements)} of {len(plan.statements)} statements",
                detail={
                    "main": before.fingerprint(),
                    "database": self._project.database,
                    "statements": [each.why for each in remaining.statements],
                    "rows": rows,
                    "written": proof.written(main),
                },
            )
        return promotions.get(promotion.id)

    def _without_point(self, preview: Preview, promotion: Promotion, remaining: Plan) -> bool:
        """Whether the second phase, which takes away, would run with no restore point behind it: its time was over."""
        point = promotion.last("restore_point")
        if (
            not preview.facts.get("expanded")
            or not remaining.statements
            or not (point and point.get("branch"))
        ):
            return False
        begun = next((i for i, each in enumerate(promotion.events) if each.kind == "expanded"), None)
        if begun is None or any(each.kind in ("statement", "release") for each in promotion.events[begun:]):
            return False  # something of the second phase may be on main already
        return self._project.neon.find_branch(self._project.id, point["branch"]["name"]) is None

    def _applied(
        self, preview: Preview, main: Connection, remaining: Plan, detail: Callable[[str], None]
    ) -> tuple[tuple[StatementTrace, ...], dict[str, Any] | None]:
        """What adds, the new version of the app, what takes away."""

        def on_main(plan: Plan) -> tuple[StatementTrace, ...]:
            return self._on_main.apply(
                preview.facts["promotion_id"],
                main,
                plan,
                purpose=f"promote {preview.name}",
                detail=detail,
                expected=rehearsed_times(preview.facts["plan"]),
            )

        if not self._command.on_main:
            return in_order(
                remaining,
                on_main,
                lambda change: self._released(preview, detail, change),
                change_over(
                    self._on_main, preview.facts["promotion_id"], main, f"promote {preview.name}", detail
                )
                if self._releases.holds
                else None,
            )
        traces = self._by_command.promote(preview, main, on_main, detail)
        self._promotions.record(preview.facts["promotion_id"], "command", detail={"argv": self._command.argv})
        return traces, self._released(preview, detail)

    def _released(
        self, preview: Preview, detail: Callable[[str], None], change: ChangeOver | None = None
    ) -> dict[str, Any] | None:
        """Put the new version of the app into production's place, when the settings want that."""
        began = time.perf_counter()
        outcome = self._releases.release(preview, detail, change)
        if outcome is not None:
            self._promotions.record(
                preview.facts["promotion_id"],
                "release",
                note=f"{outcome['kind']}: {(outcome['release']['image'] or {}).get('reference', '')}",
                detail=outcome,
                milliseconds=(time.perf_counter() - began) * 1000,
            )
        return outcome

    def _proved(self, promotion: Promotion, main: Connection, plan: Plan, after: Snapshot) -> dict[str, Any]:
        """Main equals the branch; what became of the rows; statistics for what was touched."""
        began = time.perf_counter()
        analyzed = proof.analyze(main, plan, after)
        found = {
            "equal": True,
            "fingerprint": after.fingerprint(),
            "rows": proof.compare((promotion.last("applying") or {}).get("rows", {}), main, plan, after),
            "analyzed": analyzed,
        }
        promotions = self._promotions
        with promotions.together():
            promotions.carry(promotion.id, "after", after.to_json())
            promotions.record(
                promotion.id,
                "proof",
                note="main equals the branch",
                detail=found,
                milliseconds=(time.perf_counter() - began) * 1000,
            )
            promotions.record(promotion.id, "done")
        return found

    def _untouched(self, preview: Preview) -> bool:
        """Whether main is what it was when the preview was made, without anything of ours in it."""
        if self._command.on_main or preview.facts.get("own_steps"):
            return False  # rows may have changed, which no snapshot shows
        with (
            suppress(OrchestratorError),
            self._project.connect_reading(self._project.main.id, "look") as main,
        ):
            now = inspect(main)
            return now.fingerprint() == preview.facts["base"] and not now.leftovers
        return False

    def _assert_same_settings(self, preview: Preview) -> None:
        """What was rehearsed is what runs: the same own steps, the same command, in the same way."""
        self._own.assert_unchanged(preview)
        then = preview.facts.get("command") or {}
        now = self._command.argv if self._command.wanted else None
        if then.get("argv") != now or bool(then.get("on_main")) != self._command.on_main:
            raise PreviewMoved(
                f"the migration's settings were changed after {preview.name} was rehearsed",
                hint=f"`preview up {preview.name} --fresh` rehearses with them",
            )

    def _goal(self, preview: Preview) -> tuple[Snapshot, Books]:
        """The branch's snapshot, which must still be what was rehearsed and approved; and its migration tool's rows."""
        branch = self._project.own_branch(preview)
        if branch is None or branch.id != preview.facts["branch"]["id"]:
            raise PreviewMoved(
                f"branch {preview.facts['branch']['name']} is gone",
                hint=f"`preview up {preview.name}` makes a fresh one and rehearses again",
            )
        with self._project.connect_reading(branch.id, "compare with main") as connection:
            goal = inspect(connection)
            books = read_books(connection, self._command.bookkeeping) if self._command.wanted else {}
        if goal.fingerprint() != preview.facts["reached"]:
            raise PreviewMoved(
                f"branch {preview.facts['branch']['name']} was changed after its rehearsal",
                hint=f"`preview up {preview.name} --fresh` rehearses again",
            )
        return goal, books

    def _remaining(
        self,
        preview: Preview,
        main: Connection,
        before: Snapshot,
        goal: Snapshot,
        books: Books,
        approved: Plan,
    ) -> Plan:
        """diff(main, branch) and what own steps and rows are left, which must be a part of what was approved."""
        own = self._own.left(main)
        answers = _decided(preview)
        if self._command.on_main:
            plan = compose(explained(before, goal, None, answers, self._compare)[0], own=own)
        else:
            planned = make_plan(
                before,
                goal,
                answers=answers,
                policy=as_in(approved),
                compare=self._compare,
                keeping=keeping_of(approved),
            )
            if planned.plan is None:
                raise MainMoved(
                    f"main has moved since {preview.name} was rehearsed: the comparison now asks "
                    + ", ".join(question.id for question in planned.questions),
                    hint=f"`preview rebase {preview.name}` rehearses again on main as it is now",
                )
            rows = bookkeeping.statements(read_books(main, self._command.bookkeeping), books) if books else ()
            plan = compose(planned.plan, own=own, rows=rows)
        foreign = part_of(plan, approved)
        if foreign:
            raise MainMoved(
                f"main has moved since {preview.name} was rehearsed: {len(foreign)} statement"
                f"{'s' * (len(foreign) != 1)} that nobody approved would be needed",
                detail="\n".join(foreign),
                hint=f"`preview rebase {preview.name}` rehearses again on main as it is now",
            )
        return plan


def _decided(preview: Preview) -> dict[str, str]:
    """What was answered, and what was taken for proved in the rehearsal: the branch proves nothing any more."""
    return {**preview.facts.get("proved", {}), **preview.facts.get("answers", {})}


def _refuse_what_would_fail(preview: Preview, findings: Sequence[Finding]) -> None:
    """Production's rows may have changed since the rehearsal: what would fail now is said before anything runs."""
    blocked = blocking(findings)
    if blocked:
        raise Refused(
            f"production's data has changed since {preview.name} was rehearsed, and the plan would fail on it: "
            f"{blocked[0].subject}",
            detail=in_lines(blocked),
            hint=f"mend the rows and promote again, or `preview up {preview.name} --fresh` rehearses again",
        )
