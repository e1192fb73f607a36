"""Pages of what was promoted: the listing, one promotion, the way back. Reads; changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from orchestrator.access import Caller
from orchestrator.dashboard.desk import Desk, Job, Problem
from orchestrator.dashboard.offers import Offer
from orchestrator.dashboard.sentences import Allow
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle.promotions import Promotion, Promotions
from orchestrator.pages.past import past_page

#: The ways back, as the pages' paths name them.
WAYS = ("revert", "revert-to-restore-point")
_PLAIN, _POINT = WAYS
_SIGNS = {"reverted": "↶", "done": "✓", "failed": "✕", "refused": "✕", "running": "…", "superseded": "–"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionEntry:
    """A promotion in the listing.

    Attributes:
        id, state, who, at: the promotion's.
        title: what it was, ``pr-1`` or ``revert of pr-1``.
        sign: the state for eyes.
        clock: `at` for a person.
        statements: how many ran.
    """

    id: str
    state: str
    who: str
    at: str
    title: str
    sign: str
    clock: str
    statements: int


def promotion_entries(found: Iterable[Promotion]) -> tuple[PromotionEntry, ...]:
    """The listing, newest first."""
    listed = list(found)
    back = {each.reverts for each in listed if each.kind == "revert" and each.state == "done"}
    return tuple(reversed([entry_of(each, reverted=each.id in back) for each in listed]))


def entry_of(promotion: Promotion, *, reverted: bool = False) -> PromotionEntry:
    """A promotion as it is listed; `reverted`: whether it was taken back since."""
    state = "reverted" if reverted else promotion.state
    return PromotionEntry(
        id=promotion.id,
        state=state,
        who=promotion.who,
        at=promotion.at.isoformat(),
        title=f"{'revert of ' * (promotion.kind == 'revert')}{promotion.preview_name}",
        sign=_SIGNS.get(state, "…"),
        clock=f"{promotion.at:%Y-%m-%d %H:%M:%S} UTC",
        statements=len(promotion.statements),
    )


#: What everybody wants to know of a promotion; the rest is for whoever proves something.
_BRIEF = ("asked by", "previewed by", "began", "ended")


class PromotionPage:
    """One promotion, for one person.

    Raises:
        UnknownPromotion: the project has none with this id.
    """

    def __init__(self, desk: Desk, caller: Caller, promotions: Promotions, promotion_id: str) -> None:
        self._desk = desk
        self._caller = caller
        self.promotion = promotions.get(promotion_id[:40])
        self._reverted = promotions.revert_of(self.promotion.id)
        self._taken_back = self._reverted is not None and self._reverted.state == "done"

    def ways_back(self) -> tuple[Offer, ...]:
        """The ways back, the mild one first; empty where there is none to offer."""
        promotion = self.promotion
        if (
            promotion.kind != "promotion"
            or "revert" not in self._desk.rules.verbs
            or promotion.state == "refused"
        ):
            return ()
        refused = self._desk.forbids("revert", self._caller, None) or self._why_not()
        plain = Offer(verb=_PLAIN, title="Revert", does=(), refused=refused, grave=True, act="revert")
        point = promotion.last("restore_point")
        if not point or not point.get("branch") or self._taken_back:
            return (plain,)
        until = datetime.fromisoformat(point["expires_at"])
        over = f"it was kept until {until:%Y-%m-%d %H:%M} UTC" if until <= datetime.now(UTC) else ""
        to_point = Offer(
            verb=_POINT,
            title="Revert to the restore point",
            does=(),
            refused=refused or over,
            grave=True,
            ticks=(
                Allow(
                    name="later-writes",
                    words="I know that everything written to production since this promotion began is lost.",
                ),
            ),
            act="revert",
            means={"to_restore_point": True},
        )
        return (plain, to_point)

    def _why_not(self) -> str:
        if self._reverted is not None and self._taken_back:
            return f"it was reverted at {self._reverted.at:%Y-%m-%d %H:%M} UTC by {self._reverted.who}"
        job = self._job()
        if job is not None and job.running:
            return f"production is being changed: {job.words}"
        return ""

    def _job(self) -> Job | None:
        """What was asked of the server, if it is about this promotion."""
        job, mine = self._desk.job(self.promotion.preview_name), self.promotion
        if job is None or not job.act:
            return job
        if job.act == "revert":
            return job if job.on in (mine.id, mine.reverts) else None
        open_ = mine.kind == "promotion" and mine.state in ("running", "failed")
        return job if job.act == "promote" and open_ else None

    def values(self) -> dict[str, Any]:
        """For `promotion.html`."""
        by, job = self._reverted, self._job()
        past = past_page(self.promotion.to_json(), reverted_by=by.to_json() if by else None)
        words = f"{past.words[:1].upper()}{past.words[1:]}."
        if by is not None and self._taken_back:
            words = f"It was on production, and was taken back at {by.at:%Y-%m-%d %H:%M} UTC by {by.who}."
        running = self.promotion.state == "running"
        if running and job and job.running:
            words = "It runs now. What is written here comes by itself."
        to_come = self._to_come() if running else ()
        return {
            "promotion": entry_of(self.promotion, reverted=self._taken_back),
            "past": past,
            "words": words,
            "brief": tuple(pair for pair in past.facts if pair[0] in _BRIEF),
            "marks": tuple(pair for pair in past.facts if pair[0] not in _BRIEF),
            "other": self._other(),
            "preview_name": self.promotion.preview_name,
            "ways": self.ways_back(),
            "job": job,
            "running": running or bool(job and job.running),
            "to_come": to_come,
            "of": len(past.statements) + len(to_come),
        }

    def _to_come(self) -> tuple[str, ...]:
        """What the statements are for that have not run yet, as far as that is known."""
        ran = {each["sql"] for each in self.promotion.statements}
        plan = self.promotion.plan.get("statements", ())
        return tuple(each["why"] for each in plan if each["sql"] not in ran)

    def _other(self) -> tuple[str, str]:
        """The promotion that this one takes back, or the revert that took it back: its id, and what it is."""
        if self.promotion.reverts:
            return self.promotion.reverts, "The promotion that this takes back"
        return (self._reverted.id, "What takes it back") if self._reverted else ("", "")

    def confirmation(self, way: str, error: Problem | None = None) -> dict[str, Any]:
        """For `confirm.html`; looks at production for what a revert would do."""
        path = f"/promotions/{self.promotion.id}"
        nothing = Offer(verb=way, title="Revert", does=(), refused="there is no such way back")
        offer = next((each for each in self.ways_back() if each.verb == way), nothing)
        digest = ""
        if not offer.refused:
            try:
                back = self._desk.reverting(self.promotion.id, self._caller, to_restore_point=way == _POINT)
                offer, digest = replace(offer, does=back.does), back.digest
            except OrchestratorError as problem:
                offer = replace(offer, refused=problem.message, does=tuple(filter(None, (problem.hint,))))
        return {
            "offer": offer,
            "name": entry_of(self.promotion).title,
            "error": error,
            "back": path,
            "target": f"{path}/{way}",
            "seen": digest,
        }
