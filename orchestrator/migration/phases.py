"""Phases: what the running version of the app survives, and what must wait for the next one. Pure: no I/O."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from orchestrator.migration.order import edges
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.step import RENAMED, Phase, Step
from orchestrator.schema.names import quote

#: Hazards that the version that runs now may notice: what it names goes or changes, what it writes is refused.
_NOTICED = frozenset({"breaks_running_code", "deletes_data", "may_fail_on_data"})


_TIGHTENS = re.compile(r"^CREATE UNIQUE INDEX | ADD CONSTRAINT | SET NOT NULL$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """A plan in two: ``expand`` first, ``contract`` when nobody runs the old version any more."""

    expand: Plan
    contract: Plan


def marked(
    steps: Sequence[Step], statements: Sequence[Statement], together: Iterable[Sequence[int]]
) -> tuple[Statement, ...]:
    """Statements, in the order of their steps, with ``late`` said of each.

    Late is what the running version notices, what stands on that, and what must be seen together with it (``together``,
    by index). What only shares a transaction with it, to take a lock once, may come earlier.
    """
    needs = edges([replace(step, wants=step.wants - {RENAMED}) for step in steps], hopes=False)
    for i, names in _renames(steps).items():
        for j in range(i + 1, len(steps)):
            if names.search(steps[j].statement.sql):
                needs[j].add(i)
    for found in together:
        for i in found:
            needs[i] |= set(found) - {i}
    late = {
        i
        for i, step in enumerate(steps)
        if step.phase is Phase.DROP or (not step.statement.repair and _is_noticed(step))
    }
    while more := {i for i in range(len(steps)) if i not in late and needs[i] & late}:
        late |= more
    return tuple(replace(each, late=i in late) for i, each in enumerate(statements))


def _is_noticed(step: Step) -> bool:
    """Whether the running version may fail by it, or write what is refused from then on."""
    statement = step.statement
    if any(each.code in _NOTICED for each in statement.hazards):
        return True
    # A rule about a table that is there already; one about a new table is nobody's concern yet.
    here = step.key.parent.name in statement.lock_on or step.key.kind == "index"
    return bool(here and statement.lock_on and _TIGHTENS.search(statement.sql))


def _renames(steps: Sequence[Step]) -> dict[int, re.Pattern[str]]:
    """The renames, and how to find the new name in a statement: only who uses it must come after."""
    found = {}
    for i, step in enumerate(steps):
        if step.phase is Phase.RENAME:
            name = re.escape(quote(step.key.path[-1]))
            found[i] = re.compile(rf'(?<![\w"]){name}(?![\w"])')
    return found


def split(plan: Plan) -> Phases:
    """The two phases. What is not generated (own steps, rows of migration tools) follows what stands before it."""
    expand: list[Statement] = []
    contract: list[Statement] = []
    for each in plan.statements:
        late = bool(contract) if each.late is None else each.late
        (contract if late else expand).append(each)
    return Phases(
        expand=replace(plan, statements=tuple(expand)), contract=replace(plan, statements=tuple(contract))
    )
