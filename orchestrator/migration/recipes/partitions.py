"""Tables that leave and join others: partitions, INHERITS, typed tables; and indexes becoming parts. Pure: no I/O."""

from collections.abc import Iterator
from typing import Any

from orchestrator.migration.hazards import hazard
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard
from orchestrator.migration.step import Phase, Step, Token, gone, ready, released
from orchestrator.migration.trees import Edge
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, dotted, quote
from orchestrator.schema.objects import Index, Table, Trigger
from orchestrator.schema.texts import identifiers

#: Given when every table has left what it leaves; all that is not a rename or a repair waits for it.
LEFT: Token = ("all", "left", ())


def leaving(work: Work) -> Iterator[Step]:
    """Steps that cut edges, before anything else happens to these tables."""
    for edge in work.trees.leaving:
        parent, child = Key("table", edge.parent), Key("table", edge.child)
        if edge.bound:
            sql = f"ALTER TABLE {parent.name} DETACH PARTITION {child.name}"
            why = f"{child} with its rows is no partition of {parent.name}" + _back(work, edge, " any more")
        else:
            sql = f"ALTER TABLE {child.name} NO INHERIT {parent.name}"
            why = f"{child} does not inherit from {parent.name}" + _back(work, edge, " any more")
        hazards: tuple[Hazard, ...] = ()
        if not _comes_back(work, edge):
            detail = f"queries on {parent.name} do not see the rows of {child.name} any more"
            hazards = (hazard("breaks_running_code", parent.name, detail),)
        yield work.step(
            child, Phase.TAKE_DOWN, sql, why, gives=[LEFT, ("left", str(parent), child.path)],
            tables=[parent, child], lock=LockMode.ACCESS_EXCLUSIVE, hazards=hazards,
        )  # fmt: skip
    for key in work.base.of_kind("table"):
        if _untyped(work, key):
            gives = [
                LEFT,
                *(released(each) for each in work.base.needs.get(key, ()) if each.kind == "composite type"),
            ]
            yield work.step(
                key, Phase.TAKE_DOWN, f"ALTER TABLE {key.name} NOT OF", f"{key} is tied to no type while it changes",
                gives=gives, tables=[key], lock=LockMode.ACCESS_EXCLUSIVE,
            )  # fmt: skip


def _comes_back(work: Work, edge: Edge) -> bool:
    return any((each.parent, each.child) == (edge.parent, edge.child) for each in work.trees.joining)


def _back(work: Work, edge: Edge, otherwise: str) -> str:
    return " for a moment" if _comes_back(work, edge) else otherwise


def _untyped(work: Work, key: Key) -> bool:
    """Whether a typed table must be a plain one while it changes."""
    before, after = work.base.objects[key], work.goal.objects.get(key)
    if not isinstance(before, Table) or not isinstance(after, Table) or not before.of_type:
        return False
    moving = work.makes | work.drops | work.found.changed | work.retyped
    types = {each for each in work.base.needs.get(key, ()) if each.kind == "composite type"}
    columns = {each for each in moving if each.kind == "column" and each.path[:2] == key.path}
    return before.of_type != after.of_type or bool(types & moving) or bool(columns)


def steps(work: Work) -> Iterator[Step]:
    """Steps that make edges, tie tables to types, and attach parts to the indexes above."""
    for edge in work.trees.joining:
        yield from _fitting(work, edge)
        yield _join(work, edge)
    for key in work.goal.of_kind("table"):
        after = work.after(key, Table)
        before = work.base.objects.get(key)
        tied = isinstance(before, Table) and before.of_type == after.of_type and not _untyped(work, key)
        if after.of_type and not tied:
            columns = [column.key for column in work.goal.columns_of(key)]
            types = [each for each in work.goal.needs.get(key, ()) if each.kind == "composite type"]
            surplus = [each.key for each in work.base.columns_of(key) if each.key in work.found.dropped]
            wants = {*map(ready, (key, *columns, *types)), *map(gone, surplus)}
            yield work.step(
                key, Phase.FINISH, f"ALTER TABLE {key.name} OF {after.of_type}", f"tie {key} to its type",
                wants=wants | {("attributes", "dropped", each.path) for each in types},
                tables=[key], lock=LockMode.ACCESS_EXCLUSIVE,
            )  # fmt: skip
    yield from _attached(work)
    yield from _clones(work)


def _checked(work: Work, edge: Edge) -> str:
    """The expression that proves beforehand that a table fits; empty where it is new or was a partition just now."""
    child = Key("table", edge.child)
    back = any(each.child == edge.child for each in work.trees.leaving)
    return "" if work.is_new(child) or back else work.after(child, Table).partition_check


def _fitting(work: Work, edge: Edge) -> Iterator[Step]:
    """A check of the bounds, validated beside the traffic, so that ATTACH PARTITION reads nothing under its lock."""
    expression = _checked(work, edge)
    if not expression:
        return
    child = Key("table", edge.child)
    helper = quote(helper_name("fits", child, edge.bound))
    strong: dict[str, Any] = {"tables": [child], "lock": LockMode.ACCESS_EXCLUSIVE}
    columns = [ready(column.key) for column in work.goal.columns_of(child)]
    alter = f"ALTER TABLE {child.name}"
    yield work.step(
        child, Phase.CHANGE, f"{alter} ADD CONSTRAINT {helper} CHECK ({expression}) NOT VALID",
        f"refuse rows in {child} that do not fit its bounds from now on", gives=[("fits", "asked", child.path)],
        wants=[*columns, ("helper", "constraint", (*child.path, helper))], **strong,
    )  # fmt: skip
    yield work.step(
        child, Phase.VALIDATE, f"{alter} VALIDATE CONSTRAINT {helper}",
        f"look for rows in {child} that do not fit; reads and writes go on", tables=[child], alone=True,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE, wants=[("fits", "asked", child.path)],
        gives=[("fits", "proved", child.path)],
        hazards=(hazard("scans_table", child.name, f"{child.name} is read"),),
    )  # fmt: skip
    yield work.step(
        child, Phase.FINISH, f"{alter} DROP CONSTRAINT {helper}", f"the check on {child} has done its work",
        wants=[("joined", child)], **strong,
    )  # fmt: skip


def _join(work: Work, edge: Edge) -> Step:
    parent, child = Key("table", edge.parent), Key("table", edge.child)
    later = {whole for whole in work.trees.parts.values() if whole in work.makes and not work.lent(whole)}
    above = [each for each in work.goal.members(parent) if each.kind in {"column", "constraint", "index"}]
    # One that lacks parts comes when every table has joined, or PostgreSQL would make what it lacks.
    later |= {
        each
        for each in above
        if each in work.makes and not work.lent(each) and not getattr(work.goal.objects[each], "valid", True)
    }
    own = [
        each
        for each in work.goal.members(child)
        if work.trees.parts.get(each) not in later and each.kind != "trigger"
    ]
    wants: set[Token] = {_there(work, each) for each in (parent, child, *own, *above) if each not in later}
    foreign = {each for each in above if getattr(work.goal.objects[each], "type", "") == "foreign"}
    wants -= {ready(each) for each in foreign}
    wants.add(("fits", "proved", child.path))
    wants |= {gone(each) for each in work.was.children(parent) if each in work.found.dropped}
    wants |= _unlike(work, parent, child)
    wants |= {("left", str(Key("table", each.parent)), each.child) for each in work.trees.leaving}
    wants |= {("joined", *_names(each)) for each in work.trees.joining if each.child == edge.parent}
    triggers = [each for each in work.base.members(child) if each.kind == "trigger" and each in work.drops]
    wants |= {gone(each) for each in triggers}
    hazards: list[Hazard] = []
    if edge.bound:
        sql = f"ALTER TABLE {parent.name} ATTACH PARTITION {child.name} {edge.bound}"
        why = f"make {child} a partition of {parent.name}"
        lock = LockMode.ACCESS_EXCLUSIVE
        if not work.is_new(child):
            read = f"{child.name} is read ({work.rows(child)}) while queries on it wait"
            fail = f"rows of {child.name} that are not {edge.bound} make this fail"
            hazards = [hazard("may_fail_on_data", child.name, fail)]
            hazards += [] if _checked(work, edge) else [hazard("blocks_reads", child.name, read)]
        defaults = [each for each in work.was.children(parent) if _is_default(work, each)]
        for each in defaults:
            detail = (
                f"rows of {each.name} that belong to {child.name} make this fail, and it is read for that"
            )
            hazards.append(hazard("may_fail_on_data", each.name, detail))
        tables = [child, *defaults]
    else:
        sql = f"ALTER TABLE {child.name} INHERIT {parent.name}"
        why = f"let {child} inherit from {parent.name}"
        lock, tables = LockMode.ACCESS_EXCLUSIVE, [child]
    order = [each for each in work.trees.joining if each.child == edge.child]
    at = order.index(edge)
    wants |= {("joined", *_names(each)) for each in order[:at]}
    return work.step(
        child, Phase.ATTACH, sql, why, tables=tables, lock=lock if tables else LockMode.SHARE_UPDATE_EXCLUSIVE,
        heavy=True, gives=[("joined", *_names(edge)), ("joined", child)], wants=wants, hazards=tuple(hazards),
    )  # fmt: skip


def _unlike(work: Work, parent: Key, child: Key) -> set[Token]:
    """Columns and checks that only one of two tables has until they are dropped: they cannot join before."""
    columns = [each.key for table in (parent, child) for each in work.base.columns_of(table)]
    checks = [
        each for each in work.base.members(parent) if getattr(work.base.objects[each], "type", "") == "check"
    ]
    return {gone(each) for each in (*columns, *checks) if each in work.found.dropped}


def _there(work: Work, key: Key) -> Token:
    """That something is there; of an index with parts, that it is there without them."""
    return ("shell", key) if key in work.makes and key in work.trees.parts.values() else ready(key)


def _names(edge: Edge) -> tuple[str, tuple[str, ...]]:
    return str(Key("table", edge.parent)), edge.child


def _is_default(work: Work, key: Key) -> bool:
    thing = work.base.objects.get(key)
    return isinstance(thing, Table) and thing.bound == "DEFAULT" and key in work.goal.objects


def _attached(work: Work) -> Iterator[Step]:
    """Each part that is new, or whose whole is, is attached; the whole becomes valid with the last one."""
    pending: dict[Key, Key] = {}
    for key in (*work.goal.of_kind("index"), *work.goal.of_kind("constraint")):
        whole = work.will.whole(key)
        if whole is not None and (key in work.makes or whole in work.makes or work.was.whole(key) != whole):
            pending[key] = whole
    pending |= {key: whole for key, whole in work.trees.parts.items() if whole in work.makes}
    for key, whole in sorted(pending.items()):
        table = table_of_part(work, key)
        inner: set[Token] = {("attached", each) for each, other in pending.items() if other == key}
        yield work.step(
            key,
            Phase.FINISH,
            f"ALTER INDEX {dotted(whole.path[0], whole.path[-1])} ATTACH PARTITION {dotted(key.path[0], key.path[-1])}",
            f"make {key} a part of {whole}",
            tables=[table],
            lock=LockMode.ACCESS_SHARE,
            gives=[("attached", key), ready(whole)],
            wants=[ready(key), ("shell", whole), ("joined", table), *inner],
        )


def table_of_part(work: Work, key: Key) -> Key:
    """The table of an index or key in the goal."""
    thing = work.goal.objects[key]
    return Key("table", thing.table) if isinstance(thing, Index) else key.parent


def _clones(work: Work) -> Iterator[Step]:
    """Triggers that a partition has from above but that fire differently there."""
    wanted = dict(work.trees.clones)
    for key in sorted(work.makes | work.found.changed):
        thing = work.goal.objects[key]
        if isinstance(thing, Trigger) and thing.cloned:
            wanted[key] = thing
    for key, thing in sorted(wanted.items()):
        yield _fires(work, key, thing.enabled, (ready(key), ("joined", key.parent)))
    for key in sorted(work.drops - work.rebuilt):
        thing_before = work.base.objects[key]
        if not isinstance(thing_before, Trigger) or not thing_before.cloned or work.goes_along(key):
            continue
        table = work.base.objects[key.parent]
        path = table.partition_of if isinstance(table, Table) else ()
        above = work.goal.objects.get(Key("trigger", (*path, key.path[-1])))
        if isinstance(above, Trigger) and above.key not in work.makes and key.parent in work.goal.objects:
            yield _fires(work, key, above.enabled, (ready(above.key),))


def _fires(work: Work, key: Key, enabled: str, wants: tuple[Token, ...]) -> Step:
    above = [("ready", each) for each in work.goal.needs.get(key, ()) if each.kind == "trigger"]
    return work.step(
        key, Phase.FINISH, f"ALTER TABLE {key.parent.name} {enabled} TRIGGER {quote(key.path[-1])}",
        f"{enabled.lower()} {key}, which it has from the table above", tables=[key.parent],
        lock=LockMode.SHARE_ROW_EXCLUSIVE, wants=[*wants, *above],
    )  # fmt: skip


def refused(work: Work) -> Iterator[str]:
    """What PostgreSQL cannot change about tables in trees."""
    yield from work.trees.refused
    moving = {each for each in work.retyped | work.drops if each.kind == "column"}
    for key in sorted(moving):
        table = work.base.objects[key.parent]
        if not isinstance(table, Table) or key.parent not in work.goal.objects:
            continue
        below = [key.parent, *work.was.below(key.parent)]
        for each in below:
            thing = work.base.objects[each]
            if isinstance(thing, Table) and key.path[-1] in identifiers(
                thing.partition_key.partition("(")[2]
            ):
                yield f"{key} is to change, but {each} is partitioned by it"
