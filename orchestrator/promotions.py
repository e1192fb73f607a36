"""The verbs of a promotion: approve, promote. Knows no adapter; is handed the engine and the rooms below."""

from collections.abc import Iterable
from datetime import UTC, datetime

from orchestrator.approval import facts_of
from orchestrator.errors import Refused
from orchestrator.lifecycle import Preview, Promotion, Promotions, State, Wanted
from orchestrator.lifecycle.store import Lease
from orchestrator.migration.plan import Hazard, Plan
from orchestrator.verbs import Verbs, failed_in

#: What of a preview its promotion keeps: the preview will be gone when somebody asks.
_CARRIED = (
    *("approval", "plan", "answers", "proved", "image", "command", "own_steps", "queries", "differences"),
    *("main", "branch", "base", "goal", "reached", "runtime"),
)


class PromotionVerbs(Verbs):
    """What brings a preview to main."""

    @property
    def _promotions(self) -> Promotions:
        return self._store.promotions(self._project)

    def promote(self, name: str, *, allow: Iterable[str], keep: bool) -> Preview:
        """Put exactly what was rehearsed on main; then, unless `keep`, discard the preview.

        Raises:
            HazardNotAllowed: a blocking hazard is not allowed by name; prints the flags.
            Refused: not ready, report blocked, or main moved.
        """
        preview = self.mine(name)
        with self._store.lease(preview.id, wait=self._wait) as lease:
            preview = self._store.get(preview.id)
            if preview.wanted is Wanted.CLOSED and preview.state is State.READY:
                raise Refused(f"{name} is being discarded", hint=f"`preview discard {name}` finishes it")
            if preview.state is State.READY:
                self._begin_promotion(lease, preview, allow)
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
            promoted = self._engine.run_until_rest(lease)
            if keep:
                return promoted
            self._store.want(preview.id, Wanted.CLOSED, note="discard after the promotion")
            return self._engine.run_until_rest(lease)

    def approve(self, name: str, *, allow: Iterable[str], note: str = "") -> Preview:
        """Say yes to a ready preview; bound to what it is now. `promote` asks for it and refuses when it moved.

        Raises:
            HazardNotAllowed: a blocking hazard is not allowed by name; prints the flags.
            Refused: not ready, report blocked, or what it was rehearsed for has moved.
        """
        preview = self.mine(name)
        with self._store.lease(preview.id, wait=self._wait) as lease:
            preview = self._store.get(preview.id)
            if preview.state is not State.READY or preview.wanted is Wanted.CLOSED:
                raise Refused(
                    f"{name} is {preview.state}; only a ready preview can be approved",
                    hint=f"`preview up {name}` brings it there",
                )
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

    def _begin_promotion(self, lease: Lease, preview: Preview, allow: Iterable[str]) -> None:
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
                facts={"promotion_id": self._written_down(preview).id},
            )

    def _resume(self, lease: Lease, preview: Preview) -> None:
        """Go on with a promotion that stopped, in its own history."""
        with self._promotions.together():
            known = preview.facts.get("promotion_id") or self._written_down(preview).id
            self._promotions.record(known, "resumed", note="going on with the promotion")
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
