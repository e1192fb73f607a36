"""The two ways back from a promotion behind one door. Touches nothing itself."""

from collections.abc import Callable
from typing import Any

from orchestrator.lifecycle import Promotion
from orchestrator.steps.revert import Outlook, ReversePlans
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

    def run(self, outlook: Outlook, revert: Promotion, detail: Say) -> dict[str, Any]:
        """Do it; returns the proof."""
        if outlook.way == "restore_point":
            return self._point.run(outlook, revert, detail)
        return self._reverse.run(outlook, revert, detail)
