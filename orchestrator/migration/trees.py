"""Before planning, in the value: tables leave their parents; those that join one are planned alone. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key, not_null_name
from orchestrator.schema.objects import Column, Constraint, Index, Object, Table, Trigger
from orchestrator.schema.trees import Path, Tree, inherited_columns, whole_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A table below another.

    Attributes:
        parent: the path of the table above.
        child: the path of the table below.
        bound: what a partition holds, or empty for INHERITS.
    """

    parent: Path
    child: Path
    bound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """What joins and leaves, and what the values are between the leaving and the joining.

    Attributes:
        leaving: edges that are cut before anything else happens to these tables.
        joining: edges that are made when both tables are as the goal has them.
        parts: index or key of a joining table to what it becomes a part of.
        clones: triggers of joining tables that fire differently from the one above: facts to bring after joining.
        kept: own constraints of partitions that become a part of the same constraint above.
        refused: sentences about what PostgreSQL cannot change in place.
    """

    leaving: tuple[Edge, ...] = ()
    joining: tuple[Edge, ...] = ()
    parts: Mapping[Key, Key] = field(default_factory=dict)
    clones: Mapping[Key, Trigger] = field(default_factory=dict)
    kept: frozenset[Key] = frozenset()
    refused: tuple[str, ...] = ()


def parted(
    base: Snapshot, goal: Snapshot, aside: frozenset[Key] = frozenset()
) -> tuple[Snapshot, Snapshot, Trees]:
    """The base as it is once tables have left, the goal as it is before tables join, and what these moves are.

    A new partition is made as a table of its own and then joins: that asks for a weaker lock on the table above than
    CREATE TABLE ... PARTITION OF does. Tables that stepped ``aside`` leave what stays where it is.
    """
    leaving: list[Edge] = []
    joining: list[Edge] = []
    refused: list[str] = []
    was, will = Tree(base), Tree(goal)
    for key in goal.of_kind("table"):
        after = goal.objects[key]
        before = base.objects.get(key)
        if not isinstance(after, Table):
            continue
        if not isinstance(before, Table):
            joining += _edges(after) if after.partition_of else []
            continue
        out, into = _moves(before, after)
        if not out and not into and _becomes_local(was, will, key):
            out, into = _edges(before), _edges(after)
        leaving += out
        joining += into
        refused += _refused(was, will, key, into)
    for key in sorted(aside):
        table = base.objects[key]
        if isinstance(table, Table):
            leaving += [edge for edge in _edges(table) if Key("table", edge.parent) not in aside]
    now = _without(base, leaving, foreign=True)
    then, parts, clones = _before_joining(now, goal, joining)
    trees = Trees(
        leaving=tuple(leaving),
        joining=tuple(joining),
        parts=parts,
        clones=clones,
        kept=_kept(now, then, goal),
        refused=tuple(refused),
    )
    return now, then, trees


def _edges(table: Table) -> list[Edge]:
    return [Edge(parent=path, child=table.key.path, bound=table.bound) for path in table.parents]


def _moves(before: Table, after: Table) -> tuple[list[Edge], list[Edge]]:
    """Edges to cut and to make; INHERITS is a list, so an edge in the middle means making those behind it again."""
    if (before.parents, before.bound) == (after.parents, after.bound):
        return [], []
    old, new = _edges(before), _edges(after)
    if not before.partition_of and not after.partition_of:
        left = [edge for edge in old if edge in new]
        if left == new[: len(left)]:
            return [edge for edge in old if edge not in new], new[len(left) :]
    return old, new


def _becomes_local(was: Tree, will: Tree, key: Key) -> bool:
    """Whether a table declares columns itself that it only inherited: INHERIT anew makes them its own."""
    return any(
        column.local and isinstance(old := was.snapshot.objects.get(column.key), Column) and not old.local
        for column in inherited_columns(will, key)
        if was.above(column.key)
    )


def _refused(was: Tree, will: Tree, key: Key, joining: list[Edge]) -> list[str]:
    said = []
    for column in inherited_columns(will, key):
        old = was.snapshot.objects.get(column.key)
        if isinstance(old, Column) and not column.local and (old.local or joining):
            said.append(
                f"{column.key} is to be inherited only, but {key} declares it itself, which PostgreSQL cannot take back"
            )
    return said


def _without(snapshot: Snapshot, edges: list[Edge], *, foreign: bool) -> Snapshot:
    """The snapshot after these edges were cut: what a table had from above is its own."""
    if not edges:
        return snapshot
    cut: dict[Path, set[Path]] = {}
    for edge in edges:
        cut.setdefault(edge.child, set()).add(edge.parent)
    objects = dict(snapshot.objects)
    inherited = dict(snapshot.inherited)
    needs = dict(snapshot.needs)
    for path, parents in cut.items():
        key = Key("table", path)
        table = objects[key]
        assert isinstance(table, Table), key  # noqa: S101 - edges come from tables
        alone = bool(table.partition_of) or set(table.inherits) <= parents
        left = tuple(each for each in table.inherits if each not in parents)
        objects[key] = replace(table, partition_of=(), bound="", inherits=left)
        needs[key] = tuple(each for each in needs.get(key, ()) if each.path not in parents)
        for member in snapshot.members(key):
            thing = objects[member]
            if isinstance(thing, Column):
                still = any((*parent, member.path[-1]) in _column_paths(snapshot, parent) for parent in left)
                objects[member] = thing if still else _own(thing)
                above = {Key("column", (*parent, member.path[-1])) for parent in parents}
                needs[member] = tuple(each for each in needs.get(member, ()) if each not in above)
            elif isinstance(thing, (Index, Constraint)) and thing.part_of:
                objects[member] = replace(thing, part_of="")
            elif isinstance(thing, Trigger) and thing.cloned:
                del objects[member]
        for member in [each for each in inherited if each.path[:2] == path] if alone else ():
            thing = inherited.pop(member)
            if foreign or thing.type != "foreign":
                objects.setdefault(member, thing)
                there = (Key("table", thing.references),) if thing.references else ()
                needs.setdefault(member, (key, *there))
    return replace(snapshot, objects=objects, inherited=inherited, needs=needs)


def _own(column: Column) -> Column:
    """A column that was inherited, as its table's own: the name of its NOT NULL is one that somebody chose."""
    name = column.not_null_constraint
    chosen = name if name != not_null_name(*column.key.path[1:]) else ""
    return replace(column, local=True, not_null_name=chosen)


def _column_paths(snapshot: Snapshot, table: Path) -> set[Path]:
    return {column.key.path for column in snapshot.columns_of(Key("table", table))}


def _before_joining(
    now: Snapshot, goal: Snapshot, edges: list[Edge]
) -> tuple[Snapshot, dict[Key, Key], dict[Key, Trigger]]:
    """The goal without these edges; checks are there before (joining demands them), foreign keys come with joining."""
    parts: dict[Key, Key] = {}
    clones: dict[Key, Trigger] = {}
    for edge in edges:
        for member in goal.members(Key("table", edge.child)):
            thing = goal.objects[member]
            whole = whole_of(goal, thing)
            if whole is not None:
                parts[member] = whole
            if isinstance(thing, Trigger) and thing.cloned:
                clones[member] = thing
    then = _without(goal, edges, foreign=False)
    objects = dict(then.objects)
    joining = {edge.child for edge in edges}
    objects |= {  # joining takes these over
        key: thing
        for key, thing in goal.inherited.items()
        if key.path[:2] in joining and thing.type == "foreign" and now.objects.get(key) == thing
    }
    return replace(then, objects=objects), parts, clones


def _kept(now: Snapshot, then: Snapshot, goal: Snapshot) -> frozenset[Key]:
    """Own constraints of partitions that stay partitions, which become a part of the same one above."""
    tree = Tree(goal)
    found = set()
    for key, thing in goal.inherited.items():
        own: Object | None = now.objects.get(key)
        if key in then.objects or not isinstance(own, Constraint) or not tree.is_partition(key.parent):
            continue
        if own.definition == thing.definition and (own.validated or own.type == "foreign"):
            found.add(key)
    return frozenset(found)
