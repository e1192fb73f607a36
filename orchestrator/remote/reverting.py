"""The ways back of a team's server, in the shape that the command revert uses. Reaches nothing but the server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.remote.following import Teller, follow, patiently
from orchestrator.remote.wire import Wire, quoted


@dataclass(frozen=True, slots=True)
class _Told:
    """What the server said, as it said it."""

    value: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return dict(self.value)


class RemoteReverts:
    """See orchestrator.reverting.Reverts.

    Args:
        wire: to the server.
        observer: told what happens in the job.
    """

    def __init__(self, wire: Wire, observer: Teller) -> None:
        self._wire = wire
        self._observer = observer

    def choose(self, promotion_id: str | None) -> str | None:
        """Which is meant; the server knows the last one, and whether it can be taken back."""
        return promotion_id

    def look(self, promotion: str | None, *, to_restore_point: bool) -> _Told:
        """What a revert would do and lose."""
        return _Told(
            self._wire.get("/way-back", promotion=promotion, to_restore_point=to_restore_point or None)
        )

    def revert(self, outlook: _Told, *, wait: Callable[[str], bool] = lambda _holder: False) -> _Told:
        """Have done what was shown, and nothing else."""
        shown = outlook.value
        arguments = {
            "promotion": shown["promotion"],
            "digest": shown["digest"],
            "to_restore_point": shown["way"] == "restore_point",
        }
        patiently(lambda: follow(self._wire, "revert", shown["preview"], arguments, self._observer), wait)
        taken_back = self._wire.get(f"/promotions/{quoted(shown['promotion'])}")
        done = self._wire.get(f"/promotions/{quoted(taken_back['reverted_by'])}")
        return _Told({name: each for name, each in done.items() if name != "reverted_by"})
