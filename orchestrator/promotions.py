"""The verbs of a promotion: approve, promote. Knows no adapter; is handed the engine and the rooms below."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from orchestrator.approval import Approval, assert_looked_at, facts_of, moved
from orchestrator.errors import MainMoved, OrchestratorError, Refused
from orchestrator.lifecycle import Preview, Promotion, Promotions, State, Wanted
from orchestrator.lifecycle.lease import Lease
from orchestrator.migration.plan import Hazard, Plan
from orchestrator.rebasing import RebaseVerbs
from orchestrator.turns import in_turn
from orchestrator.verbs import failed_in

#: What of a preview its promotion keeps: the preview will be gone when somebody asks.
_CARRIED = (
    *("approval", "plan", "answers", "proved", "image", "command", "own_steps", "queries", "differences"),
    *("main", "branch", "base", "goal", "reached", "runtime"),
)


#: How often one promotion is rehearsed again because main has moved.
_REBASES = 3


class PromotionVerbs(RebaseVerbs):
    """What brings a preview to main."""

    @property
    def _promotions(self) -> Promotions:
        return self._store.promotions(self._project)

    def promote(
        self,
        name: str,
        *,
        allow: Iterable[str],
        keep: bool,
        rebase: bool = True,
        wait: Callable[[str], bool] = lambda _holder: False,
        phase: str = "",
        looked: str = "",
    ) -> Preview:
        """Put exactly what was rehearsed on main; then, unless `keep`, discard the preview.

        Args:
            name: which.
            allow: hazards and findings that are allowed by name.
            keep: leave the preview up.
            rebase: when main has moved, rehearse again on main as it is now, and go on if nothing else is different.
            wait: asked while somebody else has the turn on main, who is named; it waits a little and returns True to
                look again, or returns False to give up.
            phase: ``expand``: only what the running version of the app survives; the preview rests in the middle.
                ``contract``: the rest, after that. Empty: all that is left.
            looked: what was looked at, see `approval.looked_at`; empty: whatever it is.

        Raises:
            HazardNotAllowed: a blocking hazard is not allowed by name; prints the flags.
            PromotionUnderWay: somebody else has the turn on main.
            Refused: not ready, report blocked, or main moved.
        """
        self._finish_replaced(name)
        preview = self.mine(name)
        with self._store.lease(preview.id, wait=self._wait) as lease:
            times = _REBASES if rebase else 0
            return in_turn(
                self._store.line(self._project),
                f"promote {name}",
                lambda: self._promote(lease, allow, keep=keep, rebases=times, phase=phase, looked=looked),
                under_way=self._hooks.under_way,
                wait=wait,
            )

    def _promote(
        self,
        lease: Lease,
        allow: Iterable[str],
        *,
        keep: bool,
        rebases: int,
        phase: str = "",
        looked: str = "",
    ) -> Preview:
        preview = self._store.get(lease.preview_id)
        name = preview.name
        check_phase(preview, phase)
        self._assert_meant(preview, looked)
        if phase == "expand" and preview.state is State.READY and preview.facts.get("expanded"):
            return preview
        if preview.wanted is Wanted.CLOSED and preview.state is State.READY:
            raise Refused(f"{name} is being discarded", hint=f"`preview discard {name}` finishes it")
        if preview.state is State.READY and self._begin_second_phase(lease, preview):
            pass
        elif preview.state is State.READY:
            self._begin_promotion(lease, preview, allow, phase)
        elif preview.state is State.PROMOTING or failed_in(preview) is State.PROMOTING:
            self._resume(lease, preview)
        elif "promotion" in preview.facts and preview.state in (State.DISCARDING, State.FAILED):
            # Promoted already, and died while it cleaned up: what is left is the cleaning up.
            return self._close(lease, preview)
        elif preview.state is not State.PROMOTED:
            raise Refused(
                f"{name} is {preview.state}; only a ready preview can be promoted",
                hint=f"`preview up {name}` brings it there",
            )
        self._store.want(preview.id, Wanted.PROMOTED, note="preview promote")
        try:
            promoted = self._engine.run_until_rest(lease)
        except MainMoved as moved:
            if not (rebases and moved.nothing_done):
                raise
            return self._promote_rebased(lease, moved, allow, keep=keep, rebases=rebases - 1, phase=phase)
        if promoted.state is State.READY:
            self._store.want(preview.id, Wanted.READY, note="the first phase is done")
            return self._store.get(preview.id)
        if keep:
            return promoted
        self._store.want(preview.id, Wanted.CLOSED, note="discard after the promotion")
        return self._engine.run_until_rest(lease)

    def _assert_meant(self, preview: Preview, looked: str) -> None:
        """Refuse what is not what was looked at, and to say that something is promoted that was taken back since.

        Raises:
            Refused: it is not, or it was.
        """
        if preview.state is State.READY:
            assert_looked_at(preview, looked)
        if preview.state is not State.PROMOTED:
            return
        promotion = (preview.facts.get("promotion") or {}).get("id")
        revert = self._promotions.revert_of(promotion) if promotion else None
        if revert is not None and revert.touched:
            done = "was taken back" if revert.state == "done" else "is half taken back"
            raise Refused(
                f"the promotion {promotion} of {preview.name} {done} by revert {revert.id}",
                hint=f"`preview discard {preview.name}`, then `preview up {preview.name}` rehearses it again",
            )

    def _promote_rebased(
        self,
        lease: Lease,
        moved: MainMoved,
        allow: Iterable[str],
        *,
        keep: bool,
        rebases: int,
        phase: str = "",
    ) -> Preview:
        """Rehearse on main as it is now, and go on there if that is what was said yes to."""

        def then(fresh: Lease, changed: tuple[str, ...]) -> Preview:
            name = self._store.get(fresh.preview_id).name
            if changed:
                raise Refused(
                    f"{moved.message}; {name} was rehearsed again on main as it is now: {changed[0]}",
                    detail="\n".join(changed),
                    hint=f"`preview report {name}` shows what it is now; `preview promote {name}` then promotes that",
                )
            return self._promote(fresh, allow, keep=keep, rebases=rebases, phase=phase)

        old = self._store.get(lease.preview_id)
        self._store.want(old.id, Wanted.READY, note="main has moved: rehearsing again")
        try:
            return self._rebase(lease, old, {}, then)
        except OrchestratorError as error:
            if not error.message.startswith(moved.message):
                error.message = f"{moved.message}; rehearsing again on main as it is now: {error.message}"
            raise

    def approve(self, name: str, *, allow: Iterable[str], note: str = "", looked: str = "") -> Preview:
        """Say yes to a ready preview; bound to what it is now. `promote` asks for it and refuses when it moved.

        Args:
            name: which.
            allow: hazards and findings that are allowed by name.
            note: a sentence to keep with it.
            looked: what was looked at, see `approval.looked_at`; empty: whatever it is.

        Raises:
            HazardNotAllowed: a blocking hazard is not allowed by name; prints the flags.
            Refused: not ready, not what was looked at, or the report blocks it.
        """
        preview = self.mine(name)
        with self._store.lease(preview.id, wait=self._wait) as lease:
            preview = self._store.get(preview.id)
            if preview.state is not State.READY or preview.wanted is Wanted.CLOSED:
                raise Refused(
                    f"{name} is {preview.state}; only a ready preview can be approved",
                    hint=f"`preview up {name}` brings it there",
                )
            assert_looked_at(preview, looked)
            return self._approve(lease, preview, allow, note=note, to=State.READY)

    def _approve(
        self,
        lease: Lease,
        preview: Preview,
        allow: Iterable[str],
        *,
        to: State,
        note: str = "",
        beforehand: bool = True,
    ) -> Preview:
        """Write down the yes, bound to the facts it was given for."""
        approval = self._guards.approval(
            preview,
            allow=allow,
            who=self._store.who,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            note=note,
            beforehand=beforehand,
        )
        plan = str(approval.facts["plan_digest"])[:12]
        return self._store.record(
            lease,
            to=to,
            kind="approved",
            note=f"plan {plan}" + (f": {note}" if note else ""),
            detail=approval.to_json(),
            facts={"approval": approval.to_json()},
        )

    def _begin_second_phase(self, lease: Lease, preview: Preview) -> bool:
        """Go on after the first phase with the yes that was given for both; False: that does not hold any more."""
        if not preview.facts.get("expanded"):
            return False
        now = facts_of(preview)
        now["goal_fingerprint"] = self._hooks.freshness.goal(preview)
        approval = Approval.from_json(preview.facts["approval"])
        if gone := moved(approval, now):
            name = preview.name
            raise Refused(
                f"the yes to {name} by {approval.who}, for both phases, does not hold any more: {'; '.join(gone)}",
                hint=f"`preview up {name} --fresh` rehearses what is left on main as it is now",
            )
        with self._promotions.together():
            note = f"contract: approved by {approval.who} at {approval.at}"
            self._promotions.record(preview.facts["promotion_id"], "resumed", note=note)
            self._store.record(
                lease, to=State.PROMOTING, kind="promoting", note=note, facts={"phase": "contract"}
            )
        return True

    def _begin_promotion(self, lease: Lease, preview: Preview, allow: Iterable[str], phase: str = "") -> None:
        """Go on from a yes that was given before, or take this as the yes; the promotion is written down with it."""
        now = facts_of(preview)
        if preview.facts.get("approval"):
            now["goal_fingerprint"] = self._hooks.freshness.goal(preview)
        approval = self._guards.holding(preview, now)
        with self._promotions.together():
            if approval is None:
                preview = self._approve(lease, preview, allow, to=State.READY, beforehand=False)
            given = preview.facts["approval"]
            self._store.record(
                lease,
                to=State.PROMOTING,
                kind="promoting",
                note=f"approved by {given['who']} at {given['at']}",
                facts={"promotion_id": self._written_down(preview).id, "phase": phase or None},
            )

    def _resume(self, lease: Lease, preview: Preview) -> None:
        """Go on with a promotion that stopped, in its own history."""
        with self._promotions.together():
            known = preview.facts.get("promotion_id") or self._written_down(preview).id
            self._promotions.record(known, "resumed", note="going on with the promotion")
            if (revert := self._promotions.revert_of(known)) is not None:
                note = "it stopped half-way, and the promotion goes on instead"
                self._promotions.record(revert.id, "superseded", note=note)
            self._store.record(
                lease,
                to=State.PROMOTING,
                kind="resumed",
                note="going on with the promotion",
                facts={"resumed": True, "promotion_id": known},
            )

    def _written_down(self, preview: Preview) -> Promotion:
        """A new promotion in the history, with all that it was begun with and the way back needs."""
        facts = preview.facts
        report = facts.get("report") or {}
        promotion = self._promotions.begin(
            preview_id=preview.id,
            preview_name=preview.name,
            facts={
                **{name: facts.get(name) for name in _CARRIED},
                "report": {"verdict": report.get("verdict"), "findings": report.get("findings", [])},
                "asked_by": preview.created_by,
            },
            note="preview promote",
        )
        if facts.get("reverse"):
            self._promotions.carry(promotion.id, "reverse", facts["reverse"])
        return promotion

    def refused_hazards(self, plan: Plan, allowed: Iterable[str] = ()) -> tuple[Hazard, ...]:
        """See Guards."""
        return self._guards.refused_hazards(plan, allowed)


def check_phase(preview: Preview, phase: str) -> None:
    """Refuse a phase that is not this preview's next one.

    Raises:
        Refused: it is not; says what can be done.
    """
    name = preview.name
    if phase == "contract" and preview.state is State.READY and not preview.facts.get("expanded"):
        raise Refused(
            f"nothing of {name} is on main yet, so there is nothing to contract",
            hint=f"`preview promote {name} --phase expand` comes first; without --phase both are done",
        )
    if phase == "expand" and (preview.facts.get("command") or {}).get("on_main"):
        raise Refused(
            "a migration command runs as a whole: it cannot be promoted in phases",
            hint='set migration.promote_with = "plan", or promote it without --phase',
        )
    under_way = preview.state is State.PROMOTING or failed_in(preview) is State.PROMOTING
    begun = preview.facts.get("phase") or ""
    if phase and under_way and phase != begun:
        what = f"its phase {begun}" if begun else "all of it"
        raise Refused(
            f"{name} is being promoted already: {what} has begun",
            hint=f"`preview promote {name}` goes on with that",
        )
