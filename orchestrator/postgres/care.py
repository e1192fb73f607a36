"""Care: how much an apply may ask of everybody else, and whom it may send away. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: Sessions that may be ended when they stand in a statement's way.
Sort = Literal["idle_in_transaction", "autovacuum", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """What is watched while a plan is applied where others work.

    Attributes:
        budget_ms: how long anybody may wait because of one of our statements, milliseconds; then it is cancelled
            and tried again. Does not count for statements whose hazards say that they block.
        terminate: which sorts of sessions are ended when they stand in the way; empty: nobody is.
        terminate_after_ms: how long they must have stood in it, milliseconds.
        expected: how long statements took in the rehearsal, milliseconds, by their SQL: how far one is that the server
            says nothing about.
    """

    budget_ms: int = 500
    terminate: frozenset[Sort] = frozenset()
    terminate_after_ms: int = 10_000
    expected: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Who waited because of one statement, over all its tries.

    Attributes:
        longest_ms: the longest wait that was seen, milliseconds.
        sessions: how many sessions waited.
    """

    longest_ms: float = 0.0
    sessions: int = 0
