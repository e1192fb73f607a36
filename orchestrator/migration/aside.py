"""Tables that must be made anew with their rows: the base as it is once the old ones stepped aside. Pure: no I/O.

What a table is partitioned by cannot be changed. The old table moves to a schema of a helper's name, with its indexes
and its own sequences, so that every name is free; a new one takes its place and its rows; then the old one goes. All of
that is one transaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.migration.helpers import helper_name
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Column, Sequence, Table
from orchestrator.schema.renames import Renames, renamed
from orchestrator.schema.trees import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Which tables step aside.

    Attributes:
        moved: the key of a table to the one that it has in the helper's schema.
        roots: those whose rows are copied, with those of the partitions that are still below them.
        owned: sequences that stay, and that a column of such a table owns.
        emptied: tables that go while their rows stay in the new table: the old ones, and their partitions.
    """

    moved: Mapping[Key, Key] = field(default_factory=dict)
    roots: tuple[Key, ...] = ()
    owned: tuple[Key, ...] = ()
    emptied: frozenset[Key] = frozenset()

    def place(self, key: Key) -> Key:
        """Where a table is after it stepped aside."""
        return self.moved.get(key, key)

    @property
    def schemas(self) -> tuple[str, ...]:
        """The helpers' schemas."""
        return tuple(sorted({each.path[0] for each in self.moved.values()}))


def stepping_aside(base: Snapshot, goal: Snapshot) -> tuple[Snapshot, Aside]:
    """The base after the tables stepped aside whose rows must be copied, and which these are."""
    was, will = Tree(base), Tree(goal)
    roots = [key for key in base.of_kind("table") if _made_anew(base, goal, key)]
    under = {each for root in roots for each in was.below(root) if was.is_partitioned(root)}
    roots = [key for key in roots if key not in under]
    if not roots:
        return base, Aside()
    tables = [*roots, *sorted(each for root in roots for each in _left_below(was, will, root, root))]
    moved = {
        key: Key("table", (helper_name("aside", Key("schema", key.path[:1])), key.path[1])) for key in tables
    }
    keys, owned = dict(moved), []
    for table in tables:
        place = moved[table].path[0]
        keys |= {
            key: Key("index", (place, key.path[1])) for key in base.members(table) if key.kind == "index"
        }
        for key in base.of_kind("sequence"):
            thing = base.objects[key]
            if isinstance(thing, Sequence) and thing.owned_by[:2] == table.path:
                if key in goal.objects:
                    owned.append(key)
                else:
                    keys[key] = Key("sequence", (place, key.path[1]))
    objects = dict(base.objects)
    for key in owned:
        objects[key] = replace(base.objects[key], owned_by=())  # type: ignore[call-arg]
    now = renamed(replace(base, objects=objects), Renames(keys=keys))
    # The new tables get the owner and the grants that the old ones had.
    now = replace(now, privileges=base.privileges)
    return now, Aside(moved=moved, roots=tuple(roots), owned=tuple(owned), emptied=frozenset(moved.values()))


def _made_anew(base: Snapshot, goal: Snapshot, key: Key) -> bool:
    before, after = base.objects[key], goal.objects.get(key)
    return (
        isinstance(before, Table) and isinstance(after, Table) and before.partition_key != after.partition_key
    )


def _left_below(was: Tree, will: Tree, root: Key, table: Key) -> Iterator[Key]:
    """Partitions, all the way down, that go or are made anew: they step aside too, with the names they hold."""
    if was.is_partitioned(table):
        for each in was.children(table):
            if each not in will.snapshot.objects or each in will.below(root):
                yield each
                yield from _left_below(was, will, root, each)


def refused(base: Snapshot, goal: Snapshot, aside: Aside) -> list[str]:
    """What makes it impossible to make a table anew without losing anything.

    Args:
        base: after the tables stepped aside.
        goal: the goal.
        aside: which these are.
    """
    said = []
    for key, place in sorted(aside.moved.items()):
        again = f"{key} must be made anew to be partitioned in another way"
        others = [
            each for each in base.users.get(place, ()) if each.kind == "column" and each.parent != place
        ]
        said += [f"{again}, but {each} is of its row type" for each in others]
        if base.sizes.get(place, (1, 0))[0] <= 0 or key not in aside.roots:
            continue
        for column in goal.columns_of(key):
            there = Key("column", (*place.path, column.key.path[-1])) in base.objects
            value = (
                column.identity
                or column.generated is not None
                or Key("default", column.key.path) in goal.objects
            )
            if column.not_null and not there and not value:
                said.append(
                    f"{again}, but {column.key} is new and has no value for its rows (give it a default)"
                )
    return said


def copied(base: Snapshot, goal: Snapshot, key: Key, place: Key) -> list[tuple[Column, Column]]:
    """The columns whose values go over, in the goal's order: as they were and as they will be."""
    found = []
    for column in goal.columns_of(key):
        before = base.objects.get(Key("column", (*place.path, column.key.path[-1])))
        if isinstance(before, Column) and column.generated is None:
            found.append((before, column))
    return found
