"""The two ways back from a promotion behind one door. Touches nothing itself."""

from collections.abc import Callable
from typing import Any

from orchestrator.lifecycle import Promotion
from orchestrator.steps.outlook import Outlook
from orchestrator.steps.revert import ReversePlans
from orchestrator.steps.to_restore_point import RestorePointWay

Say = Callable[[str], None]


class Ways:
    """By a reverse plan, which keeps later writes, or by the restore point, which loses them."""

    def __init__(self, reverse: ReversePlans, point: RestorePointWay) -> None:
        self._reverse = reverse
        self._point = point

    def look(self, promotion: Promotion, revert: Promotion | None, way: str, detail: Say) -> Outlook:
        """What it would do and lose; changes nothing."""
        if way == "restore_point":
            return self._point.look(promotion, detail)
        return self._reverse.look(promotion, revert, detail)

    def run(
        self, outlook: Outlook, revert: Promotion, detail: Say, ended: Callable[[], None]
    ) -> dict[str, Any]:
        """Do it, and write down with its end what else ends with it; returns the proof."""
        way = self._point if outlook.way == "restore_point" else self._reverse
        return way.run(outlook, revert, detail, ended)
