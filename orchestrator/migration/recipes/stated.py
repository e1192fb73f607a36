"""Policies, rules, operators and what else one statement says: create, change parts, make again, drop. Pure: no I/O."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import TYPES, Key
from orchestrator.schema.objects import Part, Stated

#: The lock that making, and dropping, one takes on its relation (Postgres docs, 13.3).
_LOCKS = {
    "policy": (LockMode.ACCESS_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE),
    "rule": (LockMode.ACCESS_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE),
    "statistics": (LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE_UPDATE_EXCLUSIVE),
}

#: What makes code fail, or do something else, once it is gone.
_USED = frozenset(
    {
        "aggregate",
        "base type",
        "cast",
        "collation",
        "foreign table",
        "language",
        "operator",
        "policy",
        "rule",
        "server",
        "text search configuration",
        "text search dictionary",
        "user mapping",
    }
)

#: What works on our own statements as well: made last, taken down first.
_WATCHES = frozenset({"event trigger"})


def in_place(before: Stated, after: Stated) -> bool:
    """Whether only parts differ, and each of them can be changed or taken away."""
    if (before.create, before.more_names) != (after.create, after.more_names):
        return False
    old = {part[0]: part for part in before.parts}
    new = {part[0]: part for part in after.parts}
    return all(
        part[3] or name.rpartition("/")[0] in old.keys() - new.keys()
        for name, part in old.items()
        if name not in new or (new[name] != part and not new[name][2])
    )


def refused(work: Work, key: Key) -> str | None:
    """A password that is missing or another: it is never shown, so no statement can hold it."""
    thing = work.goal.objects.get(key)
    before = work.base.objects.get(key)
    if not isinstance(thing, Stated):
        return None
    had = before.secrets if isinstance(before, Stated) else ()
    if thing.secrets == had and not (had and key in work.rebuilt):
        return None
    names = ", ".join(
        sorted({name for name, _ in set(thing.secrets) ^ set(had)} or {name for name, _ in had})
    )
    return f"{key} holds what is never shown, and it differs: {names}"


def stuck(work: Work) -> list[str]:
    """Base types that change: nothing can move values from the old form to the new one."""
    said = [f"{key} differs" for key in sorted(work.rebuilt) if key.kind == "base type"]
    return said + [
        f"{key} is to become a shell"
        for key in sorted(work.found.dropped)
        if key.kind == "base type" and Key("shell type", key.path) in work.goal.objects
    ]


def steps(work: Work) -> Iterator[Step]:
    """Steps for every object of these kinds that differs."""
    for key in sorted(work.makes):
        thing = work.goal.objects[key]
        if isinstance(thing, Stated) and key.kind not in TYPES:
            yield from _made(work, key, thing)
    for key in sorted(work.found.changed - work.rebuilt):
        thing = work.goal.objects[key]
        if isinstance(thing, Stated) and key.kind not in TYPES:
            yield from _changed(work, key, work.before(key, Stated), thing)
    for key in sorted(work.drops):
        thing = work.base.objects[key]
        if isinstance(thing, Stated) and key.kind not in TYPES and not work.goes_along(key):
            yield _dropped(work, key, thing)


def _dropped(work: Work, key: Key, thing: Stated) -> Step:
    again = key in work.rebuilt
    early = again or key.kind in _WATCHES
    return work.step(
        key, Phase.TAKE_DOWN if early else Phase.DROP, thing.drop or f"DROP {thing.noun} {thing.called}",
        f"drop {key}" + (", to make it again in its new form" if again else ", which the goal does not have"),
        work.dropping(key), tables=[thing.of] if thing.of else [], hazards=tuple(_lost(key, again=again)),
        lock=_LOCKS.get(key.kind, (LockMode.NONE, LockMode.NONE))[1],
    )  # fmt: skip


def _lost(key: Key, *, again: bool) -> Iterator[Hazard]:
    if key.kind == "publication":
        yield hazard(
            "breaks_running_code",
            str(key),
            "subscribers get nothing more" + (" until they refresh their subscription" if again else ""),
        )
    elif key.kind in _USED and not again:
        yield hazard("breaks_running_code", str(key), f"code that counts on {key} fails from here on")


def _made(work: Work, key: Key, thing: Stated) -> Iterator[Step]:
    lock = _LOCKS.get(key.kind, (LockMode.NONE, LockMode.NONE))[0]
    tables = [thing.of] if thing.of else []
    phase = Phase.ATTACH if thing.of else Phase.CREATE
    if key.kind in _WATCHES:
        phase = Phase.FINISH
    yield work.step(
        key, phase, thing.whole or thing.create, f"create {key}", work.making(key), tables=tables, lock=lock
    )
    previous: list[Token] = [ready(key)]
    for i, (name, add, _, _) in enumerate(thing.parts):
        if thing.whole and not name.startswith("+"):
            continue
        token: Token = ("finished", str(i), key.path)
        yield work.step(
            key, phase, add, f"finish {key}", wants=previous, gives=[token], tables=tables, lock=lock
        )
        previous = [token]


def _changed(work: Work, key: Key, before: Stated, after: Stated) -> Iterator[Step]:
    """Parts are taken away from the end, then added and changed from the beginning."""
    lock = _LOCKS.get(key.kind, (LockMode.NONE, LockMode.NONE))[0]
    tables = [after.of] if after.of else []
    gives, wants = work.changing(key)
    away, add = _parts(before, after)
    # What the goal does not have is let go of before it is dropped; what it has anew is there before it is named.
    lets_go = frozenset(token for token in gives if token[0] == "released")
    previous: list[Token] = []
    said = [("take away", *each) for each in away] + [("set", *each) for each in add]
    for i, (verb, name, sql) in enumerate(said):
        token: Token = ("changed", str(i), (key.kind, *key.path))
        given = (gives if i == len(said) - 1 else frozenset()) - (
            lets_go if away and verb == "set" else frozenset()
        )
        yield work.step(
            key, Phase.CHANGE, sql, f"{verb} {name.lstrip('+')} of {key}",
            (given | (lets_go if i == len(away) - 1 else frozenset()), wants if verb == "set" else frozenset()),
            wants=previous, gives=[token], tables=tables, lock=lock, hazards=tuple(_less(key, verb, name)),
        )  # fmt: skip
        previous = [token]


def _less(key: Key, verb: str, name: str) -> Iterator[Hazard]:
    if key.kind == "publication" and verb == "take away":
        yield hazard("breaks_running_code", str(key), f"subscribers get nothing more of {name}")


def _parts(before: Stated, after: Stated) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What to take away and what to add or change: (name, statement)."""
    old: dict[str, Part] = {part[0]: part for part in before.parts}
    new: dict[str, Part] = {part[0]: part for part in after.parts}
    gone_now = [
        name for name, part in old.items() if name not in new or (new[name] != part and not new[name][2])
    ]
    away = [(name, old[name][3]) for name in reversed(gone_now) if name.rpartition("/")[0] not in gone_now]
    add = []
    for name, adding, change, _ in after.parts:
        was = old.get(name)
        fresh = was is None or name in gone_now or name.rpartition("/")[0] in gone_now
        if fresh:
            add.append((name, adding))
        elif was is not None and was[1] != adding:
            add.append((name, change))
    return away, add
