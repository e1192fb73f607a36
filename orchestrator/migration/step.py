"""A step: a statement that has no place yet, with what must come before and after it. Pure: no I/O of any kind."""

from dataclasses import dataclass
from enum import IntEnum

from orchestrator.migration.plan import Statement
from orchestrator.schema.names import TYPES, Key

#: What one step gives and another wants: every giver of a token runs before everyone who wants it.
Token = tuple[str, Key] | tuple[str, str, tuple[str, ...]]


#: Given when every rename is done: all other statements use the new names.
RENAMED: Token = ("all", "renamed", ())


class Phase(IntEnum):
    """When a step runs if its tokens leave a choice: what adds comes early, what drops comes last."""

    REPAIR = 0
    RENAME = 1
    ADD_VALUE = 2
    CREATE = 3
    TAKE_DOWN = 4
    CHANGE = 5
    ATTACH = 6
    BUILD = 7
    VALIDATE = 8
    FINISH = 9
    DROP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A statement and its place in the order.

    Attributes:
        statement: what is done; its ``group`` is set when the order is known.
        key: the object it is about.
        phase: when it runs if there is a choice.
        gives: tokens that hold once it has run.
        wants: tokens that must hold before it runs.
        hopes: tokens that had better hold before; given up where they would make a circle.
        alone: it must be a transaction of its own (a long scan under a weak lock).
        commits: what it does can be used only after a commit (a new enum label).
    """

    statement: Statement
    key: Key
    phase: Phase
    gives: frozenset[Token] = frozenset()
    wants: frozenset[Token] = frozenset()
    hopes: frozenset[Token] = frozenset()
    alone: bool = False
    commits: bool = False


def ready(key: Key) -> Token:
    """The object is as the goal has it."""
    return ("ready", key)


def released(key: Key) -> Token:
    """Nobody who has to let go of the object uses it any more."""
    return ("released", key)


def gone(key: Key) -> Token:
    """The base's object is no longer there."""
    return ("gone", key)


_RELATIONS = frozenset(
    {"table", "view", "materialized view", "sequence", "index", "foreign table", "composite type"}
)
_TYPES = frozenset({"table", "view", "materialized view", "foreign table", "shell type"}) | TYPES
_ROUTINES = frozenset({"function", "aggregate"})


def slots(key: Key, *, has_index: bool = False) -> frozenset[Token]:
    """The names that an object occupies: relations, types and so on each have their own space of names.

    Args:
        key: the object.
        has_index: a constraint that owns an index occupies that name among the relations of its schema.
    """
    found: set[Token] = {("free", key.kind, key.path)}
    if key.kind in _RELATIONS:
        found.add(("free", "relation", key.path))
    if key.kind in _TYPES:
        found.add(("free", "type", key.path))
    if key.kind in _ROUTINES:
        found.add(("free", "routine", key.path))
    if has_index:
        found.add(("free", "relation", (key.path[0], key.path[-1])))
    return frozenset(found)
