"""The right to move one preview. Pure: no I/O of any kind."""

from dataclasses import dataclass

from orchestrator.errors import OrchestratorError


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to move one preview; void when the session that took it ends, or when somebody else has it.

    Attributes:
        preview_id: whose.
        token: written into the row; every later write asks for it (fencing).
    """

    preview_id: str
    token: str


class LeaseLost(OrchestratorError):
    """Another process took over this preview; what we were about to write was not written."""
