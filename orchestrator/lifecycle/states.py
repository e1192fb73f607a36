"""The states of a preview and how one follows another, as data. Does nothing itself.

branching ─> migrating ─> launching ─> checking ─> ready ─> promoting ─> promoted
    ^            │ ^                                 │          │            │
    │            v │ answer                          │          v            v
    │          waiting                               └──> discarding ─────> closed
    └─ a working state that fails rests in `failed`, remembers where, and `up` or `promote` goes on there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """What a preview has reached: working states name the step that runs next, the others rest."""

    BRANCHING = "branching"
    MIGRATING = "migrating"
    LAUNCHING = "launching"
    CHECKING = "checking"
    PROMOTING = "promoting"
    DISCARDING = "discarding"
    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"
    PROMOTED = "promoted"
    CLOSED = "closed"

    @property
    def working(self) -> bool:
        """Whether the reconciler has something to do."""
        return self in WORKING


class Wanted(StrEnum):
    """What a person last asked for; the reconciler moves the reached state towards it."""

    READY = "ready"
    PROMOTED = "promoted"
    CLOSED = "closed"


WORKING = frozenset(
    {State.BRANCHING, State.MIGRATING, State.LAUNCHING, State.CHECKING, State.PROMOTING, State.DISCARDING}
)

#: state -> the states that may follow it. `store.record` refuses anything else.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.BRANCHING: frozenset({State.MIGRATING, State.FAILED, State.DISCARDING}),
    State.MIGRATING: frozenset(
        {State.LAUNCHING, State.WAITING, State.BRANCHING, State.FAILED, State.DISCARDING}
    ),
    State.LAUNCHING: frozenset({State.CHECKING, State.BRANCHING, State.FAILED, State.DISCARDING}),
    State.CHECKING: frozenset({State.READY, State.FAILED, State.DISCARDING}),
    State.WAITING: frozenset({State.MIGRATING, State.BRANCHING, State.DISCARDING}),
    State.READY: frozenset({State.PROMOTING, State.BRANCHING, State.LAUNCHING, State.DISCARDING}),
    State.PROMOTING: frozenset({State.PROMOTED, State.READY, State.FAILED}),
    State.PROMOTED: frozenset({State.DISCARDING}),
    # Ready: its promotion stopped half-way and was taken back.
    State.FAILED: frozenset({*WORKING, State.WAITING, State.READY}),
    State.DISCARDING: frozenset({State.CLOSED, State.FAILED}),
    State.CLOSED: frozenset({State.LAUNCHING}),  # restored, while its branch is kept
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """A step is done; the next state follows at once.

    Attributes:
        to: the state that follows.
        note: one short line for a person.
        facts: JSON values to remember, merged into the preview's facts (None removes a key).
    """

    to: State
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Nothing more can be done without a person; the same fields as Advance, `to` is a resting state."""

    to: State
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Next = Advance | Rest
