"""Constraints: NOT VALID then VALIDATE, keys through an index built beside the traffic. Pure: no I/O."""

import re
from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.locks import LockMode
from orchestrator.migration.narrowing import FAIL
from orchestrator.migration.plan import Probe
from orchestrator.migration.recipes import foreign_parts
from orchestrator.migration.recipes.indexes import joining_below
from orchestrator.migration.recipes.orphans import answered, mended
from orchestrator.migration.recipes.tables import folded, options_changes, options_sql
from orchestrator.migration.step import Phase, Step, Token, gone, ready
from orchestrator.migration.work import PATIENT_MS, Work
from orchestrator.schema.names import Key, dotted, quote
from orchestrator.schema.objects import Constraint
from orchestrator.schema.texts import bracketed

_KEY = re.compile(r"^(PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? (?=\()")


def index_parts(thing: Constraint) -> tuple[str, str, str] | None:
    """``(words, index definition, what follows)`` of a primary key or unique constraint; None for a temporal one.

    E.g. ``("UNIQUE", "btree (a) INCLUDE (b)", " DEFERRABLE")``: the definition as pg_get_indexdef() has it.
    """
    match = _KEY.match(thing.definition)
    if match is None or thing.temporal:  # such a key cannot take an index over
        return None
    columns, rest = bracketed(thing.definition[match.end() :])
    include = ""
    if rest.startswith(" INCLUDE "):
        inner, rest = bracketed(rest.removeprefix(" INCLUDE "))
        include = f" INCLUDE {inner}"
    nulls = match[2] or ""
    storage = f" WITH ({options_sql(thing.index_options)})" if thing.index_options else ""
    return match[1], f"btree {columns}{include}{nulls}{storage}", rest


def steps(work: Work) -> Iterator[Step]:
    """Steps for every constraint that differs."""
    inside = {key for table in work.found.added if table.kind == "table" for key in folded(work, table)}
    for key in sorted(work.makes):
        if key.kind == "constraint":
            thing = work.after(key, Constraint)
            if key in inside:
                yield from _index_options(work, key, (), thing)
            elif work.will.is_partitioned(key.parent) and thing.type in {"primary", "unique", "exclusion"}:
                yield _shell(work, key, thing)
                yield from _index_options(work, key, (), thing)
            elif thing.type in {"primary", "unique"} and not work.is_new(key.parent):
                yield from _key(work, key, thing)
            else:
                yield from _add(work, key, thing)
    for key in sorted(work.found.changed - work.rebuilt):
        if key.kind == "constraint":
            before, after = work.before(key, Constraint), work.after(key, Constraint)
            if after.validated and not before.validated:
                yield from mended(work, key, after, wants=())
                yield _validate(work, key, after, wants=())
            yield from _index_options(work, key, before.index_options, after)
    for key in sorted(work.drops):
        if key.kind == "constraint" and not work.goes_along(key):
            yield _drop(work, key)


def _tables(key: Key, thing: Constraint) -> list[Key]:
    return [key.parent, Key("table", thing.references)] if thing.references else [key.parent]


def _drop(work: Work, key: Key) -> Step:
    thing = work.before(key, Constraint)
    again = key in work.rebuilt
    phase = Phase.TAKE_DOWN if key in work.hard else Phase.FINISH if again else Phase.DROP
    return work.step(
        key,
        phase,
        f"ALTER TABLE {key.parent.name} DROP CONSTRAINT {quote(key.path[-1])}",
        f"drop {key}" + (", to make it again in its new form" if again else ", which the goal does not have"),
        work.dropping(key),
        tables=_tables(key, thing),
        lock=LockMode.ACCESS_EXCLUSIVE,
        wants=[]
        if key in work.hard
        else [("built", "index", each.path) for each in (key, *work.was.parts(key))],
    )


def _shell(work: Work, key: Key, thing: Constraint) -> Step:
    """A key of a partitioned table, ONLY there: it holds when the keys of all partitions are attached to it."""
    gives, wants = work.making(key)
    return work.step(
        key,
        Phase.FINISH,
        f"ALTER TABLE ONLY {key.parent.name} ADD CONSTRAINT {quote(key.path[-1])} {thing.definition}",
        f"add {key}; the keys of its partitions become parts of it",
        (gives, wants),
        tables=[key.parent],
        lock=LockMode.ACCESS_EXCLUSIVE,
        gives=[("shell", key)],
        wants=[("joined", each) for each in joining_below(work, key, key.parent)],
    )


def _probe(work: Work, key: Key, thing: Constraint) -> tuple[Probe, ...]:
    """What the data must not hold; nothing when it needs what is not there yet, or not yet in its new form."""
    if thing.temporal or work.is_new(key.parent) or work.unready(key):
        return ()
    probing = work.probing(key.parent)
    if thing.type == "foreign" and answered(work, key) != FAIL:
        return ()
    if thing.type == "foreign":
        return (probing.orphans(thing),) if Key("table", thing.references) in work.base.objects else ()
    if thing.type == "check":
        return (probing.breaking(thing, bracketed(thing.definition.removeprefix("CHECK "))[0]),)
    if thing.type in {"primary", "unique"}:
        equal = "NULLS NOT DISTINCT" in thing.definition
        return (probing.duplicates(thing.columns, subject=key.name, nulls_equal=equal),)
    return ()


def _add(work: Work, key: Key, thing: Constraint) -> Iterator[Step]:
    """Checks and foreign keys in two steps on a table that is there; anything on a new one in one."""
    new = work.is_new(key.parent)
    two = thing.type in {"check", "foreign"} and (not new or not thing.validated)
    parted = thing.type == "foreign" and thing.validated and work.will.is_partitioned(key.parent)
    two = two and not parted  # NOT VALID is not allowed there before PostgreSQL 18
    sql = f"ALTER TABLE {key.parent.name} ADD CONSTRAINT {quote(key.path[-1])} {thing.definition}"
    foreign = thing.type == "foreign"
    hazards = []
    if not new and work.has_rows(key.parent):
        detail = f"rows of {key.parent.name} that break {quote(key.path[-1])} make its validation fail"
        hazards += [hazard("may_fail_on_data", key.name, detail)] if thing.validated else []
        if not two and not parted:
            wait = f"queries on {key.parent.name} wait while the index of {key} is built"
            hazards.append(hazard("blocks_reads", key.parent.name, wait))
    enforced = not thing.definition.endswith(" NOT ENFORCED")  # else nobody ever looks (PostgreSQL 18)
    two = two and enforced
    later = two and thing.validated
    parted = parted and enforced
    # A row that points at nothing is mended when no more can come, where that is possible.
    yield from mended(work, key, thing, wants=(("added", key),) if later else ())
    old = [gone(each) for each in _departing(work, thing)]
    if parted:
        yield from foreign_parts.steps(work, key, thing, (*work.making(key)[1], *old))
    yield work.step(
        key,
        Phase.FINISH if parted else Phase.ATTACH,
        sql + (" NOT VALID" if two else ""),
        f"add {key}" + ("; existing rows are checked later" if later else ""),
        work.making(key),
        tables=_tables(key, thing),
        lock=LockMode.SHARE_ROW_EXCLUSIVE if foreign else LockMode.ACCESS_EXCLUSIVE,
        heavy=not two,
        gives=[("added", key)],
        wants=old if later else [*old, ("mended", key), ("checked", key)],
        hazards=tuple(hazards),
        probes=_probe(work, key, thing) if thing.validated and enforced else (),
    )
    if later:
        yield _validate(work, key, thing, wants=(("added", key),))
    yield from _index_options(work, key, (), thing)


def _departing(work: Work, thing: Constraint) -> list[Key]:
    """Unique indexes and keys that go: a foreign key takes any that fits, and must not find one of these."""
    if thing.type != "foreign":
        return []
    members = work.base.members(Key("table", thing.references))
    found = [key for key in members if key in work.drops and key not in work.adopted.values()]
    columns = {Key("column", (*thing.references, name)) for name in thing.reference_columns}
    return [
        key
        for key in found
        if key.kind in {"index", "constraint"}
        and columns <= set(work.base.needs.get(key, ()))
        and getattr(work.base.objects[key], "type", "unique") in {"primary", "unique"}
        and getattr(work.base.objects[key], "unique", True)
    ]


def _validate(work: Work, key: Key, thing: Constraint, *, wants: tuple[Token, ...]) -> Step:
    table = key.parent
    return work.step(
        key,
        Phase.VALIDATE,
        f"ALTER TABLE {table.name} VALIDATE CONSTRAINT {quote(key.path[-1])}",
        f"check existing rows against {key}; reads and writes go on",
        tables=[table],
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        wants=(*wants, ("mended", key)),
        alone=True,
        hazards=(hazard("scans_table", table.name, f"{table.name} is read"),),
        probes=() if wants else _probe(work, key, thing),
    )


def _key(work: Work, key: Key, thing: Constraint) -> Iterator[Step]:
    """A primary key or unique constraint: its index first, CONCURRENTLY, then the constraint takes it over."""
    table, parts = key.parent, index_parts(thing)
    if parts is None:
        yield from _add(work, key, thing)
        return
    words, definition, rest = parts
    adopted = work.adopted.get(key)
    gives, wants = work.making(key)
    built: Token = ("built", "index", key.path)
    if adopted is not None:
        name = adopted.path[-1]
        wants -= {("free", "relation", (key.path[0], key.path[-1]))}
    else:
        # Always a helper's name, which the constraint changes into its own: so a build that an interrupted run
        # finished is found again, whatever has happened to the old constraint meanwhile.
        name = helper_name("key", key, thing.definition)
        ready_made = any(
            each.key == Key("index", (key.path[0], name)) and each.valid for each in work.base.leftovers
        )
        if not ready_made:
            yield work.step(
                key,
                Phase.BUILD,
                f"CREATE UNIQUE INDEX CONCURRENTLY {quote(name)} ON {table.name} USING {definition}",
                f"build the index of {key}; reads and writes go on",
                tables=[table],
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                wants=[
                    *(each for each in wants if each[0] == "ready"),
                    ("helper", "index", (key.path[0], name)),
                ],
                gives=[built],
                transactional=False,
                lock_timeout_ms=PATIENT_MS,
                hazards=(
                    hazard("builds_index", table.name, f"{table.name} is read"),
                    hazard("may_fail_on_data", key.name, f"rows of {table.name} that are equal here make this fail"),
                ),
                probes=_probe(work, key, thing),
            )  # fmt: skip
    yield work.step(
        key,
        Phase.FINISH,
        f"ALTER TABLE {table.name} ADD CONSTRAINT {quote(key.path[-1])} {words} USING INDEX {quote(name)}{rest}",
        f"add {key} with the index that is there",
        (gives, wants | {built}),
        tables=[table],
        lock=LockMode.ACCESS_EXCLUSIVE,
        gives=[gone(adopted)] if adopted else [],
    )


def _index_options(
    work: Work, key: Key, before: tuple[tuple[str, str], ...], thing: Constraint
) -> Iterator[Step]:
    """Storage parameters of the index behind a constraint."""
    built_with = thing.type in {"primary", "unique"} and key in work.makes and not work.is_new(key.parent)
    for change in () if built_with else options_changes(before, thing.index_options):
        name = dotted(key.path[0], key.path[-1])
        yield work.step(
            key, Phase.FINISH, f"ALTER INDEX {name} {change}", f"change storage parameters of the index of {key}",
            tables=[key.parent], lock=LockMode.SHARE_UPDATE_EXCLUSIVE, wants=[ready(key)],
        )  # fmt: skip
