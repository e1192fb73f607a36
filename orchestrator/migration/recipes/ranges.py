"""Range types: create, drop, and make again while no column holds values of one. Pure: no I/O of any kind."""

from collections.abc import Iterator

from orchestrator.migration.recipes.named_types import left, made
from orchestrator.migration.step import Step
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Stated


def refused(work: Work, key: Key) -> str | None:
    """A range type cannot step aside: its constructors and its multirange type keep their names."""
    if key.kind == "range type" and (columns := work.columns_on(key)):
        return f"{key} must be made again, and {columns[0]} holds values of it"
    return None


def steps(work: Work) -> Iterator[Step]:
    """Steps for every range type that differs."""
    for key in sorted(work.makes):
        if key.kind == "range type":
            yield from made(work, key, work.after(key, Stated).create)
    for key in sorted(work.drops):
        if key.kind == "range type":
            yield from left(work, key, "TYPE")
