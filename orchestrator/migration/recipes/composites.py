"""Composite types: create, add and drop attributes in place, make again beside the old form. Pure: no I/O."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.recipes.named_types import left, made, swapped, taken_down
from orchestrator.migration.step import Phase, Step, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import TYPES, Key, quote
from orchestrator.schema.objects import Column, Composite


def in_place(before: Composite, after: Composite) -> bool:
    """Whether dropping attributes and adding others at the end leads there."""
    old, new = [each[:3] for each in before.attributes], [each[:3] for each in after.attributes]
    names = {each[0] for each in new}
    kept = [each for each in old if each[0] in names]
    return new[: len(kept)] == kept


def refused(work: Work, key: Key) -> str | None:
    """Values in columns move to a new form through their text, so names and their order must be the same.

    A column of the type itself can be taken apart; an array, or a type that has this one inside, cannot.
    """
    if key.kind != "composite type" or not swapped(work, key):
        return None
    before = [each[0] for each in work.before(key, Composite).attributes]
    after = [each[0] for each in work.after(key, Composite).attributes]
    inside = [each for each in work.base.users.get(key, ()) if each.kind in TYPES]
    inside += [each for each in work.columns_on(key) if work.before(each, Column).type != key.name]
    if before == after or not inside:
        return None
    return (
        f"{key} has its attributes in another order, or other ones with other types,"
        f" and {inside[0]} holds values of it"
    )


def steps(work: Work) -> Iterator[Step]:
    """Steps for every composite type that differs."""
    for key in sorted(work.makes):
        if key.kind == "composite type":
            attributes = ", ".join(_attribute(each) for each in work.after(key, Composite).attributes)
            yield from taken_down(work, key, "TYPE")
            yield from made(work, key, f"CREATE TYPE {key.name} AS ({attributes})")
    for key in sorted(work.found.changed - work.rebuilt):
        if key.kind == "composite type":
            yield from _changed(work, key)
    for key in sorted(work.drops):
        if key.kind == "composite type":
            yield from left(work, key, "TYPE")


def _attribute(each: tuple[str, str, str, str]) -> str:
    name, type_, collation, _ = each
    return f"{quote(name)} {type_}" + (f" COLLATE {collation}" if collation else "")


def _changed(work: Work, key: Key) -> Iterator[Step]:
    before, after = work.before(key, Composite).attributes, work.after(key, Composite).attributes
    old, new = {each[0] for each in before}, {each[0] for each in after}
    columns = work.columns_on(key)
    tables = sorted({each.parent for each in columns})
    for each in before:
        if each[0] not in new:
            hazards = [
                hazard("deletes_data", column.name, f"the values of {each[0]} in {column.name} are gone")
                for column in columns
            ]
            hazards.append(hazard("breaks_running_code", key.name, f"code that still names {each[0]} fails"))
            yield work.step(
                key, Phase.DROP, f"ALTER TYPE {key.name} DROP ATTRIBUTE {quote(each[0])}",
                f"drop the attribute {each[0]} of {key}, which the goal does not have",
                (work.changing(key)[0] - {ready(key)}, frozenset()),  # who needs the type need not wait for this
                gives=[("attributes", "dropped", key.path)], tables=tables, lock=LockMode.ACCESS_EXCLUSIVE,
                hazards=tuple(hazards),
            )  # fmt: skip
    previous: list[tuple[str, str, tuple[str, ...]]] = []
    for each in after:
        if each[0] not in old:
            gives, wants = work.changing(key)
            yield work.step(
                key, Phase.CREATE, f"ALTER TYPE {key.name} ADD ATTRIBUTE {_attribute(each)}",
                f"add the attribute {each[0]} to {key}", (gives, wants), tables=tables,
                lock=LockMode.ACCESS_EXCLUSIVE, gives=[("attribute", each[0], key.path)], wants=previous,
            )  # fmt: skip
            previous = [("attribute", each[0], key.path)]
