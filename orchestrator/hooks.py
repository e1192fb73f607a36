"""What the controller asks of the rooms that steps live in, as values and protocols. Does nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from orchestrator.lifecycle import Preview, State


class Freshness(Protocol):
    """Tells why a ready preview is no longer what `up` would make now."""

    def stale(self, preview: Preview) -> tuple[State, str] | None:
        """The state to go back to and the reason, or None when all is as it should be."""

    def goal(self, preview: Preview) -> str:
        """The goal's fingerprint as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a controller asks of the rooms that steps live in.

    Attributes:
        prepare: called when a preview is about to be worked on: the image build starts beside everything else.
        freshness: see Freshness.
        withdraw: called when a preview's branch is about to be replaced: its app is stopped.
        runtime_kind: which runtime a new preview is begun on (asks the machine once).
        under_way: who changes main at this moment, in words; empty when nobody does.
        one_port: whether every candidate must listen on the same port, so that two cannot be up at once.
        admit: told of every live preview before a new one is made; raises when one more is too many.
        measured: called when a preview has become ready: what it takes and costs is looked at.
        lives_until: when a preview that is brought up now expires; None: never.
        keep_discarded: how long the branch of a discarded preview is kept.
    """

    prepare: Callable[[Preview], None]
    freshness: Freshness
    withdraw: Callable[[Preview], None]
    runtime_kind: Callable[[], str]
    under_way: Callable[[], str] = lambda: ""
    one_port: bool = False
    admit: Callable[[tuple[Preview, ...]], None] = lambda _live: None
    measured: Callable[[Preview], None] = lambda _preview: None
    lives_until: Callable[[], datetime | None] = lambda: None
    keep_discarded: timedelta = timedelta(0)
