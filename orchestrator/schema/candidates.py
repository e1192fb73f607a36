"""Which drop and add may be a rename, with the evidence for and against, and which surely are. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import Differences
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Column, Constraint, Enum, Index, Object, Sequence, table_of
from orchestrator.schema.questions import Choice, Question
from orchestrator.schema.renames import Renames
from orchestrator.schema.scale import scale
from orchestrator.schema.trees import Tree, whole_of

#: The answer that says: not a rename.
NO = "-"

_SIMILAR = 0.6


def similar(one: str, other: str) -> bool:
    """Whether two names look alike, or one holds the other."""
    a, b = one.lower(), other.lower()
    return a in b or b in a or SequenceMatcher(None, a, b).ratio() >= _SIMILAR


def same_identity(base: Snapshot, goal: Snapshot, old: Key, new: Key) -> bool:
    """Whether two tables or columns have one physical identity, in branches of one physical database.

    Strong evidence, no proof: after two branches have parted, each hands out the same next oids. Different
    identities say nothing either: whoever drops a table and makes it anew gives it another oid.
    """
    line = base.lineage.get(old)
    return (
        bool(base.origin)
        and base.origin == goal.origin
        and line is not None
        and line == goal.lineage.get(new)
    )


def question_id(key: Key) -> str:
    """``rename:column:public.customers.full_name``: the kind and the added object's name."""
    return f"rename:{key.kind}:{key.name}"


def table_questions(base: Snapshot, goal: Snapshot, found: Differences) -> Iterator[Question]:
    """A question for each added table that may be a dropped one: of its schema, or moved from another."""
    dropped = [key for key in sorted(found.dropped) if key.kind == "table"]
    for added in sorted(found.added):
        if added.kind != "table":
            continue
        scored = []
        for old in dropped:
            moved = old.path[0] != added.path[0]
            if moved and old.path[1] != added.path[1] and not same_identity(base, goal, old, added):
                continue
            share, evidence = _tables(base, goal, old, added)
            if share >= 0.5:
                scored.append((-share, old, evidence))
        proved = [old for _, old, _ in scored if same_identity(base, goal, old, added)]
        yield from _question(base, added, sorted(scored, key=lambda each: each[:2]), proved)


def _tables(base: Snapshot, goal: Snapshot, old: Key, new: Key) -> tuple[float, list[str]]:
    before = {(c.key.path[-1], c.type) for c in base.columns_of(old)}
    after = {(c.key.path[-1], c.type) for c in goal.columns_of(new)}
    share = len(before & after) / max(min(len(before), len(after)), 1)
    evidence = [
        f"{len(before & after)} of {len(after)} columns of {new.name} are in {old.name} with name and type"
    ]
    if same_identity(base, goal, old, new):
        share = 2.0
        evidence.insert(0, "both have the same oid in databases of one origin, as a renamed table has")
    return share, [*evidence, _rows(base, old)]


def column_questions(base: Snapshot, goal: Snapshot, found: Differences) -> Iterator[Question]:
    """A question for each added column that may be a dropped one of the same table."""
    dropped = [key for key in sorted(found.dropped) if key.kind == "column"]
    was, will = Tree(base), Tree(goal)
    for added in sorted(found.added):
        if added.kind != "column" or _from_above(was, will, added):
            continue
        scored = []
        for old in dropped:
            if old.path[:2] != added.path[:2]:
                continue
            before, after = base.objects[old], goal.objects[added]
            if isinstance(before, Column) and isinstance(after, Column):
                score, evidence = _columns(base, goal, before, after)
                if score > 0:
                    scored.append((-score, old, evidence))
        proved = [
            old
            for _, old, _ in scored
            if same_identity(base, goal, old, added)
            and getattr(base.objects[old], "type", 0) == getattr(goal.objects[added], "type", 1)
        ]
        yield from _question(base, added, sorted(scored, key=lambda each: each[:2]), proved)


def _from_above(was: Tree, will: Tree, column: Key) -> bool:
    """Whether a column comes from a table above, as it did before: then the question is asked there."""
    return any(each.path[:2] in was.parents(column.path[:2]) for each in will.above(column))


def _columns(base: Snapshot, goal: Snapshot, before: Column, after: Column) -> tuple[float, list[str]]:
    old, new = before.key, after.key
    alike = similar(old.path[-1], new.path[-1])
    same_type = before.type == after.type
    score = 1.0 * same_type + 0.5 * alike + 0.25 * (before.position == after.position)
    evidence = [
        f"both are {after.type}" if same_type else f"the type differs: {before.type} and {after.type}"
    ]
    if alike:
        evidence.append("the names are alike")
    if before.position == after.position:
        evidence.append(f"both stand at place {after.position}")
    if same_identity(base, goal, old, new):
        score += 4
        evidence.insert(
            0,
            "both have the same table oid and column number in databases of one origin, as a renamed column has",
        )
    elif same_identity(base, goal, old.parent, new.parent):
        evidence.append(
            "the table has the same oid in databases of one origin, but this is another column of it"
        )
    if not (same_type or alike or score >= 4):
        return 0, []
    return score, [*evidence, _rows(base, old.parent)]


def _rows(base: Snapshot, table: Key) -> str:
    size = base.sizes.get(table, (1, 0))
    return f"{table.name} has {scale(size)}" if size[0] else f"{table.name} is empty: nothing can be lost"


def label_questions(base: Snapshot, goal: Snapshot, found: Differences) -> Iterator[Question]:
    """A question for each label of an enum that is new while another is missing."""
    for key in sorted(found.changed):
        before, after = base.objects[key], goal.objects[key]
        if not (isinstance(before, Enum) and isinstance(after, Enum)):
            continue
        missing = [label for label in before.labels if label not in after.labels]
        for label in after.labels:
            if label in before.labels or not missing:
                continue
            choices = [
                Choice(value=old, label=f"the label {old!r} of {key.name} was renamed to {label!r}")
                for old in missing
            ]
            choices.append(
                Choice(value=NO, label=f"{label!r} is new, and a label is removed", destructive=True)
            )
            yield Question(
                id=f"rename:label:{key.name}.{label}",
                kind="rename",
                prompt=f"Was the label {label!r} of {key.name} called something else before?",
                choices=tuple(choices),
                evidence=(f"missing in the goal: {', '.join(missing)}",),
                default=NO,
            )


def named(old: Key, new: Key) -> str:
    """How an answer names what something was before: its name, with its schema where that is another."""
    return old.path[-1] if old.kind == "column" or old.path[0] == new.path[0] else old.name


def _became(old: Key, new: Key) -> str:
    if old.path[:-1] == new.path[:-1]:
        return f"{old.name} was renamed to {quote(new.path[-1])}"
    return f"{old.name} was moved to {new.name}"


def _question(
    base: Snapshot, added: Key, scored: list[tuple[float, Key, list[str]]], proved: list[Key]
) -> Iterator[Question]:
    if not scored:
        return
    choices = [
        Choice(value=named(old, added), label=f"{_became(old, added)} (keeps its rows)")
        for _, old, _ in scored
    ]
    names = " or ".join(quote(old.path[-1]) for _, old, _ in scored)
    verb = "is" if len(scored) == 1 else "are"
    drop = f"{quote(added.path[-1])} is new, and {names} {verb} dropped with what is in there"
    choices.append(Choice(value=NO, label=drop, destructive=True))
    evidence = [
        f"{quote(old.path[-1])}: {fact}" if len(scored) > 1 else fact
        for _, old, facts in scored
        for fact in facts
    ]
    tables = [old if old.kind == "table" else old.parent for _, old, _ in scored]
    yield Question(
        id=question_id(added),
        at_stake=any(base.sizes.get(table, (1, 0))[0] > 0 for table in tables),
        kind="rename",
        prompt=f"Was {added} called something else before?",
        choices=tuple(choices),
        evidence=tuple(evidence),
        default=NO,
        proved=named(proved[0], added) if len(proved) == 1 else None,
    )


def certain(base: Snapshot, goal: Snapshot, found: Differences) -> Renames:
    """Sequences, constraints and indexes that only have another name: no data is at stake, so nobody is asked.

    A part of an index or key that is dropped goes with it, so that nothing is left to rename.
    """
    keys: dict[Key, Key] = {}
    going = {key for key in found.dropped if whole_of(base, base.objects[key]) not in found.dropped}
    for kind in ("sequence", "constraint", "index"):
        before = _by_likeness(base, [key for key in going if key.kind == kind])
        after = _by_likeness(goal, [key for key in found.added if key.kind == kind])
        for likeness, old in before.items():
            new = after.get(likeness, [])
            if len(old) == len(new) == 1:
                keys[old[0]] = new[0]
    return Renames(keys=keys)


def taken_by_joining(base: Snapshot, goal: Snapshot, found: Differences) -> Renames:
    """Indexes that a table which becomes a partition would lend to the index above, though another is to be that part.

    Of equal indexes PostgreSQL takes the oldest. So the one that is there gets the name of the part, and what is built
    is the other one: they only differ by name.
    """
    keys: dict[Key, Key] = {}
    for new in sorted(found.added):
        part = goal.objects[new]
        if not isinstance(part, Index) or whole_of(goal, part) is None:
            continue
        for old in base.members(Key("table", part.table)):
            there, stays = base.objects[old], goal.objects.get(old)
            if (
                old not in keys
                and isinstance(there, Index)
                and isinstance(stays, Index)
                and not there.part_of
                and not stays.part_of
                and there.valid
                and (there.unique, there.definition) == (part.unique, part.definition)
            ):
                keys[old] = new
                break
    return Renames(keys=keys)


def _by_likeness(snapshot: Snapshot, keys: list[Key]) -> dict[object, list[Key]]:
    """Objects by everything but their name; only those that are bound to a table or column."""
    found: dict[object, list[Key]] = {}
    for key in sorted(keys):
        thing: Object = snapshot.objects[key]
        if isinstance(thing, Sequence):
            if thing.owned_by:
                found.setdefault((thing.owned_by, key.path[0]), []).append(key)
        elif isinstance(thing, (Constraint, Index)) and getattr(thing, "valid", True):
            owner = table_of(thing)
            alike = replace(thing, key=Key(key.kind, key.path[:1]), comment=None)
            found.setdefault((owner, alike), []).append(key)
    return found
