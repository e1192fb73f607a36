"""The ledger: every kind of thing that is made for a preview, and with it how all are found and removed.

`discard` and `sweep` work from it, so that nothing can be made that they do not know. Decides nothing about when.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import OrchestratorError, StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.resources.branches import BRANCHES, DiscardedBranch, Endpoint, RestorePoint, Role
from orchestrator.resources.machine import ON_THIS_MACHINE, OfRuntime
from orchestrator.resources.main import HelperObject, SoftDrop
from orchestrator.resources.pictures import PictureFolder
from orchestrator.resources.thing import Kind, Thing, World

#: In the order in which they are removed: who uses something goes before it.
KINDS: tuple[type[Kind], ...] = (
    *ON_THIS_MACHINE,
    PictureFolder,
    *BRANCHES,
    Endpoint,
    Role,
    DiscardedBranch,
    RestorePoint,
    HelperObject,
    SoftDrop,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A kind that could not be looked at.

    Attributes:
        kind: its name.
        why: what was said.
    """

    kind: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look found.

    Attributes:
        things: all of it, in the order of removal.
        unseen: what was not looked at.
    """

    things: tuple[Thing, ...]
    unseen: tuple[Unseen, ...]


class Ledger:
    """The kinds, in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.kinds: tuple[Kind, ...] = tuple(make(world) for make in KINDS)
        self._by_name = {kind.name: kind for kind in self.kinds}

    def kind(self, name: str) -> Kind:
        """The kind of this name."""
        return self._by_name[name]

    def of(self, preview: Preview) -> Seen:
        """Everything that one preview has: parts of things too, and what lasts."""
        return self._look(self.kinds, preview)

    def all(self) -> Seen:
        """Everything of ours, whosesoever, but for parts of things that are there."""
        return self._look([kind for kind in self.kinds if not kind.part_of], None)

    def sized(self) -> Seen:
        """What of ours takes room that somebody counts, whosesoever; asks no database."""
        return self._look([kind for kind in self.kinds if kind.sized], None)

    def _look(self, kinds: "list[Kind] | tuple[Kind, ...]", preview: Preview | None) -> Seen:
        self._world.look_anew()
        things: list[Thing] = []
        unseen: list[Unseen] = []
        for kind in kinds:
            try:
                things += kind.find(preview)
            except OrchestratorError as error:
                unseen.append(Unseen(kind=kind.name, why=error.message))
        return Seen(things=tuple(things), unseen=tuple(unseen))

    def remove(self, thing: Thing) -> None:
        """Remove one thing.

        Raises:
            OrchestratorError: it cannot be removed.
        """
        self._by_name[thing.kind].remove(thing)

    def remove_all(
        self, preview: Preview, detail: Callable[[str], None], *, forced: bool, but: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Remove everything of one preview that does not last, and see that it is gone.

        Args:
            preview: whose.
            detail: told what is being done.
            forced: go on when a runtime cannot be looked at, or does not remove something.
            but: names of kinds that stay.

        Returns:
            What was given up by force, in words.

        Raises:
            StepFailed: something cannot be removed, or is still there.
        """
        given_up = []
        self._world.look_anew()
        for kind in self.kinds:
            if kind.lasts or kind.part_of or kind.name in but:
                continue
            try:
                self._remove_kind(kind, preview, detail)
            except OrchestratorError as error:
                # Only this machine can be given up: what a runtime may still hold costs nobody's data.
                if not isinstance(kind, OfRuntime):
                    raise
                if not forced:
                    way_out = f"without it for good: `preview discard {preview.name} --force`"
                    error.hint = f"{error.hint}; {way_out}".lstrip("; ")
                    raise
                given_up.append(f"{kind.name}: {error.message}")
        return tuple(given_up)

    def _remove_kind(self, kind: Kind, preview: Preview, detail: Callable[[str], None]) -> None:
        found = tuple(kind.find(preview))
        for thing in found:
            detail(f"removing {thing.kind} {thing.name}")
            kind.remove(thing)
        if not found:
            return
        self._world.look_anew()
        left = tuple(kind.find(preview))
        if left and not kind.may_stay:
            raise StepFailed(
                f"{left[0].kind} {left[0].name} is still there after it was removed", hint="try again"
            )
