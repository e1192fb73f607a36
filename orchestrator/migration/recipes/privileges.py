"""Owners, grants and default privileges: what is granted, taken away and given back. Pure: no I/O of any kind."""

from collections.abc import Iterator, Mapping

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.recipes.grants import Change, Item, defaults, gained, grants, lost, name_of
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Column, Function, Sequence, Stated
from orchestrator.schema.privileges import (
    LETTERS,
    NO_NAMES,
    OWNER,
    PLAIN,
    SYSTEM,
    fresh,
    wanted,
    wanted_of_new,
)

#: Kinds whose owner is another object's, or nobody's.
_NOT_OWNED = frozenset({"column", "identity sequence", "default privileges"})
_RELATIONS = frozenset({"table", "view", "materialized view", "sequence", "foreign table", "partition"})


def changes(work: Work) -> Iterator[Change]:
    """Everything whose owner or grants must change."""
    keys = {*work.base.privileges, *work.goal.privileges}
    keys |= {key for key in work.makes if key.kind in LETTERS}
    keys |= {Key("identity sequence", key.path) for key in work.makes if key.kind == "column"}
    for key in sorted(keys):
        after, new = _anchor(work, key)
        if after is None and key.kind not in {"default privileges", "language", *SYSTEM}:
            continue
        there = work.base.privileges.get(key)
        goal = work.goal.privileges.get(key, PLAIN)
        if not new:
            was = there or PLAIN
            will = wanted(was, goal, work.privileges)
        else:
            was = fresh(work.base.privileges, key)
            again = after is not None and work.again(after)
            will = (
                wanted(there or PLAIN, goal, work.privileges)
                if again
                else wanted_of_new(was, goal, work.privileges)
            )
        if was != will:
            yield Change(key=key, after=after, new=new, was=was, will=will)


def refused(work: Work) -> list[str]:
    """Roles that main's server does not have, as sentences."""
    if not work.base.roles:
        return []
    missing: dict[str, str] = {}
    for change in changes(work):
        names = {grantee for _, grantee in gained(change) + lost(change)}
        names |= {change.will.owner, change.key.path[0] if change.key.kind == "default privileges" else OWNER}
        for name in sorted(names - NO_NAMES - set(work.base.roles)):
            if not name.startswith("pg_"):
                missing.setdefault(name, str(change.key))
    return [
        f"role {name} is not there on main, but {on} needs it (CREATE ROLE {name}, or compare no privileges)"
        for name, on in sorted(missing.items())
    ]


def steps(work: Work) -> Iterator[Step]:
    """Steps for every owner and every grant that differs, and for what is made again."""
    yield from _serial_owners(work)
    taken: dict[tuple[str, ...], list[Item]] = {}
    found = list(changes(work))
    for change in found:
        if change.key.kind not in {"column", "default privileges"}:
            taken[change.key.path] = lost(change)
    for change in found:
        yield from _owner(work, change)
        if change.key.kind == "default privileges":
            yield from defaults(work, change)
        else:
            again = taken.get(change.key.path[:2], []) if change.key.kind == "column" else []
            yield from grants(work, change, again)
    changed = {change.key for change in found}
    for key in sorted(work.goal.privileges.keys() - changed):
        # What is revoked on a table is revoked on its columns with it (Postgres docs, REVOKE).
        again = [each for each in taken.get(key.path[:2], []) if each in work.goal.privileges[key].options]
        if key.kind == "column" and again:
            will = work.goal.privileges[key]
            after, _ = _anchor(work, key)
            yield from grants(work, Change(key=key, after=after, new=False, was=will, will=will), again)


def _anchor(work: Work, key: Key) -> tuple[Key | None, bool]:
    """The object of the goal that these privileges stand on, and whether this plan makes it."""
    objects = work.goal.objects
    if key.kind == "default privileges":
        schema = Key("schema", (key.path[1],))
        return (schema, False) if schema in objects else (None, False)
    if key.kind == "identity sequence":
        column, before = Key("column", key.path), work.base.objects.get(Key("column", key.path))
        thing = objects.get(column)
        if not isinstance(thing, Column) or thing.identity is None:
            return None, False
        return column, column in work.makes or not (isinstance(before, Column) and before.identity)
    if key in objects:
        return key, key in work.makes
    if key.kind == "column":
        for kind in (
            "table",
            "view",
            "materialized view",
            "foreign table",
            "partitioned table",
            "partition",
            "inherited table",
        ):
            if (relation := Key(kind, key.path[:2])) in objects:
                return relation, relation in work.makes
    return None, False


def _serial_owners(work: Work) -> Iterator[Step]:
    """A sequence can go with a column only when both belong to one role."""
    for key in sorted(work.makes):
        thing = work.goal.objects[key]
        if isinstance(thing, Sequence) and thing.owned_by:
            table = Key("table", thing.owned_by[:2])
            owner = work.base.privileges.get(table, PLAIN).owner
            if owner != OWNER and table not in work.makes:
                yield work.step(
                    key, Phase.TAKE_DOWN, f"ALTER SEQUENCE {key.name} OWNER TO {owner}",
                    f"{key} will go with a column of {table}, which belongs to {owner}", wants=[ready(key)],
                    gives=[("owner", key)],
                )  # fmt: skip


def _owner(work: Work, change: Change) -> Iterator[Step]:
    key = change.key
    thing = work.goal.objects.get(key)
    if change.was.owner == change.will.owner or key.kind in _NOT_OWNED or thing is None:
        return
    if isinstance(thing, Sequence) and thing.owned_by:
        return  # it follows its table
    owned: list[Token] = [
        ("owned", each)
        for each in work.goal.of_kind("sequence")
        if isinstance(sequence := work.goal.objects[each], Sequence) and sequence.owned_by[:2] == key.path
    ]
    owner = change.will.owner or "CURRENT_USER"
    again = "again " if change.new else ""
    detail = f"what only an owner may do with {key} is no longer for {change.was.owner or 'the role that migrates'}"
    yield work.step(
        key, Phase.TAKE_DOWN if change.new else Phase.FINISH,
        f"ALTER {_noun(work, key)} {name_of(work, key)} OWNER TO {owner}",
        f"{key} {again}belongs to {owner}", tables=[key] if key.kind in _RELATIONS else [],
        lock=LockMode.ACCESS_EXCLUSIVE, wants=[ready(key), *owned], gives=[("owner", key)],
        hazards=() if change.new else (hazard("breaks_running_code", str(key), detail),),
    )  # fmt: skip


def _noun(work: Work, key: Key) -> str:
    """What ALTER ... OWNER TO calls its kind."""
    thing = work.goal.objects[key]
    if isinstance(thing, Stated):
        return thing.noun
    if isinstance(thing, Function):
        return thing.routine.upper()
    nouns: Mapping[str, str] = {
        "enum": "TYPE", "composite type": "TYPE", "base type": "TYPE", "partitioned table": "TABLE",
        "partition": "TABLE", "inherited table": "TABLE", "foreign-data wrapper": "FOREIGN DATA WRAPPER",
    }  # fmt: skip
    return nouns.get(key.kind, key.kind.upper())
