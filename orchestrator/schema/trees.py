"""Trees of tables: who is a partition of whom, who inherits which column. Pure: no I/O of any kind."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Column, Constraint, Index, Object, Table

Path = tuple[str, ...]


class Tree:
    """The partitions and inheriting tables of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def parents(self, path: Path) -> tuple[Path, ...]:
        """The tables directly above one."""
        thing = self.snapshot.objects.get(Key("table", path))
        return thing.parents if isinstance(thing, Table) else ()

    @cached_property
    def _children(self) -> Mapping[Path, list[Key]]:
        found: dict[Path, list[Key]] = {}
        for key in self.snapshot.of_kind("table"):
            for path in self.parents(key.path):
                found.setdefault(path, []).append(key)
        return found

    def children(self, table: Key) -> list[Key]:
        """The tables directly below one, sorted."""
        return self._children.get(table.path, [])

    def below(self, table: Key) -> list[Key]:
        """All tables below one, each once, those nearer to it first."""
        found: dict[Key, None] = {}
        queue = list(self.children(table))
        while queue:
            key = queue.pop(0)
            if key not in found:
                found[key] = None
                queue += self.children(key)
        return list(found)

    def is_partition(self, table: Key) -> bool:
        """Whether a table is a partition."""
        thing = self.snapshot.objects.get(table)
        return isinstance(thing, Table) and bool(thing.partition_of)

    def is_partitioned(self, table: Key) -> bool:
        """Whether a table is partitioned: it holds no rows itself."""
        thing = self.snapshot.objects.get(table)
        return isinstance(thing, Table) and bool(thing.partition_key)

    def above(self, key: Key) -> list[Key]:
        """The columns, or the places of defaults, that a column or default is inherited from; one step up."""
        found = (Key("column", (*path, key.path[-1])) for path in self.parents(key.path[:2]))
        return [Key(key.kind, each.path) for each in found if each in self.snapshot.objects]

    def ancestors(self, key: Key) -> list[Key]:
        """The columns that a column is inherited from; all steps up."""
        found: dict[Key, None] = {}
        queue = self.above(key)
        while queue:
            each = queue.pop(0)
            if each not in found:
                found[each] = None
                queue += self.above(each)
        return list(found)

    def heirs(self, key: Key) -> list[Key]:
        """The columns below that a column is inherited by, or the places of their defaults; all steps down."""
        found: dict[Key, None] = {}
        queue = [key]
        while queue:
            path = queue.pop(0).path
            for table in self.children(Key("table", path[:2])):
                heir = Key("column", (*table.path, path[-1]))
                if heir in self.snapshot.objects and (each := Key(key.kind, heir.path)) not in found:
                    found[each] = None
                    queue.append(each)
        return list(found)

    def falls_with_parent(self, column: Key) -> bool:
        """Whether a column goes when the one above it is dropped: the table has it only from there."""
        thing = self.snapshot.objects.get(column)
        return isinstance(thing, Column) and (self.is_partition(column.parent) or not thing.local)

    def whole(self, key: Key) -> Key | None:
        """The index, or key, of the partitioned table that this is a part of."""
        thing = self.snapshot.objects.get(key)
        if not isinstance(thing, (Index, Constraint)) or not thing.part_of:
            return None
        return whole_of(self.snapshot, thing)

    @cached_property
    def _parts(self) -> Mapping[Key, list[Key]]:
        found: dict[Key, list[Key]] = {}
        for key in (*self.snapshot.of_kind("index"), *self.snapshot.of_kind("constraint")):
            whole = self.whole(key)
            if whole is not None:
                found.setdefault(whole, []).append(key)
        return found

    def parts(self, key: Key) -> list[Key]:
        """The indexes, or keys, directly below that are parts of this one, sorted."""
        return self._parts.get(key, [])


def whole_of(snapshot: Snapshot, thing: Object) -> Key | None:
    """The key of what an index or constraint is a part of, by the tree of this snapshot."""
    if isinstance(thing, Index):
        table, name = thing.table, thing.part_of
    elif isinstance(thing, Constraint):
        table, name = thing.key.path[:2], thing.part_of
    else:
        return None
    above = snapshot.objects.get(Key("table", table))
    if not name or not isinstance(above, Table) or not above.partition_of:
        return None
    if isinstance(thing, Index):
        return Key("index", (above.partition_of[0], name))
    whole = Key("constraint", (*above.partition_of, name))
    return whole if whole in snapshot.objects else Key("index", (above.partition_of[0], name))


def inherited_columns(tree: Tree, table: Key) -> Iterator[Column]:
    """The columns of a table that some table above it has too."""
    for column in tree.snapshot.columns_of(table):
        if tree.above(column.key):
            yield column
