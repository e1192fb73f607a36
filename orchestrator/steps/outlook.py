"""What a revert would do and lose, and whether that is still what somebody was shown. Values; touches nothing."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import MainMoved
from orchestrator.lifecycle import Promotion
from orchestrator.migration.plan import Plan
from orchestrator.migration.reverse import Loss
from orchestrator.schema.catalog import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a revert would do and lose, before anything is done.

    Attributes:
        promotion: what would be taken back.
        way: ``reverse_plan`` or ``restore_point``.
        plan: the statements, of the reverse plan.
        losses: what does not come back, or is lost; sentences with counts where they are known.
        bound: the same without counts: rows that are written between a look and a yes change nothing of what was meant.
        app: what happens to the app, one sentence; empty when nothing.
        others: how many objects others changed since, which stay.
        target: main's schema as it is to be.
    """

    promotion: Promotion
    way: str
    losses: tuple[str, ...]
    bound: tuple[str, ...]
    app: str
    plan: Plan | None = None
    others: int = 0
    target: Snapshot | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what a yes is bound to: which promotion, which way, each statement, losses, the app."""
        statements = [each.sql for each in self.plan.statements] if self.plan else []
        content = json.dumps([self.promotion.id, self.way, statements, list(self.bound), self.app])
        return hashlib.sha256(content.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Everything but the snapshot."""
        return {
            "digest": self.digest,
            "promotion": self.promotion.id,
            "preview": self.promotion.preview_name,
            "way": self.way,
            "statements": self.plan.to_json()["statements"] if self.plan else [],
            "losses": list(self.losses),
            "app": self.app,
            "others": self.others,
        }


def assert_as_shown(shown: Outlook, now: Outlook) -> None:
    """Refuse to do what nobody has looked at.

    Raises:
        MainMoved: it would do or lose something else by now; says what.
    """
    if now.digest != shown.digest:
        raise changed_since(now, _news(shown, now))


def changed_since(now: Outlook, news: Sequence[str] = ()) -> MainMoved:
    """The refusal of a yes that was given for something else."""
    way = " --to-restore-point" if now.way == "restore_point" else ""
    return MainMoved(
        f"what a revert of {now.promotion.preview_name} would do has changed since it was shown"
        + (f": {news[0]}" if news else ""),
        detail="\n".join(news),
        hint=f"look again: `preview revert {now.promotion.id}{way} --dry-run`",
    )


def _news(shown: Outlook, now: Outlook) -> list[str]:
    """What differs, one sentence each."""
    before, after = (
        [each.sql for each in outlook.plan.statements] if outlook.plan else [] for outlook in (shown, now)
    )
    return [
        *(f"a statement more: {each}" for each in after if each not in before),
        *(f"a statement less: {each}" for each in before if each not in after),
        *(f"lost as well: {each}" for each in now.bound if each not in shown.bound),
        *(f"lost no more: {each}" for each in shown.bound if each not in now.bound),
        *([now.app or "the app stays as it is"] if now.app != shown.app else ()),
    ]


def in_words(loss: Loss) -> str:
    """One sentence, with its count where that is known."""
    if loss.count is None:
        return loss.detail
    return (
        f"{loss.detail}: {loss.count:,} now"
        if loss.kind == "later"
        else f"{loss.detail}: {loss.count:,} values"
    )
