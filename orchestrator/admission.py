"""Whether one more preview may be made: counts, disk, cost. Refuses before anything is made; changes nothing."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.lifecycle import Preview
from orchestrator.sections import LimitsSection, parse_size
from orchestrator.usage import Usage

_HINT = "`preview discard NAME` and `preview sweep` make room; the limits are in [limits] of preview.toml"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The limits of one project.

    Attributes:
        limits: what the settings say.
        project: the project's key.
        usage: what previews take and cost.
        home: on whose disk it is.
        who: asked when somebody wants one more: the person, without the machine.
    """

    limits: LimitsSection
    project: str
    usage: Usage
    home: Path
    who: Callable[[], str]

    def admit(self, live: tuple[Preview, ...]) -> None:
        """Let one more preview be made.

        Raises:
            Refused: says which limit, how much it allows and how much there is.
        """
        mine = [each for each in live if each.project == self.project]
        limits = self.limits
        if limits.previews is not None and len(mine) >= limits.previews:
            raise Refused(
                f"{len(mine)} previews live, and limits.previews allows {limits.previews}", hint=_HINT
            )
        person = _person(self.who())
        theirs = [each for each in mine if _person(each.created_by) == person]
        if limits.per_person is not None and len(theirs) >= limits.per_person:
            raise Refused(
                f"{len(theirs)} previews of {person} live, and limits.per_person allows {limits.per_person}",
                hint=_HINT,
            )
        self._disk()
        self._cost(mine)

    def _disk(self) -> None:
        least = parse_size(self.limits.free_disk) if self.limits.free_disk else 0
        if least and (free := shutil.disk_usage(_existing(self.home)).free) < least:
            raise Refused(
                f"{free / 2**30:.1f} GiB are free where {self.home} is; limits.free_disk wants {self.limits.free_disk}",
                hint=_HINT,
            )
        if self.limits.disk is None:
            return
        seen = self.usage.ledger.sized()
        taken = sum(each.size_bytes or 0 for each in seen.things if each.owner)
        if taken >= parse_size(self.limits.disk):
            raise Refused(
                f"previews take {taken / 2**30:.1f} GiB, and limits.disk allows {self.limits.disk}",
                hint=_HINT,
            )

    def _cost(self, mine: list[Preview]) -> None:
        limits = self.limits
        if limits.cost is None:
            return
        costs = [usage["cost"] for usage in self.usage.look(mine).values()]
        if (spent := sum(cost or 0.0 for cost in costs)) >= limits.cost:
            raise Refused(
                f"live previews have cost {spent:.2f}, and limits.cost allows {limits.cost:.2f}", hint=_HINT
            )


def _person(who: str) -> str:
    """The person of ``user@host``: the same on another machine."""
    return who.partition("@")[0]


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
