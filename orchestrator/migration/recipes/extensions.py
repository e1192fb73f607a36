"""Extensions: create, update, move to another schema, add and drop members, drop. Pure: no I/O of any kind."""

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.migration.hazards import hazard
from orchestrator.migration.step import Phase, Step
from orchestrator.migration.work import Work
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import Differences
from orchestrator.schema.names import TYPES, Key, literal, quote
from orchestrator.schema.objects import Extension, Function

#: Kinds that are not dropped and made again for the sake of an extension: their values live in rows.
HELD = frozenset({"column", "domain", "composite type", "extension"})


def in_place(before: Extension, after: Extension) -> bool:
    """Whether ALTER EXTENSION can do it (ALTER EXTENSION, SET SCHEMA: only for relocatable ones)."""
    return before.schema == after.schema or before.relocatable


def joining(base: Snapshot, goal: Snapshot, found: Differences) -> tuple[Differences, frozenset[str]]:
    """Objects of main that are members of an extension on the goal: they join it and are not dropped."""
    dropped = {_identity(base, key): key for key in sorted(found.dropped)}
    joins: set[str] = set()
    stay: set[Key] = set()
    for key in goal.of_kind("extension"):
        before, after = base.objects.get(key), goal.objects[key]
        if not (isinstance(before, Extension) and isinstance(after, Extension) and _same_kind(before, after)):
            continue
        for each in set(after.members) - set(before.members):
            if each in dropped:
                joins.add(each)
                stay |= {dropped[each], *base.members(dropped[each])}
    return replace(found, dropped=found.dropped - stay), frozenset(joins)


def _identity(base: Snapshot, key: Key) -> str:
    """What pg_identify_object() calls it."""
    thing = base.objects[key]
    kind = thing.routine if isinstance(thing, Function) else "type" if key.kind in TYPES else key.kind
    return f"{kind} {key.name.replace(', ', ',')}"


def refused(work: Work, key: Key) -> list[str]:
    """Members that this plan cannot give or take, as sentences."""
    before, after = work.before(key, Extension), work.after(key, Extension)
    if key in work.rebuilt or not _same_kind(before, after):
        return []
    said = [
        f"{key} has the member {each} on the goal, which main has not as an object of its own"
        for each in sorted(set(after.members) - set(before.members))
        if each not in work.joins
    ]
    left = sorted(set(before.members) - set(after.members))
    return said + [
        f"{each} is no member of {key} any more but an object of its own (ALTER EXTENSION {key.name} DROP {each})"
        for each in left
        if not each.startswith(("function ", "procedure "))
    ]


def _same_kind(before: Extension, after: Extension) -> bool:
    """Whether what it holds should be the same."""
    return (before.version, before.schema) == (after.version, after.schema)


def steps(work: Work) -> Iterator[Step]:
    """Steps for every extension that differs."""
    for key in sorted(work.makes):
        if key.kind == "extension":
            thing = work.after(key, Extension)
            where = f"SCHEMA {quote(thing.schema)} VERSION {literal(thing.version).strip()}"
            sql = f"CREATE EXTENSION {key.name} WITH {where}"
            yield work.step(key, Phase.CREATE, sql, f"create {key}", work.making(key))
    for key in sorted(work.found.changed - work.rebuilt):
        if key.kind == "extension":
            yield from _altered(work, key, work.before(key, Extension), work.after(key, Extension))
    for key in sorted(work.drops):
        if key.kind == "extension":
            yield _drop(work, key)


def _altered(work: Work, key: Key, before: Extension, after: Extension) -> Iterator[Step]:
    alter = f"ALTER EXTENSION {key.name}"
    gives, wants = work.changing(key)
    moved = ("moved", "extension", key.path)
    if before.schema != after.schema:
        detail = f"code that names what {key.name} brings in schema {quote(before.schema)} fails from here on"
        yield work.step(
            key, Phase.CREATE, f"{alter} SET SCHEMA {quote(after.schema)}",
            f"move {key} from schema {before.schema} to {after.schema}", (gives, wants), gives=[moved],
            hazards=(hazard("breaks_running_code", key.name, detail),),
        )  # fmt: skip
    if before.version != after.version:
        detail = f"an extension has seldom a way back from {after.version} to {before.version}"
        yield work.step(
            key, Phase.CREATE, f"{alter} UPDATE TO {literal(after.version).strip()}",
            f"update {key} from {before.version} to {after.version}", (gives, wants), wants=[moved],
            hazards=(hazard("irreversible", key.name, detail),),
        )  # fmt: skip
    if _same_kind(before, after):
        for verb, members, others in (("ADD", after, before), ("DROP", before, after)):
            for each in sorted(set(members.members) - set(others.members)):
                what = "becomes a member of" if verb == "ADD" else "is no member any more of"
                yield work.step(
                    key, Phase.CREATE, f"{alter} {verb} {each}", f"{each} {what} {key}", (gives, wants)
                )


def _drop(work: Work, key: Key) -> Step:
    again = key in work.rebuilt
    detail = f"code that uses what {key.name} brings fails from here on"
    hazards = [] if again else [hazard("breaks_running_code", key.name, detail)]
    tables = [each for each in work.before(key, Extension).members if each.startswith("table ")]
    if tables:
        hazards.append(hazard("deletes_data", key.name, f"the rows of its {', '.join(tables)} go with {key}"))
    return work.step(
        key, Phase.TAKE_DOWN if again else Phase.DROP, f"DROP EXTENSION {key.name}",
        f"drop {key}" + (", which cannot be moved, to make it again" if again else ", which the goal does not have"),
        work.dropping(key), hazards=tuple(hazards),
    )  # fmt: skip
