"""Leftovers: helpers of an interrupted run that this plan does not make itself go; those it would make stay. Pure."""

from collections.abc import Iterator

from orchestrator.migration.helpers import helper_name
from orchestrator.migration.locks import LockMode
from orchestrator.migration.recipes import online, online_add
from orchestrator.migration.step import Phase, Step, Token
from orchestrator.migration.work import PATIENT_MS, Work
from orchestrator.schema.names import Key, dotted, quote
from orchestrator.schema.objects import Leftover

#: Who goes before whom: a trigger before its function, everything on a column before the column.
_ORDER = ("constraint", "index", "trigger", "column", "function", "sequence")
#: These go table by table, in one transaction each: a column that must not be null refuses rows as soon as the trigger
#: that fills it is gone.
_BOUND = frozenset({"trigger", "column"})


def steps(work: Work) -> Iterator[Step]:
    """Helper objects that an interrupted run left: those in the way go first, usable ones that we adopt stay."""
    keys = {
        Key(
            "index", (key.path[0], helper_name("key", key, getattr(work.goal.objects[key], "definition", "")))
        )
        for key in work.makes
        if key.kind == "constraint" and key in work.goal.objects
    }
    wanted = keys | online.wanted(work) | online_add.wanted(work)
    last: list[Token] = []
    for each in sorted(work.base.leftovers, key=_place):
        if each.valid and each.key in wanted:
            continue
        step = _gone(work, each, last)
        if each.key.kind != "index":
            last.append(("left over", each.key))
        yield step


def _place(each: Leftover) -> tuple[int, tuple[str, ...], int, Key]:
    kind = each.key.kind
    at, bound = _ORDER.index(kind), kind in _BOUND
    return (_ORDER.index("trigger") if bound else at, each.table if bound else (), at, each.key)


def _gone(work: Work, each: Leftover, before: list[Token]) -> Step:
    kind, path = each.key.kind, each.key.path
    if kind == "function":
        return work.step(
            each.key, Phase.REPAIR, f"DROP FUNCTION IF EXISTS {dotted(*path[:2])}({path[2]})",
            f"remove what an interrupted run left in schema {quote(path[0])}", repair=True, wants=before,
            gives=[("left over", each.key)],
        )  # fmt: skip
    table = Key("table", each.table)
    # A part of an index goes with the whole, and cannot go before it.
    above = [
        other
        for other in work.base.leftovers
        if other.key.kind == "index" and other.table in _up(work, table)
    ]
    now = work.today.table(table.path)  # before any rename
    why = f"remove what an interrupted run left on {table}"
    if kind == "index" and work.was.is_partitioned(table):
        return work.step(
            each.key, Phase.DROP if each.valid else Phase.REPAIR, f"DROP INDEX IF EXISTS {each.key.name}",
            f"{why}, with its parts", tables=[table], lock=LockMode.ACCESS_EXCLUSIVE, repair=True,
            gives=[("left over", each.key), ("helper", "index", path)],
        )  # fmt: skip
    if kind == "index":
        return work.step(
            each.key,
            Phase.DROP if each.valid else Phase.REPAIR,
            f"DROP INDEX CONCURRENTLY IF EXISTS {each.key.name}",
            why,
            tables=[table],
            lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
            transactional=False,
            lock_timeout_ms=PATIENT_MS,
            repair=True,
            gives=[("helper", "index", path)],
            wants=[("left over", other.key) for other in above],
        )
    name = quote(path[-1])
    sql = {
        "constraint": f"ALTER TABLE {now} DROP CONSTRAINT IF EXISTS {name}",
        "trigger": f"DROP TRIGGER IF EXISTS {name} ON {now}",
        "column": f"ALTER TABLE {now} DROP COLUMN IF EXISTS {name}",
        "sequence": f"DROP SEQUENCE IF EXISTS {each.key.name}",
    }[kind]
    return work.step(
        each.key, Phase.REPAIR, sql, why, tables=[table], lock=LockMode.ACCESS_EXCLUSIVE, repair=True, wants=before,
        gives=[("left over", each.key), ("helper", kind, path)],
    )  # fmt: skip


def _up(work: Work, table: Key) -> set[tuple[str, ...]]:
    """The paths of the tables above one, all the way up."""
    found: set[tuple[str, ...]] = set()
    queue = list(work.was.parents(table.path))
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += work.was.parents(path)
    return found
