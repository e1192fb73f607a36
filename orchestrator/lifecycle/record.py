"""What is remembered of a preview and of what happened to it: values only. Never reads or writes a database."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from orchestrator.lifecycle.states import State, Wanted

_TIMES = ("created_at", "updated_at", "expires_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One row of the diary.

    Attributes:
        id: eight hexadecimal characters; every name of a thing that the preview owns is derived from it.
        name: what people call it; unique among previews that are not closed.
        project: which Neon project, as ``where/project-id``.
        wanted: what was last asked for.
        state: what is reached.
        facts: what the steps remembered, JSON; no secret is ever among them.
        error: the last failure (``message``, ``hint``, ``kind``, ``state``), or None.
        created_by: who asked for it.
        created_at, updated_at, expires_at: UTC; expires_at is None when it lives until it is discarded.
        shadow: another row is the preview of this name: this one is to take its place, or had it.
    """

    id: str
    name: str
    project: str
    wanted: Wanted
    state: State
    facts: Mapping[str, Any]
    error: Mapping[str, Any] | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    shadow: bool = False

    @property
    def slug(self) -> str:
        """The derived part of every name: ``NAME-ID``."""
        return f"{self.name}-{self.id}"

    def to_json(self) -> dict[str, Any]:
        """All attributes by name; times in RFC 3339."""
        value = {each.name: getattr(self, each.name) for each in fields(self)}
        times = {name: at.isoformat() if (at := value[name]) else None for name in _TIMES}
        return {
            **value,
            **times,
            "wanted": self.wanted.value,
            "state": self.state.value,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Preview":
        """The reverse of to_json; what it does not know is left out."""
        known = {each.name: value[each.name] for each in fields(cls) if each.name in value}
        times = {name: datetime.fromisoformat(at) if (at := value.get(name)) else None for name in _TIMES}
        return cls(**{**known, **times, "wanted": Wanted(value["wanted"]), "state": State(value["state"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that happened; written once, never changed afterwards.

    Attributes:
        at: UTC.
        who: the person and machine that did it, ``user@host``.
        kind: what, in one word.
        note: one line for a person.
        milliseconds: how long it took, or None.
        detail: JSON.
    """

    at: datetime
    who: str
    kind: str
    note: str
    milliseconds: float | None
    detail: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All attributes by name; ``at`` in RFC 3339."""
        value = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**value, "at": self.at.isoformat(), "detail": dict(self.detail)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Happened):
    """Something that happened to a preview, written in the transaction that changed its row.

    Attributes:
        kind: ``requested``, ``answered``, ``step``, ``failed``, ``approved``, ``refused``, ...
        state: the state after it.
    """

    state: State

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Event":
        """The reverse of to_json."""
        known = {each.name: value[each.name] for each in fields(cls)}
        return cls(**{**known, "at": datetime.fromisoformat(value["at"]), "state": State(value["state"])})
