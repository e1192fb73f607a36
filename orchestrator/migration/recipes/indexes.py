"""Indexes: built and dropped beside the traffic; a changed one is built before the old one goes. Pure: no I/O."""

from collections.abc import Iterable, Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.index_keys import index_keys
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard, Probe
from orchestrator.migration.step import Phase, Step, Token, gone, ready, released, slots
from orchestrator.migration.work import PATIENT_MS, QUICK_LOCK_MS, Work, table_key
from orchestrator.schema.names import HELPER_PREFIX, Key, dotted, quote
from orchestrator.schema.objects import Index


def refused(work: Work) -> list[str]:
    """Indexes that the goal has INVALID; one of a partitioned table just lacks parts, and is made as it is there."""
    return [
        f"{key} is INVALID in the goal (rebuild it there)"
        for key in sorted(work.found.added | work.found.changed)
        if isinstance(thing := work.goal.objects[key], Index)
        and not thing.valid
        and not work.will.is_partitioned(table_key(thing))
    ]


def steps(work: Work) -> Iterator[Step]:
    """Steps for every index that differs."""
    adopted = set(work.adopted.values())
    for key in sorted(work.makes):
        if key.kind == "index":
            if key in work.rebuilt and key not in work.hard and work.before(key, Index).valid:
                yield from _swap(work, key)
            else:
                yield from _create(work, key, work.making(key))
            yield from _statistics(work, key, (), work.after(key, Index).statistics)
    for key in sorted(work.found.changed - work.rebuilt):
        if key.kind == "index":
            yield from _statistics(
                work, key, work.before(key, Index).statistics, work.after(key, Index).statistics
            )
    for key in sorted(work.drops - adopted):
        if key.kind == "index" and not work.goes_along(key):
            before = work.before(key, Index)
            if key not in work.rebuilt or key in work.hard or not before.valid:
                yield _drop(work, key, before)


def joining_below(work: Work, whole: Key, table: Key) -> list[Key]:
    """Tables that join this one in the same plan, before it gets an index of the whole tree."""
    if work.lent(whole):
        return []
    return [Key("table", edge.child) for edge in work.trees.joining if edge.parent == table.path]


def _create(work: Work, key: Key, tokens: tuple[frozenset[Token], frozenset[Token]]) -> Iterator[Step]:
    thing = work.after(key, Index)
    table = table_key(thing)
    # On what is made again in the same transaction, nobody can wait for a plain build.
    new = work.is_new(table) or table in work.rebuilt
    unique = "UNIQUE " if thing.unique else ""
    if work.will.is_partitioned(table):
        yield work.step(
            key, Phase.ATTACH if new else Phase.BUILD,
            f"CREATE {unique}INDEX {quote(key.path[-1])} ON ONLY {table.name} USING {thing.definition}",
            f"create {key}; the indexes of its partitions become parts of it", tokens, tables=[table],
            lock=LockMode.SHARE, gives=[("shell", key)],
            wants=[("joined", each) for each in joining_below(work, key, table)],
        )  # fmt: skip
        return
    hazards: list[Hazard] = []
    if not new:
        hazards.append(hazard("builds_index", table.name, f"{table.name} is read"))
        if thing.unique:
            detail = f"rows of {table.name} that are equal in {key.name} make this fail"
            hazards.append(hazard("may_fail_on_data", key.name, detail))
    yield work.step(
        key,
        Phase.ATTACH if new else Phase.BUILD,
        f"CREATE {unique}INDEX {'' if new else 'CONCURRENTLY '}{quote(key.path[-1])} ON {table.name}"
        f" USING {thing.definition}",
        f"build {key}" + ("" if new else "; reads and writes go on"),
        tokens,
        tables=[table],
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        heavy=True,
        transactional=new,
        hazards=tuple(hazards),
        probes=_duplicates(work, key, thing) if thing.unique and not new else (),
        lock_timeout_ms=QUICK_LOCK_MS if new else PATIENT_MS,
    )


def _duplicates(work: Work, key: Key, thing: Index) -> tuple[Probe, ...]:
    """The rows that a unique index refuses; nothing when it needs what is not there yet, or not yet in its new form."""
    keys = index_keys(thing.definition)
    if keys is None or work.unready(key):
        return ()
    return (work.probing(table_key(thing)).duplicates_in(keys, subject=key.name),)


def _swap(work: Work, key: Key) -> Iterator[Step]:
    """The old index steps aside under a helper's name, works on until the new one is built, then goes."""
    before = work.before(key, Index)
    table = table_key(before)
    aside = helper_name("old", key, before.definition)
    away: Token = ("away", "index", key.path)
    yield work.step(
        key,
        Phase.BUILD,
        f"ALTER INDEX {key.name} RENAME TO {quote(aside)}",
        f"{key} steps aside while its new form is built",
        tables=[table],
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        gives=[away, *slots(key)],
        wants=[("helper", "index", (key.path[0], aside))],
    )
    gives, wants = work.making(key)
    yield from _create(work, key, (gives, wants | {away}))
    if work.was.whole(key) in work.drops:
        return  # goes with the one above
    needs = work.base.needs.get(key, ())
    if work.was.is_partitioned(table):
        yield work.step(
            key, Phase.DROP, f"DROP INDEX IF EXISTS {dotted(key.path[0], aside)}{_with_keys(work, key)}",
            "the new form is built: drop the old one with its parts", tables=[table], lock=LockMode.ACCESS_EXCLUSIVE,
            gives=[gone(key), *(released(each) for each in needs)], wants=[ready(key)],
        )  # fmt: skip
        return
    yield _dropped(
        work, key, dotted(key.path[0], aside), table, "the new form is built: drop the old one",
        gives=[gone(key), *(released(each) for each in needs)], wants=[ready(key)],
    )  # fmt: skip


def _with_keys(work: Work, key: Key) -> str:
    """CASCADE where a part of an index is a partition's own key, which PostgreSQL drops in no other way.

    Whatever stands on such a key is dropped by a statement of its own before, so nothing else goes.
    """
    parts = list(work.was.parts(key))
    for part in parts:
        parts += work.was.parts(part)
    return " CASCADE" if any(part.kind == "constraint" for part in parts) else ""


def _drop(work: Work, key: Key, before: Index) -> Step:
    gives, wants = work.dropping(key)
    table = table_key(before)
    if key in work.hard or work.was.is_partitioned(table):
        return work.step(
            key, Phase.TAKE_DOWN if key in work.hard else Phase.DROP, f"DROP INDEX {key.name}{_with_keys(work, key)}",
            f"drop {key}" + (": what it stands on changes" if key in work.hard else ", which the goal does not have"),
            (gives, wants), tables=[table], lock=LockMode.ACCESS_EXCLUSIVE, hazards=_missed(work, key, before),
        )  # fmt: skip
    if not before.valid:
        why = f"{key} was left INVALID by an interrupted build: away with it"
        return _dropped(work, key, key.name, table, why, gives=gives, wants=wants, repair=True)
    return _dropped(
        work,
        key,
        key.name,
        table,
        f"drop {key}, which the goal does not have",
        gives=gives,
        wants=wants,
        hazards=_missed(work, key, before),
    )


def _missed(work: Work, key: Key, before: Index) -> tuple[Hazard, ...]:
    """That queries may miss an index: not when it comes again, nor when another one of the goal is the same."""
    if key in work.goal.objects:
        return ()
    for each in work.goal.members(table_key(before)):
        thing = work.goal.objects[each]
        if isinstance(thing, Index) and (thing.definition, thing.unique) == (
            before.definition,
            before.unique,
        ):
            return ()
    detail = f"queries that find rows by USING {before.definition} may read all of {table_key(before).name}"
    return (hazard("drops_index", key.name, detail),)


def _dropped(
    work: Work,
    key: Key,
    name: str,
    table: Key,
    why: str,
    *,
    gives: Iterable[Token],
    wants: Iterable[Token],
    repair: bool = False,
    hazards: tuple[Hazard, ...] = (),
) -> Step:
    # An index under a helper's name may have gone with a column that the plan drops.
    if_exists = "IF EXISTS " if HELPER_PREFIX in name else ""
    return work.step(
        key,
        Phase.REPAIR if repair else Phase.DROP,
        f"DROP INDEX CONCURRENTLY {if_exists}{name}",
        why,
        tables=[table],
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        transactional=False,
        lock_timeout_ms=PATIENT_MS,
        repair=repair,
        hazards=hazards,
        gives=gives,
        wants=wants,
    )


def _statistics(
    work: Work, key: Key, before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]
) -> Iterator[Step]:
    old, new = dict(before), dict(after)
    for number in sorted(old.keys() | new.keys(), key=int):
        if old.get(number) != new.get(number):
            yield work.step(
                key, Phase.FINISH,
                f"ALTER INDEX {key.name} ALTER COLUMN {number} SET STATISTICS {new.get(number, '-1')}",
                f"change the statistics target of {key}", wants=[ready(key)],
            )  # fmt: skip
