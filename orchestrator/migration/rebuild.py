"""What must be dropped and made again, because it changes or because something that it stands on does. Pure."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from orchestrator.migration.online import Decided
from orchestrator.migration.recipes import composites, domains, extensions, functions, schemas, stated, views
from orchestrator.migration.step import slots
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import Differences, changed_attributes
from orchestrator.schema.names import TYPES, Key
from orchestrator.schema.objects import (
    Column,
    Composite,
    Constraint,
    Domain,
    Enum,
    Extension,
    Function,
    Index,
    MaterializedView,
    Object,
    Other,
    Stated,
    Trigger,
    View,
    table_of,
)
from orchestrator.schema.trees import Tree


@dataclass(slots=True, kw_only=True)
class Rebuild:
    """The result of following dependencies.

    Attributes:
        rebuilt: keys to drop and make again.
        hard: those among them that must be gone before what they stand on can change.
        retyped: columns whose type or collation changes in place.
        reruled: domains whose rules and defaults go and come again, because a function that they call is made again.
        refused: sentences about objects that would have to be rebuilt but are of a kind that is not planned.
    """

    rebuilt: set[Key] = field(default_factory=set)
    hard: set[Key] = field(default_factory=set)
    retyped: set[Key] = field(default_factory=set)
    reruled: set[Key] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)


def rebuild(
    base: Snapshot,
    goal: Snapshot,
    found: Differences,
    renamed: Iterable[Key],
    online: Decided = Decided(),  # noqa: B008 - a frozen value
) -> Rebuild:
    """Decide for every changed object whether it changes in place, and follow who stands on those that do not.

    Args:
        base: with renames already done.
        goal: the goal.
        found: their differences.
        renamed: tables and columns (by their new key) whose views must be made again.
        online: columns that change through a shadow: what moves with them is not made again.
    """
    result = Rebuild()
    was, will = Tree(base), Tree(goal)
    carried: set[Key] = set()  # columns that change with the one above
    queue = _first(was, will, found, result, online)
    queue += [(key, "renamed") for key in sorted(renamed)]
    taken = {slot for key in found.added for slot in slots(key)}
    # What another kind of object takes the name of is replaced: nobody can keep using it in the meantime.
    queue += [(key, "replaced" if taken & slots(key) else "dropped") for key in sorted(found.dropped)]
    while queue:
        key, how = queue.pop(0)
        heirs = _downwards(was, goal, result, queue, key, how)
        carried |= heirs if how == "retyped" else set()
        for user in base.users.get(key, ()):
            if user not in goal.objects or user in result.rebuilt or user in online.moved or user in heirs:
                continue
            # What ALTER COLUMN TYPE would make again by itself goes with a column that gives way to another.
            gone = user.kind == "statistics" and key in online.columns
            verdict = (
                "rebuild" if gone else _reaction(base.objects[user], goal.objects[user], key, how, found)
            )
            if verdict == "rebuild" and domains.ruled_again(base, goal, user, key, how):
                result.reruled.add(user)
                continue
            if verdict == "refuse":
                result.refused.append(f"{user} stands on {key}, which must be {how}")
            elif verdict == "retype" and user not in result.retyped:
                result.retyped.add(user)
                queue.append((user, "retyped"))
            elif verdict in {"rebuild", "hard"}:
                result.rebuilt.add(user)
                result.retyped.discard(user)
                queue.append((user, "replaced"))
            if verdict == "hard" or (verdict == "rebuild" and how == "retyped"):
                result.hard.add(user)
    result.reruled -= result.rebuilt
    for key in result.rebuilt:
        if any(needed in result.retyped | carried | result.rebuilt for needed in base.needs.get(key, ())):
            result.hard.add(key)
    result.refused += _parts_alone(was, result.rebuilt | found.dropped, found.dropped)
    return result


def _first(
    was: Tree, will: Tree, found: Differences, result: Rebuild, online: Decided
) -> list[tuple[Key, str]]:
    """What cannot change in place, with how it changes."""
    base, goal = was.snapshot, will.snapshot
    queue: list[tuple[Key, str]] = []
    for key in sorted(found.changed):
        before, after = base.objects[key], goal.objects[key]
        if isinstance(before, Column) and isinstance(after, Column) and _retyped(before, after):
            result.retyped.add(key)
            queue.append((key, "retyped"))
        elif key not in online.moved and not (
            _in_place(before, after) or _grows_whole(was, will, before, after)
        ):
            result.rebuilt.add(key)
            queue.append((key, "replaced"))
            if isinstance(before, Index) and isinstance(after, Index):
                # One that moves to another relation cannot step aside there: it goes first.
                moved = (before.on, before.table) != (after.on, after.table)
                result.hard |= {key} if moved else set()
    return queue


def _downwards(
    was: Tree, goal: Snapshot, result: Rebuild, queue: list[tuple[Key, str]], key: Key, how: str
) -> set[Key]:
    """Columns below change with the one above, parts of an index go with the whole; says which columns."""
    heirs = set(was.heirs(key)) if key.kind == "column" else set()
    if how == "retyped":
        nearest = was.children(key.parent)
        queue += [(each, "retyped") for each in sorted(heirs) if each.parent in nearest]
    taken = sorted(heirs) if how == "replaced" else []
    for each in (*taken, *was.parts(key)) if how in {"replaced", "dropped"} else ():
        if each in goal.objects and each not in result.rebuilt:
            result.rebuilt.add(each)
            queue.append((each, "replaced"))
    return heirs


def _parts_alone(was: Tree, away: Set[Key], dropped: Set[Key]) -> list[str]:
    """Parts of an index or key that would have to go while the whole stays: PostgreSQL does not allow it."""
    said = []
    for key in sorted(away):
        whole = was.whole(key)
        thing = was.snapshot.objects.get(key)
        owner = table_of(thing) if thing is not None else None
        if whole is not None and whole not in away and whole in was.snapshot.objects and owner not in dropped:
            said.append(f"{key} differs, but it is a part of {whole}, which stays")
    return said


def _grows_whole(was: Tree, will: Tree, before: Object, after: Object) -> bool:
    """Whether an index or key of a partitioned table becomes valid because parts that it lacks are attached."""
    if not isinstance(before, (Index, Constraint)) or not isinstance(after, (Index, Constraint)):
        return False
    if before.part_of and before.part_of != after.part_of:
        return False
    easy = {"comment", "statistics", "index_options", "part_of", "valid"}
    if not set(changed_attributes(before, after)) <= easy or not after.valid:
        return False
    return any(each not in was.parts(before.key) for each in will.parts(after.key))


def _retyped(before: Column, after: Column) -> bool:
    """Whether ALTER COLUMN TYPE is needed and possible (a generated column is computed anew instead)."""
    changed = before.type != after.type or before.collation != after.collation
    return changed and not (after.generated is not None and before.generated != after.generated)


def _in_place(before: Object, after: Object) -> bool:  # noqa: PLR0911, PLR0912 - one case for each kind
    """Whether an object can become the other without being dropped."""
    changed = set(changed_attributes(before, after))
    if isinstance(before, Column) and isinstance(after, Column):
        return not ({"generated", "virtual"} & changed and after.generated is not None)
    if isinstance(before, Constraint) and isinstance(after, Constraint):
        if "part_of" in changed and before.part_of:
            return False
        easy = {"comment", "index_options", "index_comment", "part_of"}
        return changed <= easy or (changed <= easy | {"validated"} and after.validated)
    if isinstance(before, Index) and isinstance(after, Index):
        return changed <= {"comment", "statistics"} | ({"part_of"} if not before.part_of else set())
    if isinstance(before, Enum) and isinstance(after, Enum):
        return schemas.extends(before, after)
    if isinstance(before, Composite) and isinstance(after, Composite):
        return composites.in_place(before, after)
    if isinstance(before, Extension) and isinstance(after, Extension):
        return extensions.in_place(before, after)
    if isinstance(before, Stated) and isinstance(after, Stated):
        return stated.in_place(before, after)
    if isinstance(before, Domain) and isinstance(after, Domain):
        return domains.in_place(before, after)
    if isinstance(before, MaterializedView) and isinstance(after, MaterializedView):
        return "definition" not in changed and "columns" not in changed
    if isinstance(before, View) and isinstance(after, View):
        return views.replaceable(before, after)
    if isinstance(before, Function) and isinstance(after, Function):
        return functions.replaceable(before, after)
    if isinstance(before, Trigger) and isinstance(after, Trigger):
        return "definition" not in changed or functions.trigger_replaceable(before, after)
    return True


def _reaction(user: Object, wanted: Object, key: Key, how: str, found: Differences) -> str:  # noqa: PLR0911, PLR0912
    """What happens to an object when one that it needs is ``retyped``, ``replaced``, ``renamed`` or ``dropped``."""
    if how == "dropped" and user.key in found.changed:
        return ""  # changed in place: that statement lets go
    if key.kind == "extension" and user.key.kind in extensions.HELD:
        return "refuse"
    if isinstance(user, View):
        return "rebuild"
    if how == "renamed":
        return ""
    if isinstance(user, Other):
        return "" if user.of is not None and key == user.of else "refuse"
    if isinstance(user, Stated) and user.key.kind == "statistics" and how == "retyped":
        return ""  # ALTER COLUMN TYPE makes it again by itself
    if isinstance(user, Stated) and user.key.kind == "publication":
        # A publication is never made again in silence: its subscribers would stop.
        return "refuse"
    if isinstance(user, Stated) and user.key.kind != "range type":
        return "rebuild"
    if key.kind == "collation" and isinstance(user, (Column, Domain, Composite)):
        return "refuse"  # it cannot step aside as a type does
    if isinstance(user, Column) and user.generated is None and key.kind in TYPES and how == "replaced":
        return "retype"
    if isinstance(user, (Domain, Enum, Composite)) or user.key.kind == "range type":
        return "rebuild" if key.kind in TYPES or key.kind == "function" else ""
    if isinstance(user, Column):
        return "rebuild" if user.generated is not None and key.kind not in _PLACES else ""
    if isinstance(user, Constraint):
        if how == "retyped":
            return "hard" if user.type == "foreign" or user != wanted else ""
        return "rebuild"
    if isinstance(user, Index):
        if how == "retyped":
            return "hard" if user.definition != getattr(wanted, "definition", "") else ""
        return "rebuild"
    return (
        "rebuild"
        if user.key.kind in {"function", "trigger", "default"} and not _own_default(user.key, key, how)
        else ""
    )


#: What holds a column; a generated one stands on everything else that it needs.
_PLACES = frozenset({"table", "schema", "sequence", "extension"})


def _own_default(user: Key, key: Key, how: str) -> bool:
    """A column's own default is part of the statement that changes its type."""
    return user.kind == "default" and how == "retyped" and user.path == key.path
