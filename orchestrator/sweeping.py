"""What is there and should not be: things without a preview, previews without a thing, time that is over.

Looks through the ledger and the diary, and removes what it found when it is told to. Never touches what is another
store's, nor what a live preview may need.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.controller import Controller
from orchestrator.errors import Busy, OrchestratorError
from orchestrator.lifecycle import Preview, State, Store
from orchestrator.lifetime import Lifetime
from orchestrator.resources import Kind, Ledger, Thing, Unseen
from orchestrator.verbs import failed_in

#: Where a preview's own things need not be there (yet, or any more).
_WITHOUT_THINGS = frozenset({State.BRANCHING, State.DISCARDING, State.CLOSED, State.PROMOTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """Something to be removed.

    Attributes:
        thing: what; None: a preview.
        preview: the preview to be discarded, or whose the thing was; None: nobody knows.
        why: in a few words.
    """

    thing: Thing | None
    preview: Preview | None
    why: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.thing.name if self.thing else (self.preview.name if self.preview else "")

    def to_json(self) -> dict[str, Any]:
        """As `preview sweep --json` shows it."""
        thing = self.thing
        return {
            "kind": thing.kind if thing else "preview",
            "name": self.name,
            "why": self.why,
            "preview": self.preview.name if self.preview else None,
            "preview_id": thing.owner if thing else (self.preview.id if self.preview else None),
            "created_at": thing.created_at.isoformat() if thing and thing.created_at else None,
            "size_bytes": thing.size_bytes if thing else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look found.

    Attributes:
        orphans: what a sweep removes.
        strangers: things with our marks that are another store's, with that store's mark; left alone.
        unseen: what could not be looked at.
    """

    orphans: tuple[Orphan, ...]
    strangers: tuple[Thing, ...]
    unseen: tuple[Unseen, ...]

    def to_json(self) -> dict[str, Any]:
        """As `preview sweep --json` shows it."""
        return {
            "orphans": [each.to_json() for each in self.orphans],
            "strangers": [
                {"kind": each.kind, "name": each.name, "store": each.store or None} for each in self.strangers
            ],
            "not_looked_at": [{"kind": each.kind, "why": each.why} for each in self.unseen],
        }


@dataclass(frozen=True, kw_only=True)
class Sweeping:
    """Looks and removes, for one project.

    Attributes:
        store: the diary.
        project: the project's key.
        ledger: where things are.
        lifetime: whose time is over.
        controller: discards previews.
        detail: told what is being removed.
    """

    store: Store
    project: str
    ledger: Ledger
    lifetime: Lifetime
    controller: Controller
    detail: Callable[[str], None]

    def sweep(self, *, of_stores: Collection[str] = (), yes: bool = False) -> dict[str, Any]:
        """Look, and with `yes` remove what was found; as `preview sweep --json` shows it."""
        found = self.look(of_stores=of_stores)
        failures = self.remove(found, self.detail) if yes else ()
        left = [{**orphan.to_json(), "error": why} for orphan, why in failures]
        return {**found.to_json(), "removed": yes, "left": left}

    def look(self, *, of_stores: Collection[str] = ()) -> Found:
        """What should not be there; removes nothing.

        Args:
            of_stores: marks of other stores that are lost for good, whose things are orphans therefore; ``unknown``
                stands for things without a mark.
        """
        # Things first: what a preview makes while we look has its row already when the rows are read.
        seen = self.ledger.all()
        rows = {each.id: each for each in self.store.live(closed=True)}
        live = [each for each in rows.values() if each.state is not State.CLOSED]
        ours = {self.store.mark, *of_stores}
        orphans, strangers = [], []
        now = min(datetime.now(UTC), self.store.now())  # a clock that jumped ends nothing that is kept
        expired = self.lifetime.expired()
        orphans += [
            Orphan(thing=None, preview=each, why=f"its time was over at {each.expires_at:%Y-%m-%d %H:%M} UTC")
            for each in expired
        ]
        for thing in seen.things:
            row = rows.get(thing.owner or "")
            if left := self.ledger.kind(thing.kind).leftover:
                orphans.append(Orphan(thing=thing, preview=row, why=left))
            elif row is None and thing.owner is not None and (thing.store or "unknown") not in ours:
                strangers.append(thing)
            elif why := self._why(thing, row, live, now):
                orphans.append(Orphan(thing=thing, preview=row, why=why))
        if not seen.unseen:
            owners = {thing.owner for thing in seen.things if not self.ledger.kind(thing.kind).leftover}
            orphans += [
                Orphan(thing=None, preview=each, why="nothing of it is there any more")
                for each in live
                if each.project == self.project
                and not each.shadow
                and each.id not in owners
                and each not in expired
                and "branch" in each.facts
                and each.state not in _WITHOUT_THINGS
                and failed_in(each) is not State.PROMOTING
            ]
        return Found(orphans=tuple(orphans), strangers=tuple(strangers), unseen=seen.unseen)

    def _why(self, thing: Thing, row: Preview | None, live: list[Preview], now: datetime) -> str | None:
        """Why a thing of ours should not be there; None when it may."""
        kind = self.ledger.kind(thing.kind)
        if thing.until is not None:
            over = thing.until <= now
            return f"it was kept until {thing.until:%Y-%m-%d %H:%M} UTC" if over else None
        if thing.owner is None:
            return self._left_in_main(kind, live)
        if row is None:
            return f"no preview has the id {thing.owner}"
        if row.state is State.CLOSED:
            return f"preview {row.name} is closed"
        if kind.passing and not row.state.working and self._rests(row):
            return f"left by a run that died; preview {row.name} is {row.state}"
        return None

    @staticmethod
    def _left_in_main(kind: Kind, live: list[Preview]) -> str | None:
        """A shared thing goes with its last user; a helper object in main, when no promotion will want it."""
        if not kind.lasts:
            return None
        begun = [each.name for each in live if State.PROMOTING in (each.state, failed_in(each))]
        return None if begun else "left by a promotion that stopped; none is unfinished"

    def _rests(self, preview: Preview) -> bool:
        """Whether nobody works on a preview at this moment."""
        try:
            with self.store.lease(preview.id):
                return True
        except Busy:
            return False

    def remove(self, found: Found, detail: Callable[[str], None]) -> tuple[tuple[Orphan, str], ...]:
        """Remove what was found, going on when something cannot be removed.

        Returns:
            What is left, with what was said.
        """
        failures = []
        for orphan in found.orphans:
            detail(f"removing {orphan.thing.kind if orphan.thing else 'preview'} {orphan.name}: {orphan.why}")
            try:
                if orphan.thing is not None:
                    self.ledger.remove(orphan.thing)
                elif orphan.preview is not None:
                    self._end(orphan.preview)
            except OrchestratorError as error:
                failures.append((orphan, error.message))
        return tuple(failures)

    def _end(self, preview: Preview) -> None:
        if self.lifetime.is_over(preview):
            self.lifetime.end(preview)
        else:
            self.controller.discard(preview.name)
