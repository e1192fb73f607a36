"""Soft drops: a table moves out of sight, a column gets a reserved name, and both keep what is in them. Pure: no I/O.

What must go at once goes: keys to other tables, triggers, policies, what stands on something that is dropped. What
cannot be kept at all is really dropped, and the hazard says why (decision 0023).
"""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.keeping import Keeps, kept_name
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard
from orchestrator.migration.step import Phase, Step, Token, released
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Column, Constraint, Hidden, Sequence, Stated, Table, table_of


def keeps(work: Work, key: Key) -> Keeps | None:
    """Under which name a table or column is kept aside that is dropped; None: it really goes."""
    if not work.keeping or key in work.rebuilt or _obstacle(work, key):
        return None
    name = kept_name(key, (each.name for each in work.base.hidden))
    return Keeps(name=name, was=key.path, days=work.keeping.days)


def why_not(work: Work, key: Key) -> str:
    """For a hazard's text: why something is not kept aside though that was wanted."""
    reason = _obstacle(work, key) if work.keeping else ""
    return f"; it cannot be kept aside, because {reason}" if reason else ""


def _obstacle(work: Work, key: Key) -> str:  # noqa: PLR0911 - one reason each
    table = work.before(key if key.kind == "table" else key.parent, Table)
    if table.partition_key or table.parents or work.was.children(table.key):
        return "its table is partitioned, a partition or in an inheritance tree"
    if table.of_type:
        return f"its table is one of type {table.of_type}"
    if table.key in work.bare:
        return "its table and others stand on each other"
    for each in (key, table.key):
        for user in work.base.users.get(each, ()):
            if user.kind == "publication":
                return f"{user} publishes it"
    columns = [key] if key.kind == "column" else [each.key for each in work.base.columns_of(key)]
    for column in columns:
        if column == key and work.before(column, Column).generated is not None:
            return "its values are computed from others"
        if away := sorted(_away(work, column, table.key)):
            return f"{column} stands on {away[0]}, which goes or is made anew"
    for each in work.owned.get(key.path, ()) if key.kind == "table" else ():
        if each.path[0] != key.path[0]:
            return f"{each} belongs to it and is in another schema"
    return ""


def _away(work: Work, key: Key, table: Key) -> set[Key]:
    """What an object of a table stands on outside of it that is dropped, or dropped and made again."""
    return {
        each
        for each in work.base.needs.get(key, ())
        if each in work.drops
        and each.kind != "schema"
        and each != table
        and table_of(work.base.objects[each]) != table
    }


def table(work: Work, key: Key, keeps: Keeps) -> Iterator[Step]:
    """A table moves to a schema of its own, with its columns, indexes and sequences."""
    parts = [each for each in work.falls_with(key) if each != key]
    alters: list[str] = []
    drops: list[str] = []
    locked = [key]
    for each in sorted(parts):
        thing = work.base.objects[each]
        foreign = isinstance(thing, Constraint) and thing.references not in {(), key.path[:2]}
        if isinstance(thing, Constraint) and foreign:
            locked.append(Key("table", thing.references))
        if each.kind == "trigger":
            drops.append(f"DROP TRIGGER {quote(each.path[-1])} ON {key.name}")
        elif isinstance(thing, Stated):
            drops.append(thing.drop or f"DROP {thing.noun} {thing.called}")
        elif foreign or (each.kind == "constraint" and _away(work, each, key)):
            alters.append(f"DROP CONSTRAINT {quote(each.path[-1])}")
        elif each.kind == "index" and _away(work, each, key):
            drops.append(f"DROP INDEX {each.name}")
        elif each.kind == "default" and _away(work, each, key):
            alters.append(f"ALTER COLUMN {quote(each.path[-1])} DROP DEFAULT")
    texts = [(f"CREATE SCHEMA {keeps.name}", f"make room to keep {key} aside")]
    texts += [(sql, f"it would not work where {key} is kept aside") for sql in drops]
    if alters:
        texts.append(
            (f"ALTER TABLE {key.name} {', '.join(alters)}", f"{key} is kept without what ties it to others")
        )
    last = (
        f"ALTER TABLE {key.name} SET SCHEMA {keeps.name}",
        f"set {key} aside, which the goal does not have; it is kept for {_days(keeps)}",
    )
    lost = hazard(
        "deletes_data", key.name, f"{key} is set aside with its rows; they are gone after {_days(keeps)}"
    )
    yield from _chain(work, key, keeps, [*texts, last], locked, lost)


def column(work: Work, key: Key, keeps: Keeps) -> Iterator[Step]:
    """A column gets a reserved name, and refuses nothing any more."""
    thing = work.before(key, Column)
    table, name = key.parent, quote(key.path[-1])
    alters = [f"ALTER COLUMN {name} DROP IDENTITY"] if thing.identity else []
    default = Key("default", key.path)
    needed = {each for each in work.base.needs.get(default, ()) if each not in {key, table}}
    if default in work.base.objects and needed:
        alters.append(f"ALTER COLUMN {name} DROP DEFAULT")
    if thing.not_null:
        alters.append(f"ALTER COLUMN {name} DROP NOT NULL")
    texts = [
        (f"ALTER TABLE {table.name} {', '.join(alters)}", f"rows may come without {key} from here on")
    ] * bool(alters)
    texts += [
        (f"DROP SEQUENCE {each.name}", f"{each} counted for {key} alone")
        for each in work.falls_with(key)
        if isinstance(work.base.objects[each], Sequence)
    ]
    last = (
        f"ALTER TABLE {table.name} RENAME COLUMN {name} TO {keeps.name}",
        f"set {key} aside, which the goal does not have; its values are kept for {_days(keeps)}",
    )
    lost = hazard(
        "deletes_data",
        key.name,
        f"{key.name} is set aside with its values; they are gone after {_days(keeps)}",
    )
    yield from _chain(work, key, keeps, [*texts, last], [table], lost)


def _chain(
    work: Work, key: Key, keeps: Keeps, texts: list[tuple[str, str]], tables: list[Key], lost: Hazard
) -> Iterator[Step]:
    """One transaction: the first waits for all who must let go, the last sets the names free."""
    gives, wants = work.dropping(key)
    more = "; SELECT * shows it under its new name" if key.kind == "column" else ""
    broken = hazard(
        "breaks_running_code", key.name, f"code that still names {key.name} fails from here on{more}"
    )
    probing = work.probing(key.parent if key.kind == "column" else key)
    probe = probing.values(key.path[-1]) if key.kind == "column" else probing.rows()
    for i, (sql, why) in enumerate(texts):
        first, last = i == 0, i == len(texts) - 1
        link: Token = ("kept", key.kind, (*key.path, str(i)))
        before: Token = ("kept", key.kind, (*key.path, str(i - 1)))
        yield work.step(
            key, Phase.DROP, sql, why, (gives if last else frozenset(), wants), tables=tables,
            lock=LockMode.ACCESS_EXCLUSIVE, gives=[link], wants=[] if first else [before], alone=first,
            hazards=(lost, broken) if last else (), probes=(probe,) if last else (), keeps=keeps if last else None,
        )  # fmt: skip


def _days(keeps: Keeps) -> str:
    return f"{keeps.days} day{'s' * (keeps.days != 1)}"


def together(ordered: list[Step]) -> list[list[int]]:
    """The statements of each thing that is set aside, or that was and must go now, by their places."""
    places: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for i, step in enumerate(ordered):
        for token in step.gives:
            if token[0] == "kept" and len(token) == 3:
                places.setdefault((token[1], token[2][:-1]), []).append(i)
    return list(places.values())


def steps(work: Work) -> Iterator[Step]:
    """What was set aside earlier and stands in the way of something now must really go, before that."""
    joins = {edge.child for edge in work.trees.joining}
    for each in work.base.hidden:
        away = [needed for needed in each.needs if needed in work.drops]
        if away:
            yield from _gone(work, each, away, f"stands on {away[0]}, which goes")
        elif each.column and each.table in joins:
            yield from _gone(work, each, [], "is in no table above, which this one joins")


def _gone(work: Work, each: Hidden, away: list[Key], reason: str) -> Iterator[Step]:
    place = Key("table", each.table)
    what = f"column {place.name}.{each.name}" if each.column else f"table {place.name}"
    on = f"{place.name}.{each.name}" if each.column else place.name
    lost = hazard(
        "deletes_data", on, f"{what}, which an earlier promotion set aside, {reason}; it goes with it"
    )
    texts = [f"ALTER TABLE {place.name} DROP COLUMN {each.name}"]
    if not each.column:
        texts = [f"DROP TABLE {place.name}", f"DROP SCHEMA {each.name}"]
    for i, sql in enumerate(texts):
        last = i == len(texts) - 1
        yield work.step(
            Key("schema", (each.name,)), Phase.TAKE_DOWN, sql, f"{what} {reason}",
            tables=[place] if each.column else [], lock=LockMode.ACCESS_EXCLUSIVE,
            gives=[("kept", "gone", (each.name, str(i))), *(map(released, away) if last else ())],
            wants=[("kept", "gone", (each.name, str(i - 1)))] if i else [],
            hazards=(lost,) if last else (), forgets=each.name if last else "",
        )  # fmt: skip
