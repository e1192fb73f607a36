"""discarding -> closed: undo everything; the row closes when all absence was observed.

The one step that touches several outside worlds, all through the ledger of what a preview may have.
"""

from collections.abc import Callable
from typing import Protocol

from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.steps.launch import candidate_name


class Belongings(Protocol):
    """Everything that a preview may have; see `orchestrator.resources`."""

    def remove_all(self, preview: Preview, detail: Callable[[str], None], *, forced: bool) -> tuple[str, ...]:
        """Remove it and see that it is gone; returns what was given up by force."""


class DiscardStep:
    """Removes all that the preview has, whether or not the row remembers it."""

    def __init__(self, belongings: Belongings) -> None:
        self._belongings = belongings

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Remove; what is not there is fine."""
        given_up = self._belongings.remove_all(preview, detail, forced=bool(preview.facts.get("forced")))
        note = "app, image and branch are gone"
        if given_up:
            note = f"given up by force, {candidate_name(preview)} may still be there: {'; '.join(given_up)}"
        return Advance(to=State.CLOSED, note=note, facts={"url": None})
