"""What a thing and a kind of thing are, and where all of them are looked for. Finds and removes nothing itself."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from neon_client.models import Branch
from orchestrator.lifecycle import Preview
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject
from preview.belongings import Belonging
from preview.runtime import Runtime

#: Every derived name ends in the preview's id, some with a word more: ``preview/pr-1-0123abcd-goal``.
_OWNER = re.compile(r".*-([0-9a-f]{8})(?:-[a-z0-9-]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """Something that a preview made, or that was made on its account.

    Attributes:
        kind: the name of its kind in the ledger.
        name: what it is called where it is.
        key: by what its kind removes it.
        owner: the id of the preview that it was made for; None: it is shared.
        store: the mark of the diary that the preview is written in; empty where it carries none.
        created_at: UTC; None where nobody knows.
        size_bytes: on disk; None where nobody counted.
        compute_seconds: what the counter of its compute says, in seconds of compute units; None where it has none.
        until: UTC; it is kept on purpose until then, though its preview is closed.
        note: what else a person may want to know, in a few words.
    """

    kind: str
    name: str
    key: str
    owner: str | None
    store: str = ""
    created_at: datetime | None = None
    size_bytes: int | None = None
    compute_seconds: float | None = None
    until: datetime | None = None
    note: str = ""


class Kind(ABC):
    """A kind of thing: how all of it is found, and how one is removed.

    Attributes:
        name: a few words, singular: ``branch``.
        says: what it is for, one line.
        made_in: the places in the code that make one, ``module:function``; a test compares them with the code.
        lasts: whether it stays when its preview is discarded (a restore point does), and a sweep ends it.
        may_stay: whether it is left alone while somebody else uses it.
        passing: whether it lives for minutes only: one of a preview at rest was left by a run that died.
        part_of: the kind with which it goes by itself; empty: none.
        sized: whether somebody counts what one takes on disk.
        runtime: the runtime that makes it; empty: none does.
        leftover: why one may go whosesoever it was: only what nobody holds any more is found; empty: it is not so.
    """

    name: ClassVar[str]
    says: ClassVar[str]
    made_in: ClassVar[tuple[str, ...]] = ()
    lasts: ClassVar[bool] = False
    may_stay: ClassVar[bool] = False
    passing: ClassVar[bool] = False
    part_of: ClassVar[str] = ""
    sized: ClassVar[bool] = False
    runtime: ClassVar[str] = ""
    leftover: ClassVar[str] = ""

    def __init__(self, world: "World") -> None:
        self._world = world

    @abstractmethod
    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """Those of one preview; None: all that are ours.

        Raises:
            OrchestratorError: where they are cannot be looked at.
        """

    @abstractmethod
    def remove(self, thing: Thing) -> None:
        """Remove one; absent is fine.

        Raises:
            OrchestratorError: it cannot be removed.
        """


@dataclass(kw_only=True)
class World:
    """Where things are: the project on Neon, the runtimes of this machine, its folder.

    Attributes:
        project: the Neon project.
        open_runtime: a runtime by its kind.
        home: $PREVIEW_HOME.
    """

    project: NeonProject
    open_runtime: Callable[[str], Runtime]
    home: Path
    _branches: dict[str, tuple[Branch, ...]] | None = None
    _belongings: dict[str, tuple[Belonging, ...]] | None = None

    def look_anew(self) -> None:
        """Forget what was seen."""
        self._branches = None
        self._belongings = None

    def branches(self, preview: Preview | None) -> tuple[Branch, ...]:
        """The project's branches that may be one preview's, or all; asked once until `look_anew`."""
        key = preview.id if preview else ""
        if self._branches is None:
            self._branches = {}
        if key not in self._branches:
            with translating("looking for branches"):
                self._branches[key] = self.project.neon.branches(self.project.id, key or None)
        return self._branches[key]

    def belongings(self, kind: str) -> tuple[Belonging, ...]:
        """What a runtime has on this machine; asked once until `look_anew`."""
        if self._belongings is None:
            self._belongings = {}
        if kind not in self._belongings:
            with translating(f"looking at what the {kind} runtime has"):
                self._belongings[kind] = self.open_runtime(kind).belongings()
        return self._belongings[kind]


def owner_in(name: str) -> str | None:
    """The preview's id that a derived name holds; None when it holds none."""
    found = _OWNER.fullmatch(name)
    return found[1] if found else None
