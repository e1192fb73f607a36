"""discarding -> closed: undo everything; the row closes when all absence was observed.

The one step that touches several outside worlds, all through the ledger of what a preview may have.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.steps.discarded import Discarded
from orchestrator.steps.launch import candidate_name


class Belongings(Protocol):
    """Everything that a preview may have; see `orchestrator.resources`."""

    def remove_all(
        self, preview: Preview, detail: Callable[[str], None], *, forced: bool, but: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Remove it, but for some kinds, and see that it is gone; returns what was given up by force."""


class DiscardStep:
    """Removes all that the preview has, whether or not the row remembers it."""

    def __init__(self, belongings: Belongings, discarded: Discarded) -> None:
        self._belongings = belongings
        self._discarded = discarded

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Remove; what is not there is fine."""
        until = preview.facts.get("keep_until")
        given_up = self._belongings.remove_all(
            preview, detail, forced=bool(preview.facts.get("forced")), but=("branch",) if until else ()
        )
        note = "app, image and branch are gone"
        if until:
            detail(f"keeping the branch until {until}")
            self._discarded.put_aside(preview, datetime.fromisoformat(until))
            note = f"app and image are gone; the branch is kept until {until}"
        if given_up:
            note = f"given up by force, {candidate_name(preview)} may still be there: {'; '.join(given_up)}"
        kept = {"until": until} if until else None
        return Advance(
            to=State.CLOSED,
            note=note,
            facts={"url": None, "keep_until": None, "kept": kept, "sleeping_since": None},
        )
