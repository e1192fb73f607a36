"""Online: which tables are written again beside the traffic, and what stands in the way of that. Pure: no I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.migration import types
from orchestrator.migration.plan import Plan
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import Differences
from orchestrator.schema.names import LAST_PREFIX, Key
from orchestrator.schema.objects import Column, Constraint, Default, Index, Stated, Table, Trigger
from orchestrator.schema.trees import Tree

#: From how many bytes on a table is written beside the traffic when nothing else was said: about the size at which
#: writing it again under a lock is felt (some seconds on an ordinary machine).
LARGE_BYTES = 256 * 2**20

_FIRES_ON_UPDATE = re.compile(r"^CREATE (?:CONSTRAINT )?TRIGGER .*?\bUPDATE(?! OF\b).*? ON ", re.DOTALL)
#: Words that stand bare in an index's definition and may be a column's name too: exchanging names is a guess there.
_WORDS = frozenset(
    "btree hash gin gist brin spgist include nulls first last distinct asc desc unique key with check".split()  # noqa: SIM905
)
#: Dependants of a column that are moved, made again, or go by themselves.
_KNOWN = frozenset(
    {
        "view",
        "materialized view",
        "constraint",
        "index",
        "default",
        "trigger",
        "function",
        "policy",
        "statistics",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Online:
    """When a table is written again beside the traffic instead of under a lock.

    Attributes:
        mode: ``auto``: tables of at least ``large_bytes``; ``always``: every table with rows; ``never``; ``only``:
            the tables of ``columns``, as an earlier plan decided.
        large_bytes: for ``auto``.
        columns: for ``only``: names as in ``Plan.online``.
    """

    mode: Literal["auto", "always", "never", "only"] = "auto"
    large_bytes: int = LARGE_BYTES
    columns: frozenset[str] = frozenset()

    def wants(self, base: Snapshot, table: Key, columns: Iterable[Key]) -> bool:
        """Whether a table is to be written beside the traffic because of these columns."""
        if self.mode == "only":
            return any(key.name in self.columns for key in columns)
        size, _ = base.sizes.get(table, (0, 0))
        return self.mode != "never" and size >= (self.large_bytes if self.mode == "auto" else 1)


def as_in(plan: Plan) -> Online:
    """Decide as an earlier plan did, whatever the size of the tables is by now."""
    return Online(mode="only", columns=frozenset(plan.online))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What is done beside the traffic.

    Attributes:
        retyped: columns that change their type through a shadow, by table.
        moved: indexes, keys and checks over them, which are built over the shadow and move with it.
        added: columns that are filled before they come.
        notes: what is written again in place though it was to be done beside the traffic, and why.
    """

    retyped: Mapping[Key, tuple[Key, ...]] = field(default_factory=dict)
    moved: frozenset[Key] = frozenset()
    added: frozenset[Key] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[Key]:
        """Every column that changes through a shadow."""
        return frozenset(key for keys in self.retyped.values() for key in keys)

    @property
    def names(self) -> tuple[str, ...]:
        """Every column of both forms, by name: what ``Plan.online`` keeps."""
        return tuple(sorted(key.name for key in self.columns | self.added))


def decide(base: Snapshot, goal: Snapshot, found: Differences, policy: Online) -> Decided:
    """Look at every column whose change of type writes its table again.

    Args:
        base: with renames already done.
        goal: the goal.
        found: their differences.
        policy: what is wanted.
    """
    retyped: dict[Key, tuple[Key, ...]] = {}
    moved: set[Key] = set()
    notes: list[str] = []
    by_table: dict[Key, list[Key]] = {}
    for key in sorted(found.changed):
        if key.kind == "column" and key.parent in base.objects and _rewritten(base, goal, key):
            by_table.setdefault(key.parent, []).append(key)
    for table, columns in by_table.items():
        if not policy.wants(base, table, columns):
            continue
        members = _members(base, goal, columns)
        obstacle = table_obstacle(base, table, triggers=policy.mode == "auto") or _obstacle(
            base, goal, found, columns, members
        )
        if obstacle:
            names = ", ".join(key.path[-1] for key in columns)
            notes.append(
                f"{table.name} ({names}) is written again under a lock, not beside the traffic: {obstacle}"
            )
            continue
        retyped[table] = tuple(columns)
        moved |= members
    return Decided(retyped=retyped, moved=frozenset(moved), notes=tuple(notes))


def _rewritten(base: Snapshot, goal: Snapshot, key: Key) -> bool:
    before, after = base.objects[key], goal.objects[key]
    if not (isinstance(before, Column) and isinstance(after, Column)):
        return False
    return before.type != after.type and types.rewrites(before.type, after.type) and after.generated is None


def table_obstacle(base: Snapshot, table: Key, *, triggers: bool) -> str:
    """Why the rows of a table cannot be changed in batches without anybody noticing; empty when they can.

    Args:
        base: the base.
        table: the table.
        triggers: whether triggers that would fire for every row are an obstacle.
    """
    thing = base.objects[table]
    if not isinstance(thing, Table) or thing.partition_key or thing.parents or Tree(base).children(table):
        return "it is no ordinary table, but partitioned, a partition or in an inheritance tree"
    if thing.row_security_forced:
        return "its policies bind its owner too, so that rows may be hidden"
    for key in base.members(table):
        each = base.objects[key]
        if isinstance(each, Trigger) and each.enabled != "DISABLE":
            if key.path[-1].encode() > LAST_PREFIX.encode():
                return f"{key} would fire after the trigger that keeps the new column"
            if triggers and _FIRES_ON_UPDATE.match(each.definition):
                return f'{key} would fire for every row (online = "always" accepts that)'
        if isinstance(each, Stated) and key.kind == "rule":
            return f"{key} rewrites what is done to its rows"
    return ""


def _members(base: Snapshot, goal: Snapshot, columns: Iterable[Key]) -> frozenset[Key]:
    """Indexes, keys and checks over these columns that the goal has too."""
    users = {user for key in columns for user in base.users.get(key, ())}
    return frozenset(
        key
        for key in users
        if key in goal.objects
        and (
            isinstance(thing := base.objects[key], Index)
            or (isinstance(thing, Constraint) and thing.type != "foreign")
        )
    )


def _obstacle(  # noqa: PLR0911, PLR0912 - one reason each
    base: Snapshot, goal: Snapshot, found: Differences, columns: list[Key], members: frozenset[Key]
) -> str:
    settled = found.added | found.dropped | (found.changed - set(columns) - members)
    for key in columns:
        before, after = base.objects[key], goal.objects[key]
        assert isinstance(before, Column)  # noqa: S101 - _rewritten has looked
        assert isinstance(after, Column)  # noqa: S101
        if "." in before.type or "." in after.type:
            return f"{key} has a type that is not PostgreSQL's own"
        if before.not_null_more or after.not_null_more:
            return f"the NOT NULL of {key} is {before.not_null_more or after.not_null_more}"
        if before.generated is not None:
            return f"{key} is computed"
        if members and key.path[-1] in _WORDS:
            return f"the name of {key} is also a word of index definitions"
        if before.granted:
            return f"{key} has grants of its own, which a column in its place would lose"
        for user in base.users.get(key, ()):
            if user.kind == "column":
                return f"{user} is computed from it"
            if user.kind not in _KNOWN:
                return f"{user} stands on it"
        default = goal.objects.get(Key("default", key.path))
        if isinstance(default, Default) and set(goal.needs.get(default.key, ())) & found.dropped:
            return f"{default.key} stands on what goes"
    for key in sorted(members):
        old, new = base.objects[key], goal.objects[key]
        if {*base.needs.get(key, ()), *goal.needs.get(key, ())} & settled:
            return f"{key} stands on something else that changes"
        if isinstance(old, Index) and isinstance(new, Index):
            if not (old.valid and new.valid) or old.statistics or new.statistics:
                return f"{key} is invalid or has statistics targets of its own"
        elif isinstance(old, Constraint) and isinstance(new, Constraint):
            if old.type != new.type or old.type == "exclusion":
                return f"{key} cannot be built beside the traffic"
            if not (old.validated and new.validated):
                return f"{key} is NOT VALID"
    table = base.objects[columns[0].parent]
    if isinstance(table, Table) and (table.clustered_on or table.replica_identity.startswith("USING")):
        return "its replica identity or CLUSTER ON names an index"
    return ""
