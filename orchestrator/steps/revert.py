"""Taking a promotion back: shown first, then done under main's turn, then proved. Touches main's PostgreSQL.

The way back is a plan as any other; its remainder is asked for anew on every run, so that a killed revert goes on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import blocking, in_lines
from orchestrator.database import Connection
from orchestrator.errors import MainMoved, OrchestratorError, PlanDoesNotConverge, Refused
from orchestrator.lifecycle import Promotion, Promotions
from orchestrator.migration import part_of
from orchestrator.migration.keeping import Keeping, keeping_of
from orchestrator.migration.online import Online, as_in
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import Planned, make_plan
from orchestrator.migration.reverse import Reverse, reverse_plan
from orchestrator.migration.undoing import Undone, undone
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.kept import kept
from orchestrator.postgres.trace import StatementTrace
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.privileges import Compare
from orchestrator.steps import proof
from orchestrator.steps.border import translating
from orchestrator.steps.changeover import change_over
from orchestrator.steps.in_order import in_order
from orchestrator.steps.on_main import OnMain
from orchestrator.steps.outlook import Outlook, assert_as_shown, in_words
from orchestrator.steps.project import NeonProject
from orchestrator.steps.release import Releases
from orchestrator.steps.restore_point import RestorePoints
from orchestrator.steps.road import Road, road
from orchestrator.steps.way_back import counted
from preview.changeover import Change

Say = Callable[[str], None]


class ReversePlans:
    """Takes promotions back by a plan that keeps every row that was written since."""

    def __init__(
        self,
        project: NeonProject,
        promotions: Promotions,
        on_main: OnMain,
        *,
        points: RestorePoints,
        releases: Releases,
        compare: Compare,
        policy: Online,
        keeping: Keeping,
    ) -> None:
        self._project = project
        self._promotions = promotions
        self._on_main = on_main
        self._points = points
        self._releases = releases
        self._compare = compare
        self._policy = policy
        self._keeping = keeping

    def look(self, promotion: Promotion, revert: Promotion | None, detail: Say) -> Outlook:
        """What the way back would do and lose; changes nothing.

        Args:
            promotion: what would be taken back.
            revert: one that was begun and did not come to its end.
            detail: told what is being looked at.

        Raises:
            Refused: there is no way back by a plan, or somebody changed since what it would touch.
        """
        with (
            translating(f"looking at the way back of {promotion.preview_name}"),
            self._project.connect_reading(self._project.main.id, "look at the way back") as main,
        ):
            return self._outlook(promotion, revert, main, detail)

    def _outlook(
        self, promotion: Promotion, revert: Promotion | None, main: Connection, detail: Say
    ) -> Outlook:
        way = road(self._promotions, promotion)
        detail("comparing production with what the promotion left")
        aside = kept(main, promotion.id)
        now = inspect(main)
        returned = inspect(main, returning=aside) if aside else now
        target = self._target(promotion, revert, way, now)
        if target.conflicts:
            raise MainMoved(
                f"production has changed since {promotion.preview_name} was promoted, and a revert would touch "
                f"that: {target.conflicts[0]}",
                detail="\n".join(target.conflicts),
                hint="take that back first, or go to the restore point: "
                f"`preview revert {promotion.id} --to-restore-point --dry-run` says what that loses",
            )
        planned = way.done(self._planned(promotion, way.base, way.end, self._keeping), now)
        reverse = reverse_plan(
            target.snapshot,
            now,
            planned,
            policy=self._policy,
            compare=self._compare,
            kept=aside,
            returned=returned,
            keeping=self._keeping,
        )
        if reverse.plan is None:
            raise Refused(
                f"there is no reverse plan for {promotion.preview_name}: {reverse.refused}",
                hint=f"`preview revert {promotion.id} --to-restore-point --dry-run` says what the restore point loses",
            )
        if revert is not None and revert.touched:
            more = part_of(reverse.plan, Plan.from_json(revert.facts["way_back"]))
            if more:
                raise MainMoved(
                    f"production has changed since the revert of {promotion.preview_name} began: {more[0]}",
                    detail="\n".join(more),
                    hint="take that back first, then run the same command again",
                )
        detail("counting what would be lost")
        return Outlook(
            promotion=promotion,
            way="reverse_plan",
            plan=reverse.plan,
            losses=tuple(self._losses(promotion, main, reverse)),
            bound=tuple(f"{each.kind} {each.on}" for each in reverse.losses),
            app=self._releases.would_put_back(outcome_of(self._releases, promotion)),
            others=target.others,
            target=target.snapshot,
        )

    def _target(self, promotion: Promotion, revert: Promotion | None, way: Road, now: Snapshot) -> Undone:
        """Where it leads; a revert that was begun goes where it was going."""
        known = self._promotions.carried(revert.id, "target") if revert is not None else None
        if known:
            return Undone(snapshot=Snapshot.from_json(known))
        found = undone(way.base, way.end, now)
        if way.whole or not found.conflicts:
            return found
        # Between two of its own statements things are neither what they were nor what they were to be.
        ahead = undone(way.end, way.base, now, between=True).snapshot
        approved = Plan.from_json(promotion.facts["plan"])
        left = self._planned(promotion, now, ahead, keeping_of(approved)).plan
        ours = left is not None and not part_of(left, approved)
        return undone(way.base, way.end, now, between=True) if ours else found

    def _planned(self, promotion: Promotion, base: Snapshot, end: Snapshot, keeping: Keeping) -> Planned:
        """The promotion's own plan once more, or what is left of it: it tells what was renamed."""
        answers = {**(promotion.facts.get("proved") or {}), **(promotion.facts.get("answers") or {})}
        plan = promotion.facts.get("plan")
        return make_plan(
            base,
            end,
            answers=answers,
            assume_defaults=True,
            policy=as_in(Plan.from_json(plan)) if plan else self._policy,
            compare=self._compare,
            keeping=keeping,
        )

    def _losses(self, promotion: Promotion, main: Connection, reverse: Reverse) -> list[str]:
        """What is lost, later writes counted now, the rest as it was counted before the promotion."""
        told = (self._promotions.carried(promotion.id, "reverse") or {}).get("losses", [])
        known = {(each["kind"], each["on"]): each.get("count") for each in told}
        assert reverse.plan is not None  # noqa: S101 - the caller looked
        probes = {
            probe.subject: probe.count_sql
            for statement in reverse.plan.statements
            for probe in statement.probes
            if probe.kind == "rows_at_stake"
        }
        losses = [
            replace(each, count_sql=probes.get(each.on, ""))
            if each.kind == "later"
            else replace(each, count_sql="", count=known.get((each.kind, each.on)))
            for each in reverse.losses
        ]
        said = [in_words(each) for each in counted(main, replace(reverse, losses=tuple(losses))).losses]
        if promotion.facts.get("own_steps"):
            said.append("rows that your own steps changed stay as they are now")
        if promotion.facts.get("command"):
            said.append("the migration tool's own tables still say that it ran: take that back by the tool")
        return said

    def run(
        self, outlook: Outlook, revert: Promotion, detail: Say, ended: Callable[[], None]
    ) -> dict[str, Any]:
        """Do it; running again goes on with what remains.

        Args:
            outlook: what was said yes to.
            revert: its row in the history.
            detail: told what is being done.
            ended: writes down what else ends with it, in the same act.

        Returns:
            The proof.

        Raises:
            PromotionUnderWay: somebody else has the turn on main.
            MainMoved: it would not do any more what was said yes to; nothing was changed.
            ApplyError: a statement failed; running again goes on.
        """
        promotion, began = outlook.promotion, False
        try:
            with (
                translating(f"reverting {promotion.preview_name}"),
                self._on_main.turn(revert.id, f"revert {promotion.preview_name}") as main,
            ):
                now = self._outlook(promotion, self._promotions.get(revert.id), main, detail)
                plan, target = self._agreed(outlook, now, main)
                self._ready_to_apply(revert, main, plan, target, detail)
                began = True
                self._applied(promotion, revert, main, plan, detail)
                return self._proved(revert, main, plan, target, detail, ended)
        except OrchestratorError as error:
            error.nothing_done = not (began or self._promotions.get(revert.id).touched)
            self._promotions.record(
                revert.id,
                "refused" if error.nothing_done else "failed",
                note=error.message,
                detail={"kind": type(error).__name__, "hint": error.hint, "detail": error.detail},
            )
            raise

    def _agreed(self, shown: Outlook, now: Outlook, main: Connection) -> tuple[Plan, Snapshot]:
        """The plan as it is under the turn, which must be what was shown; and the data lets it through."""
        assert now.plan is not None  # noqa: S101 - this is the way that has one
        assert now.target is not None  # noqa: S101
        assert_as_shown(shown, now)
        blocked = blocking(preflight(main, now.plan))
        if blocked:
            raise Refused(
                f"rows that were written since do not fit what {now.promotion.preview_name} is taken back to: "
                f"{blocked[0].subject}: {blocked[0].message}",
                detail=in_lines(blocked),
                hint="change or remove those rows, then run the same command again",
            )
        return now.plan, now.target

    def _ready_to_apply(
        self, revert: Promotion, main: Connection, plan: Plan, target: Snapshot, detail: Say
    ) -> None:
        """A restore point of its own, and where it leads, written down before the first statement; once."""
        if self._promotions.get(revert.id).touched:
            return
        now = inspect(main)
        if plan.statements:
            point, took = self._points.make(revert, main, now, detail)
            self._promotions.record(revert.id, "restore_point", detail=point, milliseconds=took)
        rows = proof.count(main, proof.touched(plan, now))
        with self._promotions.together():
            self._promotions.carry(revert.id, "base", now.to_json())
            self._promotions.carry(revert.id, "target", target.to_json())
            self._promotions.record(
                revert.id,
                "applying",
                note=f"{len(plan.statements)} statements",
                detail={
                    "main": now.fingerprint(),
                    "database": self._project.database,
                    "statements": [each.why for each in plan.statements],
                    "rows": rows,
                },
            )

    def _applied(
        self, promotion: Promotion, revert: Promotion, main: Connection, plan: Plan, detail: Say
    ) -> None:
        """What comes back, the earlier version of the app, what goes."""

        purpose = f"revert {promotion.preview_name}"

        def apply(part: Plan) -> tuple[StatementTrace, ...]:
            return self._on_main.apply(revert.id, main, part, purpose=purpose, detail=detail)

        def put_back(change: Change | None) -> dict[str, Any] | None:
            return put_image_back(self._promotions, self._releases, promotion, revert, detail, change)

        waits = self._releases.holds_for(outcome_of(self._releases, promotion))
        changes = change_over(self._on_main, revert.id, main, purpose, detail) if waits else None
        in_order(plan, apply, put_back, changes)

    def _proved(
        self,
        revert: Promotion,
        main: Connection,
        plan: Plan,
        target: Snapshot,
        detail: Say,
        ended: Callable[[], None],
    ) -> dict[str, Any]:
        detail("proving that production is what it was")
        began = time.perf_counter()
        after = inspect(main)
        left = describe_difference(after, target, compare=self._compare)
        if left:
            raise PlanDoesNotConverge(
                f"production still differs from what it is taken back to: {left[0]}",
                detail="\n".join(left),
                hint="`preview revert` again shows what remains",
            )
        rows = (self._promotions.get(revert.id).last("applying") or {}).get("rows", {})
        found = {
            "equal": True,
            "fingerprint": after.fingerprint(),
            "rows": proof.compare(rows, main, plan, after),
            "analyzed": proof.analyze(main, plan, after),
        }
        finish(self._promotions, revert, after, found, (time.perf_counter() - began) * 1000, ended)
        return found


def outcome_of(releases: Releases, promotion: Promotion) -> Mapping[str, Any] | None:
    """What the release of a promotion came to: as was written down, or as production tells where that was not.

    A promotion that was killed right after its version went live could not write it down any more.
    """
    told, live = promotion.last("release"), releases.live
    slug = f"{promotion.preview_name}-{promotion.preview_id}-"
    if told is not None or promotion.ended or live is None or not live.id.startswith(slug):
        return told
    before = releases.before(live)
    return {
        "kind": releases.kind,
        "release": live.to_json(),
        "previous": before.to_json() if before else None,
    }


def put_image_back(
    promotions: Promotions,
    releases: Releases,
    promotion: Promotion,
    revert: Promotion,
    detail: Say,
    change: Change | None = None,
) -> dict[str, Any] | None:
    """The app goes back in the same act; None when nothing was released."""
    began = time.perf_counter()
    outcome = releases.put_back(outcome_of(releases, promotion), detail, change)
    if not outcome:
        return None
    promotions.record(
        revert.id,
        "release",
        note=f"put back: {(outcome['release']['image'] or {}).get('reference', '')}",
        detail=outcome,
        milliseconds=(time.perf_counter() - began) * 1000,
    )
    return outcome


def finish(
    promotions: Promotions,
    revert: Promotion,
    after: Snapshot,
    found: Mapping[str, Any],
    milliseconds: float,
    ended: Callable[[], None],
) -> None:
    """Write the proof and the end, in one act."""
    with promotions.together():
        promotions.carry(revert.id, "after", after.to_json())
        promotions.record(
            revert.id, "proof", note="production is what it was", detail=found, milliseconds=milliseconds
        )
        promotions.record(revert.id, "done")
        ended()
