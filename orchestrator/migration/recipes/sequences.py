"""Sequences: create, alter, own, drop; and their value when they begin to count for rows that are there. Pure."""

from collections.abc import Iterator

from orchestrator.migration.locks import LockMode
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Column, Sequence, Table
from orchestrator.schema.privileges import identity_sequence

#: The largest value of each sequence type; the smallest is its negative minus one.
LIMITS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def options(thing: Sequence) -> str:
    """All options that are not what CREATE SEQUENCE would choose itself."""
    up = thing.increment > 0
    limit = LIMITS[thing.type]
    low, high = (1, limit) if up else (-limit - 1, -1)
    words = [f"AS {thing.type}"] if thing.type != "bigint" else []
    words += [f"INCREMENT BY {thing.increment}"] if thing.increment != 1 else []
    words += [f"MINVALUE {thing.minimum}"] if thing.minimum != low else []
    words += [f"MAXVALUE {thing.maximum}"] if thing.maximum != high else []
    words += [f"START WITH {thing.start}"] if thing.start != (thing.minimum if up else thing.maximum) else []
    words += [f"CACHE {thing.cache}"] if thing.cache != 1 else []
    words += ["CYCLE"] if thing.cycle else []
    return "".join(f" {word}" for word in words)


def steps(work: Work) -> Iterator[Step]:
    """Steps for every sequence that differs."""
    for key in sorted(work.found.added):
        if key.kind == "sequence":
            thing = work.after(key, Sequence)
            unlogged = "UNLOGGED " if thing.unlogged else ""
            sql = f"CREATE {unlogged}SEQUENCE {key.name}{options(thing)}"
            yield work.step(key, Phase.CREATE, sql, f"create {key}", work.making(key))
            if thing.owned_by:
                yield _owned(work, key, thing)
    for key in sorted(work.found.changed):
        if key.kind == "sequence":
            yield from _altered(work, key)
    yield from _logged(work)
    for key in sorted(work.found.dropped):
        if key.kind == "sequence" and not work.goes_along(key):
            yield work.step(key, Phase.DROP, f"DROP SEQUENCE {key.name}", f"drop {key}", work.dropping(key))


def _logged(work: Work) -> Iterator[Step]:
    """The sequence of an identity column is logged as its table is, and changes with it, unless somebody says so."""
    turned = {
        key
        for key in work.found.changed
        if key.kind == "table" and work.before(key, Table).unlogged != work.after(key, Table).unlogged
    }
    columns = {key for key in work.makes | work.found.changed if key.kind == "column"}
    for key in sorted(columns | {each for table in turned for each in work.goal.members(table)}):
        after = work.goal.objects[key]
        if not isinstance(after, Column) or after.identity is None:
            continue
        before = work.base.objects.get(key)
        kept = (
            isinstance(before, Column)
            and before.identity
            and key not in work.makes
            and key.parent not in turned
        )
        was = (
            dict(before.identity_sequence).get("persistence") if kept and isinstance(before, Column) else None
        )
        will = dict(after.identity_sequence).get("persistence")
        if was == will:
            continue
        word = will or ("LOGGED" if was == "UNLOGGED" else "UNLOGGED")
        yield work.step(
            key, Phase.FINISH, f"ALTER SEQUENCE {identity_sequence(after)} SET {word}",
            f"make the sequence of {key} {word.lower()}", tables=[key.parent], lock=LockMode.ACCESS_EXCLUSIVE,
            wants=[ready(key), ready(key.parent)],
        )  # fmt: skip


def _owned(work: Work, key: Key, thing: Sequence) -> Step:
    owner = dotted(*thing.owned_by) if thing.owned_by else "NONE"
    why = f"let {key} go with column {owner}" if thing.owned_by else f"let {key} stand alone"
    wants = [ready(Key("column", thing.owned_by))] if thing.owned_by else []
    return work.step(
        key, Phase.ATTACH, f"ALTER SEQUENCE {key.name} OWNED BY {owner}", why, gives=[("owned", key)],
        wants=[*wants, ready(key), *([("owner", key)] if thing.owned_by else [])],
    )  # fmt: skip


def _altered(work: Work, key: Key) -> Iterator[Step]:
    before, after = work.before(key, Sequence), work.after(key, Sequence)
    if before.unlogged != after.unlogged:
        word = "UNLOGGED" if after.unlogged else "LOGGED"
        yield work.step(
            key, Phase.CHANGE, f"ALTER SEQUENCE {key.name} SET {word}", f"make {key} {word.lower()}"
        )
    changes = [f" AS {after.type}"] if before.type != after.type else []
    for name, word in (("increment", "INCREMENT BY"), ("minimum", "MINVALUE"), ("maximum", "MAXVALUE")):
        if getattr(before, name) != getattr(after, name) or (name != "increment" and changes):
            changes.append(f" {word} {getattr(after, name)}")
    changes += [f" START WITH {after.start}"] if before.start != after.start else []
    changes += [f" CACHE {after.cache}"] if before.cache != after.cache else []
    changes += [" CYCLE" if after.cycle else " NO CYCLE"] if before.cycle != after.cycle else []
    if changes:
        token = ("free", "range", key.path)
        narrower = after.minimum > before.minimum or after.maximum < before.maximum
        low, high = max(before.minimum, after.minimum), min(before.maximum, after.maximum)
        if narrower and low <= high:
            yield work.step(
                key,
                Phase.CHANGE,
                f"SELECT pg_catalog.setval({literal(key.name)}, greatest(least(last_value, {high}), {low}), is_called)"
                f" FROM {key.name}",
                f"bring the value of {key} into its new range",
                gives=[token],
            )
        yield work.step(
            key, Phase.CHANGE, f"ALTER SEQUENCE {key.name}{''.join(changes)}", f"change the options of {key}",
            work.changing(key), wants=[token],
        )  # fmt: skip
    if before.owned_by != after.owned_by:
        yield _owned(work, key, after)


def counting(work: Work, key: Key, sequence: str, start: int, *, wants: tuple[Token, ...]) -> Step:
    """Let a sequence that begins to count for a column with rows go on after their largest value."""
    table = Key("table", key.path[:2])
    column = quote(key.path[-1])
    return work.step(
        key,
        Phase.CHANGE,
        f"SELECT pg_catalog.setval({literal(sequence)}, greatest(coalesce(max({column}), 0) + 1, {start}), false)"
        f" FROM {table.name}",
        f"let the numbers of {key} go on after the largest one that is there",
        tables=[table],
        lock=LockMode.ACCESS_SHARE,
        heavy=True,
        wants=wants,
    )
