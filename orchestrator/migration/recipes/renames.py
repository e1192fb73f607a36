"""Renames: they come before everything else, because every other statement uses the new names. Pure: no I/O."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.step import Phase, Step, ready, slots
from orchestrator.migration.work import Work
from orchestrator.schema.names import TYPES, Key, dotted, literal, quote
from orchestrator.schema.renames import Renames

_ORDER = ("enum", "domain", "composite type", "table", "column", "sequence", "constraint", "index")


def steps(work: Work, renames: Renames) -> Iterator[Step]:
    """One step for each rename, tables first; old and new names are those at that moment."""
    for kind in _ORDER:
        for old, new in sorted(renames.keys.items()):
            if old.kind == kind and not any(each in renames.keys.values() for each in work.was.above(new)):
                if old.kind == "table" and old.path[0] != new.path[0]:
                    yield _move(work, old, new)
                    old = Key("table", (new.path[0], old.path[1]))  # noqa: PLW2901 - what it is called by now
                if old != new:
                    yield _rename(work, old, new)
    for (path, old_label), new_label in sorted(renames.labels.items()):
        key = Key("enum", path)
        yield work.step(
            key, Phase.RENAME,
            f"ALTER TYPE {key.name} RENAME VALUE {literal(old_label).strip()} TO {literal(new_label).strip()}",
            f"rename the label {old_label!r} of {key} to {new_label!r}", gives=[("renamed", key)],
            hazards=(hazard("breaks_running_code", key.name, f"code that still writes {old_label!r} fails now"),),
        )  # fmt: skip


def _move(work: Work, old: Key, new: Key) -> Step:
    """A table goes to another schema; its indexes, constraints and owned sequences go with it."""
    there = Key("table", (new.path[0], old.path[1]))
    schema = quote(new.path[0])
    broken = hazard(
        "breaks_running_code", old.name, f"code that names {old.name} with its schema fails from here on"
    )
    return work.step(
        new,
        Phase.RENAME,
        f"ALTER TABLE {old.name} SET SCHEMA {schema}",
        f"move {old} to schema {schema}, with its indexes and owned sequences",
        tables=[new],
        lock=LockMode.ACCESS_EXCLUSIVE,
        gives=[("renamed", new), ("moved", new), *slots(old)],
        wants=[*slots(there), ready(Key("schema", new.path[:1]))],
        hazards=(broken,),
    )


def _rename(work: Work, old: Key, new: Key) -> Step:
    table = Key("table", new.path[:2])
    name = quote(new.path[-1])
    lock = LockMode.ACCESS_EXCLUSIVE
    loud = old.kind in {"table", "column"} or old.kind in TYPES
    if old.kind == "table":
        sql = f"ALTER TABLE {old.name} RENAME TO {name}"
    elif old.kind == "column":
        sql = f"ALTER TABLE {table.name} RENAME COLUMN {quote(old.path[-1])} TO {name}"
    elif old.kind == "constraint":
        sql = f"ALTER TABLE {table.name} RENAME CONSTRAINT {quote(old.path[-1])} TO {name}"
    else:
        noun = "TYPE" if old.kind in TYPES and old.kind != "domain" else old.kind.upper()
        sql = f"ALTER {noun} {dotted(*old.path)} RENAME TO {name}"
    broken = hazard(
        "breaks_running_code", old.name, f"code that still uses the old name {old.name} fails from here on"
    )
    indexed = old.kind == "constraint"
    return work.step(
        new,
        Phase.RENAME,
        sql,
        f"rename {old} to {name}",
        tables=[table] if old.kind in {"table", "column", "constraint"} else [],
        lock=lock,
        gives=[("renamed", new), *slots(old, has_index=indexed)],
        wants=[
            *slots(new, has_index=indexed),
            *([("moved", new)] if old.kind == "table" else []),
            *([("renamed", table)] if old.kind not in {"table", "sequence"} | TYPES else []),
        ],
        hazards=(broken,) if loud else (),
    )
