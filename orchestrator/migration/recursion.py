"""What a statement on a table does to the tables below it, so that nobody says it again for each. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Column, Default, Object
from orchestrator.schema.trees import Tree

#: Settings of a column that ALTER COLUMN gives to the tables below as well.
RECURSING = ("STORAGE", "STATISTICS")


def spread(base: Snapshot, goal: Snapshot) -> Snapshot:
    """The base as it is for tables below once those above have become as the goal has them.

    What differs from the goal even then is a difference of its own and gets a statement of its own.
    """
    was, will = Tree(base), Tree(goal)
    changed: dict[Key, Object] = {}
    for table in _top_down(will):
        if table not in base.objects:
            continue
        for column in base.columns_of(table):
            after = goal.objects.get(column.key)
            for above in set(was.above(column.key)) & set(will.above(column.key)):
                old, new = base.objects[above], goal.objects[above]
                if isinstance(after, Column) and isinstance(old, Column) and isinstance(new, Column):
                    now = changed.get(column.key, column)
                    assert isinstance(now, Column), now  # noqa: S101 - only columns are put in
                    changed[column.key] = _like(now, old, new)
            gone = [each for each in was.above(column.key) if each not in goal.objects]
            now = changed.get(column.key, column)
            if isinstance(after, Column) and isinstance(now, Column) and gone and not will.above(column.key):
                changed[column.key] = replace(now, local=True)  # kept by ALTER TABLE ONLY
        changed |= dict(_defaults(was, will, table))
    found = {key: thing for key, thing in changed.items() if base.objects.get(key) != thing}
    return replace(base, objects={**base.objects, **found}) if found else base


def _top_down(tree: Tree) -> list[Key]:
    tables = [key for key in tree.snapshot.of_kind("table") if not tree.parents(key.path)]
    found: dict[Key, None] = {}
    for table in tables:
        for key in tree.below(table):
            found.pop(key, None)
            found[key] = None
    return list(found)


def _like(now: Column, old: Column, new: Column) -> Column:
    """A column as it becomes when the one above goes from old to new."""
    facets: dict[str, object] = {
        name: getattr(new, name)
        for name in ("type", "collation", "not_null")
        if getattr(old, name) != getattr(new, name)
    }
    if now.not_null and now.not_null_constraint and now.not_null_local and not new.not_null:
        # PostgreSQL 18: one that the table below declares too (a key of its own makes it so) stays there.
        facets.pop("not_null", None)
    if old.generated is not None and new.generated is None:
        facets["generated"] = None
    settings, before, after = dict(now.settings), dict(old.settings), dict(new.settings)
    for name in RECURSING:
        if before.get(name) != after.get(name):
            settings.pop(name, None)
            settings.update({name: after[name]} if name in after else {})
    return replace(now, settings=tuple(sorted(settings.items())), **facets)  # type: ignore[arg-type]


def _defaults(was: Tree, will: Tree, table: Key) -> Iterator[tuple[Key, Default]]:
    """Defaults that come or change with the one above."""
    base, goal = was.snapshot, will.snapshot
    for column in base.columns_of(table):
        key = Key("default", column.key.path)
        after = goal.objects.get(key)
        if not isinstance(after, Default) or key not in base.objects:
            continue
        for above in set(was.above(key)) & set(will.above(key)):
            if recurses(base, goal, will, above) and base.objects.get(above) != goal.objects.get(above):
                yield key, after


def recurses(base: Snapshot, goal: Snapshot, will: Tree, default: Key) -> bool:
    """Whether a change of a column's default is right for every table below; else each gets its own statement."""
    wanted = goal.objects.get(default)
    text = wanted.expression if isinstance(wanted, Default) else None
    for heir in will.heirs(default):
        there = goal.objects.get(heir)
        if Key("column", heir.path) not in base.objects:
            continue
        if (there.expression if isinstance(there, Default) else None) != text:
            return False
    return True
