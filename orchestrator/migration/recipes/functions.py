"""Functions, procedures and triggers: replaced in place where PostgreSQL allows. Pure: no I/O of any kind."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Function, Trigger
from orchestrator.schema.texts import identifiers

_CONSTRAINT = "CREATE CONSTRAINT TRIGGER"


def replaceable(before: Function, after: Function) -> bool:
    """Whether CREATE OR REPLACE can do it: same result, argument names, defaults and kind."""
    return before.shape == after.shape and before.routine == after.routine


def trigger_replaceable(before: Trigger, after: Trigger) -> bool:
    """Whether CREATE OR REPLACE TRIGGER can do it; not for constraint triggers."""
    return not any(each.definition.startswith(_CONSTRAINT) for each in (before, after))


def steps(work: Work) -> Iterator[Step]:
    """Steps for every function, procedure and trigger that differs."""
    named: dict[str, list[Key]] = {}
    for key in work.makes | work.found.changed:
        if key.kind in {"table", "view", "function"}:
            named.setdefault(key.path[1], []).append(key)
    for key in sorted(work.makes | work.found.changed):
        if key.kind == "function":
            yield from _function(work, key, named)
        elif key.kind == "trigger" and not work.after(key, Trigger).cloned:
            yield from _trigger(work, key)
    for key in sorted(work.drops):
        if key.kind == "function" and work.goes_along(key):
            continue  # a base type's own
        again = key in work.rebuilt
        why = f"drop {key}" + (
            ", to make it again in its new form" if again else ", which the goal does not have"
        )
        if key.kind == "function":
            noun = work.before(key, Function).routine.upper()
            broken = hazard(
                "breaks_running_code", key.name, f"code that still calls {key.name} fails from here on"
            )
            yield work.step(
                key, Phase.TAKE_DOWN if again else Phase.DROP, f"DROP {noun} {key.name}", why, work.dropping(key),
                hazards=() if again else (broken,),
            )  # fmt: skip
        elif key.kind == "trigger" and not work.before(key, Trigger).cloned and not work.goes_along(key):
            yield work.step(
                key, Phase.TAKE_DOWN if again else Phase.DROP,
                f"DROP TRIGGER {quote(key.path[-1])} ON {key.parent.name}", why, work.dropping(key),
                tables=[key.parent], lock=LockMode.ACCESS_EXCLUSIVE,
            )  # fmt: skip


def _function(work: Work, key: Key, named: dict[str, list[Key]]) -> Iterator[Step]:
    thing = work.after(key, Function)
    new = key in work.makes
    if not new and work.before(key, Function).definition == thing.definition:
        return
    # pg_depend does not look into bodies written as text: what they name had better be there first.
    hopes: set[Token] = {
        ready(other)
        for name in identifiers(thing.definition)
        for other in named.get(name, ())
        if other != key
    }
    yield work.step(
        key, Phase.CREATE, thing.definition, f"create {key}" if new else f"replace {key} in place",
        work.making(key) if new else work.changing(key), hopes=frozenset(hopes),
    )  # fmt: skip


def _trigger(work: Work, key: Key) -> Iterator[Step]:
    thing = work.after(key, Trigger)
    new = key in work.makes
    before = None if new else work.before(key, Trigger)
    if before is None or before.definition != thing.definition:
        sql = thing.definition.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1)
        yield work.step(
            key, Phase.ATTACH, sql, f"create {key}" if new else f"replace {key} in place",
            work.making(key) if new else work.changing(key), tables=[key.parent], lock=LockMode.SHARE_ROW_EXCLUSIVE,
        )  # fmt: skip
    was = before.enabled if before is not None and before.definition == thing.definition else "ENABLE"
    if was != thing.enabled:
        yield work.step(
            key, Phase.ATTACH, f"ALTER TABLE {key.parent.name} {thing.enabled} TRIGGER {quote(key.path[-1])}",
            f"{thing.enabled.lower()} {key}", wants=[ready(key)], tables=[key.parent],
            lock=LockMode.SHARE_ROW_EXCLUSIVE,
        )  # fmt: skip
