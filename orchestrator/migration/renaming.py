"""What goes on under a new name: the base as it is once its renames are done, and who is called how today. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.migration.aside import Aside
from orchestrator.migration.asking import Asking
from orchestrator.migration.probes import Today
from orchestrator.migration.recipes import constraints
from orchestrator.schema import candidates
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import Differences, diff
from orchestrator.schema.moves import moved
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Constraint, Enum, Index
from orchestrator.schema.renames import Renames, renamed
from orchestrator.schema.trees import Tree
from orchestrator.schema.type_renames import type_renames


def with_renames(base: Snapshot, goal: Snapshot, asking: Asking) -> tuple[Snapshot, Renames]:
    """The base with every rename done that was answered with yes, or that is certain; tables come first."""
    base, types = type_renames(base, goal)
    done = Renames(keys=types)
    between = _remembering()
    for kind, questions in (("table", candidates.table_questions), ("column", candidates.column_questions)):
        keys: dict[Key, Key] = {}
        for question, old in asking.rename(questions(base, goal, between(base, goal))):
            new = next(key for key in goal.of_kind(kind) if candidates.question_id(key) == question.id)
            was = next(key for key in base.of_kind(kind) if candidates.named(key, new) == old)
            keys[was] = new
            for heir in Tree(goal).heirs(new) if kind == "column" else ():
                before = Key(kind, (*heir.path[:-1], old))
                keys |= {before: heir} if before in base.objects and heir not in base.objects else {}
        step = Renames(keys=keys)
        base, done = renamed(base, step), done | step
    labels: dict[tuple[tuple[str, ...], str], str] = {}
    found = between(base, goal)
    for question, old in asking.rename(candidates.label_questions(base, goal, found)):
        key, label = next(
            (key, label)
            for key in goal.of_kind("enum")
            for thing in [goal.objects[key]]
            if isinstance(thing, Enum)
            for label in thing.labels
            if f"rename:label:{key.name}.{label}" == question.id
        )
        labels[key.path, old] = label
    step = Renames(labels=labels)
    base, done = moved(renamed(base, step), goal), done | step
    for _ in range(2):  # sequences first: a default that names one makes no difference afterwards
        step = candidates.certain(base, goal, between(base, goal))
        base, done = renamed(base, step), done | step
    step = candidates.taken_by_joining(base, goal, between(base, goal))
    return renamed(base, step), done | step


def _remembering() -> Callable[[Snapshot, Snapshot], Differences]:
    """diff(), which is not asked again about the same two values: of 100,000 objects it takes half a second."""
    last: list[tuple[Snapshot, Snapshot, Differences]] = []

    def between(base: Snapshot, goal: Snapshot) -> Differences:
        if not last or last[0][0] is not base or last[0][1] is not goal:
            last[:] = [(base, goal, diff(base, goal))]
        return last[0][2]

    return between


def today(done: Renames, old: Aside) -> Today:
    """The names before the renames, and before tables step aside."""
    tables = {new.path: old.path for old, new in done.keys.items() if new.kind == "table"}
    columns = {new.path: old.path[-1] for old, new in done.keys.items() if new.kind == "column"}
    for key, place in old.moved.items():
        tables[place.path] = tables.get(key.path, key.path)
        columns |= {
            (*place.path, path[-1]): name for path, name in list(columns.items()) if path[:2] == key.path
        }
    return Today(tables=tables, columns=columns)


def renamed_relations(done: Renames) -> tuple[Key, ...]:
    """Tables and columns that have a new name: views keep the old one until they are made again."""
    return tuple(sorted(new for new in done.keys.values() if new.kind in {"table", "column"}))


def adopted_indexes(
    base: Snapshot, goal: Snapshot, found: Differences
) -> tuple[Differences, Mapping[Key, Key]]:
    """Indexes that are dropped while a constraint of that name over the same columns comes: it takes them over."""
    taken: dict[Key, Key] = {}
    tree = Tree(base)
    for key in sorted(found.added):
        thing = goal.objects[key]
        index_key = Key("index", (key.path[0], key.path[-1]))
        index = base.objects.get(index_key)
        if (
            not isinstance(thing, Constraint)
            or not isinstance(index, Index)
            or index_key not in found.dropped
        ):
            continue
        parts = constraints.index_parts(thing)
        if index.part_of or tree.is_partitioned(key.parent):
            continue  # PostgreSQL does not let a key take over an index of a partitioned table
        fits = parts is not None and index.unique and index.valid and index.definition == parts[1]
        if fits and index.table == key.path[:2]:
            taken[key] = index_key
    return replace(found, dropped=found.dropped - set(taken.values())), taken
