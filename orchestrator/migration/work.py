"""The planner's workbench: what must be made, dropped, changed and rebuilt, seen by every recipe. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from orchestrator.migration.aside import Aside
from orchestrator.migration.keeping import Keeping
from orchestrator.migration.locks import LockMode
from orchestrator.migration.online import Decided
from orchestrator.migration.plan import Statement
from orchestrator.migration.probes import Probing, Today
from orchestrator.migration.step import Phase, Step, Token, gone, ready, released, slots
from orchestrator.migration.trees import Trees
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import Differences
from orchestrator.schema.names import MEMBERS, TYPES, Key
from orchestrator.schema.objects import Column, Constraint, Index, Object, Sequence, Stated, table_of
from orchestrator.schema.privileges import Compare
from orchestrator.schema.scale import scale
from orchestrator.schema.trees import Tree

#: How long to wait for a weak lock that nobody else waits behind, milliseconds (CONCURRENTLY waits for old
#: transactions; while it waits, readers and writers go on).
PATIENT_MS = 1_200_000

#: How long to wait for a lock that others would wait behind, milliseconds.
QUICK_LOCK_MS = 2_000

#: The longest that a quick statement under a strong lock may run, milliseconds.
QUICK_MS = 30_000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Work:
    """Everything that recipes decide from.

    Attributes:
        base: main's snapshot with the renames already done.
        goal: the goal's snapshot.
        found: how they differ.
        rebuilt: keys in both that are dropped and made again.
        hard: those of them that must be gone before a column changes its type.
        retyped: columns whose type or collation changes in place.
        reruled: domains whose rules and defaults go and come again with a function that they call.
        answers: by question id.
        today: the names that tables and columns have before any rename, for probes.
        bare: tables that are in circles: they are created, or go, without their defaults, checks and keys.
        trees: which tables leave and join others; base and goal are those between the leaving and the joining.
        adopted: constraints that take over an index that is there already, with that index.
        joins: what becomes a member of an extension, as ALTER EXTENSION names it.
        online: what is written again beside the traffic.
        aside: which tables step aside, because they must be made anew with their rows.
        privileges: how much of the goal's owners and grants counts.
        keeping: how drops are done.
    """

    base: Snapshot
    goal: Snapshot
    found: Differences
    rebuilt: frozenset[Key] = frozenset()
    hard: frozenset[Key] = frozenset()
    retyped: frozenset[Key] = frozenset()
    reruled: frozenset[Key] = frozenset()
    answers: Mapping[str, str] = field(default_factory=dict)
    today: Today = field(default_factory=Today)
    bare: frozenset[Key] = frozenset()
    trees: Trees = field(default_factory=Trees)
    adopted: Mapping[Key, Key] = field(default_factory=dict)
    joins: frozenset[str] = frozenset()
    online: Decided = field(default_factory=Decided)
    aside: Aside = field(default_factory=Aside)
    privileges: Compare = Compare.IGNORE
    keeping: Keeping = field(default_factory=Keeping)

    @cached_property
    def makes(self) -> frozenset[Key]:
        """What is created, new or again."""
        return self.found.added | self.rebuilt

    @cached_property
    def drops(self) -> frozenset[Key]:
        """What is dropped, for good or to be made again."""
        return self.found.dropped | self.rebuilt

    def again(self, key: Key) -> bool:
        """Whether something that is made now was there before: itself, or in a table that is made anew."""
        return (
            key in self.rebuilt or key in self.aside.moved or Key("table", key.path[:2]) in self.aside.moved
        )

    @cached_property
    def exchanged(self) -> frozenset[Key]:
        """Types that are dropped while a type of another kind takes their name."""
        added = {key.path for key in self.found.added if key.kind in TYPES}
        return frozenset(key for key in self.found.dropped if key.kind in TYPES and key.path in added)

    def before(self, key: Key, kind: type[T]) -> T:
        """The base's object."""
        thing = self.base.objects[key]
        assert isinstance(thing, kind), key  # noqa: S101 - a key's kind fixes its class
        return thing

    def after(self, key: Key, kind: type[T]) -> T:
        """The goal's object."""
        thing = self.goal.objects[key]
        assert isinstance(thing, kind), key  # noqa: S101 - a key's kind fixes its class
        return thing

    @cached_property
    def was(self) -> Tree:
        """Who is below whom in the base."""
        return Tree(self.base)

    @cached_property
    def will(self) -> Tree:
        """Who is below whom in the goal."""
        return Tree(self.goal)

    def comes_along(self, key: Key) -> bool:
        """Whether a new column of a table that stays is made by the statement that adds it above."""
        return not self.is_new(key.parent) and any(each in self.makes for each in self.will.above(key))

    def drops_only(self, column: Key) -> bool:
        """Whether tables below keep a column that is dropped above."""
        kept = (each for each in self.was.heirs(column) if each in self.goal.objects)
        return column not in self.rebuilt and any(self.was.falls_with_parent(each) for each in kept)

    def columns_on(self, key: Key) -> list[Key]:
        """Columns of tables that stay and have this type (or an array of it) before the plan."""
        return [
            each
            for each in self.base.users.get(key, ())
            if each.kind == "column" and each in self.goal.objects
        ]

    def is_new(self, table: Key) -> bool:
        """Whether the table does not exist before the plan: nobody can be waiting for it."""
        return table not in self.base.objects

    def locked(self, *tables: Key) -> tuple[str, ...]:
        """The names of those tables that exist before the plan, and of those below them."""
        found = {each for table in tables for each in (table, *self.was.below(table))}
        return tuple(sorted({table.name for table in found if not self.is_new(table)}))

    def has_rows(self, table: Key) -> bool:
        """Whether the table may hold rows; what was not measured may."""
        return self.base.sizes.get(table, (1, 0))[0] > 0

    def rows(self, table: Key) -> str:
        """About how many rows, for a sentence."""
        return scale(self.base.sizes.get(table, (0, 0)))

    def probing(self, table: Key) -> Probing:
        """Makes probes about a table, in today's names."""
        return Probing(base=self.base, today=self.today, table=table)

    def container(self, key: Key) -> Key | None:
        """What the base's object is dropped together with: its table or view, its column, its owner."""
        thing = self.base.objects[key]
        if key in self.shells:
            return self.shells[key]
        owner = table_of(thing)
        if self._apart(key, thing):
            return None
        if owner is None or owner not in self.drops:
            above = self._above(key)
            if above is not None:
                return above
        if key.kind == "default" and Key("column", key.path) in self.drops:
            return Key("column", key.path)
        if isinstance(thing, Sequence) and thing.owned_by:
            column = Key("column", thing.owned_by)
            table = Key("table", thing.owned_by[:2])
            return table if table in self.drops else column
        if owner is not None and owner not in self.base.objects:
            owner = Key("view", owner.path)
        return owner

    def _apart(self, key: Key, thing: Object) -> bool:
        """Whether it must go before its table: a foreign key to another one, what holds a circle together."""
        table = table_of(thing)
        if isinstance(thing, Constraint) and thing.references not in {(), key.path[:2]}:
            return table in self.bare or self.was.is_partitioned(key.parent)
        if table not in self.bare or (key.kind == "column" and self.was.falls_with_parent(key)):
            return False
        needed = (each for each in self.base.needs.get(key, ()) if each in self.drops and each != table)
        return any(table_of(self.base.objects[each]) != table for each in needed)

    def _above(self, key: Key) -> Key | None:
        """What is dropped above and takes this along: the column it is inherited from, the index it is a part of."""
        if key.kind == "column" and self.was.falls_with_parent(key):
            above = [each for each in self.was.above(key) if each in self.drops]
            return above[0] if above and not self.drops_only(above[0]) else None
        whole = self.was.whole(key)
        return whole if whole in self.drops else None

    def goes_along(self, key: Key) -> bool:
        """Whether dropping its container drops it too, so that it needs no statement."""
        container = self.container(key)
        return container is not None and container in self.drops

    def falls_with(self, container: Key) -> list[Key]:
        """Everything in the base that has no statement of its own because the container takes it along."""
        if container.kind in {"table", "view", "materialized view"}:
            inner = [*self.base.members(container), *self.owned.get(container.path[:2], ())]
        elif container.kind == "column":
            inner = [Key("default", container.path), *self.owned.get(container.path, ())]
            inner += self.was.heirs(container)
        elif container.kind in {"index", "constraint"}:
            inner = self.was.parts(container)
        elif container.kind == "base type":
            inner = [each for each, owner in self.shells.items() if owner == container]
        else:
            return []
        return [key for key in inner if key in self.base.objects and self.container(key) == container]

    @cached_property
    def shells(self) -> Mapping[Key, Key]:
        """The base type that a shell, or a function that stands on the shell, goes with."""
        found: dict[Key, Key] = {}
        for key in self.base.of_kind("base type"):
            shell = Key("shell type", key.path)
            found[shell] = key
            found |= {each: key for each in self.base.needs[key] if shell in self.base.needs.get(each, ())}
        return found

    @cached_property
    def owned(self) -> Mapping[tuple[str, ...], list[Key]]:
        """Sequences by the column, and by the table, that owns them."""
        return _owned(self.base)

    def lent(self, whole: Key) -> bool:
        """Whether an index above others is itself to be a part of one that is there.

        It must be there when its table joins: PostgreSQL would make another.
        """
        above = self.trees.parts.get(whole)
        return above is not None and (above not in self.makes or self.lent(above))

    def heirs(self, key: Key) -> list[Key]:
        """Columns, or defaults, of tables below that a statement about this one also makes or changes."""
        if key.kind not in {"column", "default"}:
            return []
        return [each for each in self.will.heirs(key) if not self.is_new(Key("table", each.path[:2]))]

    @cached_property
    def stood_on(self) -> frozenset[Key]:
        """What things that were set aside earlier stand on."""
        return frozenset(needed for each in self.base.hidden for needed in each.needs)

    # -- tokens ------------------------------------------------------------------------------------------

    def making(self, *keys: Key) -> tuple[frozenset[Token], frozenset[Token]]:
        """What creating these objects gives and wants."""
        heirs = [each for key in keys for each in self.heirs(key)]
        gives = {ready(key) for key in (*keys, *heirs)}
        wants: set[Token] = {ready(needed) for key in keys for needed in self.goal.needs.get(key, ())}
        for key in heirs:
            wants |= slots_of(self.goal, key)
        for key in keys:
            wants |= slots_of(self.goal, key) | self._copies(self.goal, self.will, key)
            if key.kind not in MEMBERS:
                wants.add(ready(key.parent))
        return frozenset(gives), frozenset(wants - gives)

    def dropping(self, key: Key) -> tuple[frozenset[Token], frozenset[Token]]:
        """What dropping an object, and all that goes with it, gives and wants."""
        keys = [key]
        for each in keys:
            keys.extend(self.falls_with(each))
        gives: set[Token] = set()
        wants: set[Token] = set()
        for each in keys:
            gives |= {gone(each), *slots_of(self.base, each), *self._copies(self.base, self.was, each)}
            gives |= {released(needed) for needed in self.base.needs.get(each, ())}
            wants.add(released(each))
        # What falls together releases itself.
        inner = {released(each) for each in keys}
        outside = {
            released(each)
            for each in keys
            if each in self.stood_on or any(user not in keys for user in self.base.users.get(each, ()))
        }
        return frozenset(gives - inner), frozenset(wants & outside)

    def changing(self, key: Key) -> tuple[frozenset[Token], frozenset[Token]]:
        """What altering an object in place gives and wants."""
        before, after = set(self.base.needs.get(key, ())), set(self.goal.needs.get(key, ()))
        # A type that is made again is another type, though its name is the same.
        again = self.rebuilt if key in self.retyped else frozenset()
        left = {each for each in before if each not in after or each in again}
        heirs = self.heirs(key)
        for heir in heirs:
            left |= set(self.base.needs.get(heir, ())) - set(self.goal.needs.get(heir, ()))
        gives: set[Token] = {*map(ready, (key, *heirs)), *(released(needed) for needed in left)}
        return frozenset(gives), frozenset(ready(needed) for needed in after)

    def _copies(self, snapshot: Snapshot, tree: Tree, key: Key) -> frozenset[Token]:
        """The names that the copies of a check occupy in the tables below."""
        thing = snapshot.objects.get(key)
        if not isinstance(thing, Constraint) or thing.type not in {"check", "foreign"}:
            return frozenset()
        return frozenset(
            token
            for table in tree.below(key.parent)
            for token in slots(Key("constraint", (*table.path, key.path[-1])))
        )

    # -- steps -------------------------------------------------------------------------------------------

    def unready(self, key: Key) -> bool:
        """Whether data cannot be asked about it yet: it needs what is not there, or not yet in its new form."""
        changed = {each for each in self.found.changed if each.kind != "column"}
        moving = self.makes | self.retyped | changed
        needed = [each for each in self.goal.needs.get(key, ()) if each.kind != "constraint"]
        return any(each in moving or each not in self.base.objects for each in needed)

    def step(
        self,
        key: Key,
        phase: Phase,
        sql: str,
        why: str,
        tokens: tuple[frozenset[Token], frozenset[Token]] = (frozenset(), frozenset()),
        *,
        tables: Iterable[Key] = (),
        lock: LockMode = LockMode.NONE,
        heavy: bool = False,
        gives: Iterable[Token] = (),
        wants: Iterable[Token] = (),
        **more: Any,
    ) -> Step:
        """A step whose lock is NONE when none of its tables exists before the plan.

        ``heavy`` statements work on rows, so they have no time limit; others under a strong lock must be quick.
        """
        on = self.locked(*tables)
        held = lock if on else LockMode.NONE
        quick = held.blocks_writes and not heavy
        names = (
            "hazards",
            "probes",
            "transactional",
            "repair",
            "lock_timeout_ms",
            "by_blocks",
            "keeps",
            "forgets",
        )
        extra = {name: more.pop(name) for name in names if name in more}
        statement = Statement(
            sql=sql,
            why=why,
            lock=held,
            lock_on=on if held is not LockMode.NONE else (),
            statement_timeout_ms=QUICK_MS if quick else 0,
            **extra,
        )
        return Step(
            statement=statement,
            key=key,
            phase=phase,
            gives=tokens[0] | frozenset(gives),
            wants=tokens[1] | frozenset(wants),
            **more,
        )


def slots_of(snapshot: Snapshot, key: Key) -> frozenset[Token]:
    """What an object occupies: its names, and of primary keys a table has room for one."""
    thing = snapshot.objects.get(key)
    if isinstance(thing, Stated):
        more: set[Token] = {("free", "type", (key.path[0], name)) for name in thing.more_names}
        return slots(key) | more
    if not isinstance(thing, Constraint):
        return slots(key)
    only: set[Token] = {("free", "primary key", key.path[:2])} if thing.type == "primary" else set()
    return slots(key, has_index=thing.type in {"primary", "unique", "exclusion"}) | only


def _owned(base: Snapshot) -> dict[tuple[str, ...], list[Key]]:
    found: dict[tuple[str, ...], list[Key]] = {}
    for key in base.of_kind("sequence"):
        thing = base.objects[key]
        if isinstance(thing, Sequence) and thing.owned_by:
            found.setdefault(thing.owned_by, []).append(key)
            found.setdefault(thing.owned_by[:2], []).append(key)
    return found


def column_of(snapshot: Snapshot, table: tuple[str, ...], name: str) -> Column | None:
    """A column by table and name."""
    thing = snapshot.objects.get(Key("column", (*table, name)))
    return thing if isinstance(thing, Column) else None


def table_key(thing: Index | Constraint) -> Key:
    """The table of an index or constraint."""
    return Key(thing.on, thing.table) if isinstance(thing, Index) else Key("table", thing.key.path[:2])
