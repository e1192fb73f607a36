"""Pages of what was promoted: the listing, one promotion, the way back. Reads; changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.access import Caller
from orchestrator.dashboard.desk import Desk, Problem
from orchestrator.dashboard.offers import Offer
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle.promotions import Promotion, Promotions
from orchestrator.pages.past import past_page

_SIGNS = {"done": "✓", "failed": "✕", "refused": "✕", "running": "…", "superseded": "–"}


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
    return tuple(reversed([entry_of(each) for each in found]))


def entry_of(promotion: Promotion) -> PromotionEntry:
    """A promotion as it is listed."""
    return PromotionEntry(
        id=promotion.id,
        state=promotion.state,
        who=promotion.who,
        at=promotion.at.isoformat(),
        title=f"{'revert of ' * (promotion.kind == 'revert')}{promotion.preview_name}",
        sign=_SIGNS.get(promotion.state, "…"),
        clock=f"{promotion.at:%Y-%m-%d %H:%M:%S} UTC",
        statements=len(promotion.statements),
    )


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

    def revert(self) -> Offer | None:
        """The way back; None where there is none to offer."""
        promotion = self.promotion
        if (
            promotion.kind != "promotion"
            or "revert" not in self._desk.rules.verbs
            or promotion.state == "refused"
        ):
            return None
        return Offer(
            verb="revert",
            title="Revert",
            does=(),
            refused=self._desk.forbids("revert", self._caller, None) or self._why_not(),
            grave=True,
        )

    def _why_not(self) -> str:
        if self._reverted is not None and self._reverted.state == "done":
            return f"it was reverted at {self._reverted.at:%Y-%m-%d %H:%M} UTC by {self._reverted.who}"
        return ""

    def values(self) -> dict[str, Any]:
        """For `promotion.html`."""
        return {
            "promotion": entry_of(self.promotion),
            "past": past_page(
                self.promotion.to_json(), reverted_by=self._reverted.to_json() if self._reverted else None
            ),
            "revert": self.revert(),
            "job": self._desk.job(self.promotion.preview_name),
        }

    def confirmation(self, error: Problem | None = None) -> dict[str, Any]:
        """For `confirm.html`; looks at production for what a revert would do."""
        path = f"/promotions/{self.promotion.id}"
        offer = self.revert() or Offer(
            verb="revert", title="Revert", does=(), refused="it can not be reverted"
        )
        digest = ""
        if not offer.refused:
            try:
                back = self._desk.reverting(self.promotion.id, self._caller)
                offer, digest = replace(offer, does=back.does), back.digest
            except OrchestratorError as problem:
                offer = replace(offer, refused=problem.message, does=tuple(filter(None, (problem.hint,))))
        return {
            "offer": offer,
            "name": entry_of(self.promotion).title,
            "error": error,
            "back": path,
            "target": f"{path}/revert",
            "seen": digest,
        }
