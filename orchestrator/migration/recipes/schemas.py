"""Schemas and enumerated types: create, extend, drop. Pure: no I/O of any kind."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.recipes.named_types import left, made, taken_down
from orchestrator.migration.step import Phase, Step, Token
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, literal
from orchestrator.schema.objects import Enum


def steps(work: Work) -> Iterator[Step]:
    """Steps for every schema and enum that differs."""
    for key in sorted(work.makes):
        if key.kind == "schema":
            yield work.step(key, Phase.CREATE, f"CREATE SCHEMA {key.name}", f"create {key}", work.making(key))
        elif key.kind == "enum":
            labels = ", ".join(literal(label).strip() for label in work.after(key, Enum).labels)
            sql = f"CREATE TYPE {key.name} AS ENUM ({labels})"
            yield from taken_down(work, key, "TYPE")
            yield from made(work, key, sql)
    for key in sorted(work.found.changed - work.rebuilt):
        if key.kind == "enum":
            yield from _labels(work, key)
    for key in sorted(work.drops):
        if key.kind == "schema":
            yield work.step(key, Phase.DROP, f"DROP SCHEMA {key.name}", f"drop {key}", work.dropping(key))
        elif key.kind == "enum":
            yield from left(work, key, "TYPE")


def extends(before: Enum, after: Enum) -> bool:
    """Whether every old label is still there, in the same order."""
    return [label for label in after.labels if label in before.labels] == list(before.labels)


def _labels(work: Work, key: Key) -> Iterator[Step]:
    """ALTER TYPE ADD VALUE for each new label, at its place; a commit must follow before it is used."""
    before, after = work.before(key, Enum), work.after(key, Enum)
    there = list(before.labels)
    gives, wants = work.changing(key)
    previous: Token | None = None
    for at, label in enumerate(after.labels):
        if label in there:
            continue
        place = ""
        if at < len(there):
            place = f" BEFORE {literal(there[at]).strip()}"
        token: Token = ("label", label, key.path)
        yield work.step(
            key,
            Phase.ADD_VALUE,
            f"ALTER TYPE {key.name} ADD VALUE IF NOT EXISTS {literal(label).strip()}{place}",
            f"add the label {label!r} to {key}",
            (gives, wants),
            gives=[token],
            wants=[previous] if previous else [],
            commits=True,
            hazards=(
                hazard("irreversible", key.name, f"PostgreSQL cannot remove the label {label!r} again"),
            ),
        )
        previous = token
        there.insert(at, label)
