"""From recipes to statements: every step in an order that works, what must be seen at once together. Pure."""

from dataclasses import replace

from orchestrator.errors import DependencyCycle
from orchestrator.migration.late import bound, renames_late
from orchestrator.migration.order import grouped, in_order
from orchestrator.migration.phases import marked
from orchestrator.migration.plan import Statement
from orchestrator.migration.recipes import (
    aside,
    column_changes,
    columns,
    comments,
    composites,
    constraints,
    domains,
    extensions,
    functions,
    indexes,
    kept,
    leftovers,
    matviews,
    not_nulls,
    online,
    partitions,
    privileges,
    ranges,
    renames,
    schemas,
    sequences,
    stated,
    tables,
    views,
)
from orchestrator.migration.refusals import refuse
from orchestrator.migration.step import RENAMED, Phase, Step
from orchestrator.migration.work import Work
from orchestrator.schema.names import TYPES, Key
from orchestrator.schema.renames import Renames

_RECIPES = (
    schemas,
    extensions,
    domains,
    composites,
    ranges,
    sequences,
    tables,
    columns,
    kept,
    column_changes,
    not_nulls,
    online,
    constraints,
    indexes,
    partitions,
    aside,
    views,
    matviews,
    functions,
    stated,
    comments,
    privileges,
)


def unwound(work: Work, done: Renames) -> tuple[Statement, ...]:
    """The statements; a table that names what names the table is made bare, then the rest of it."""
    while True:
        try:
            return _statements(work, done)
        except DependencyCycle as circle:
            tables = {Key("table", path) for path in circle.tables}
            if tables <= work.bare:
                raise
            work = replace(work, bare=work.bare | tables)


def _statements(work: Work, done: Renames) -> tuple[Statement, ...]:
    steps: list[Step] = [*leftovers.steps(work), *renames.steps(work, done)]
    barrier = RENAMED
    rename_steps = {i for i, step in enumerate(steps) if step.phase is Phase.RENAME}
    waited = {token for i in rename_steps for token in steps[i].wants}
    for i in rename_steps:
        steps[i] = replace(steps[i], gives=steps[i].gives | {barrier})
    early = {aside.leaving, partitions.leaving}
    for recipe in (aside.leaving, partitions.leaving, *(each.steps for each in _RECIPES)):
        late = {barrier} if recipe in early else {barrier, partitions.LEFT}
        steps += [
            step if step.gives & waited else replace(step, wants=step.wants | late) for step in recipe(work)
        ]
    steps = [aside.in_place(work, step) for step in steps]
    ordered = in_order(steps)
    if found := aside.torn(ordered):
        try:
            ordered = in_order(aside.earlier(steps, found))
        except DependencyCycle:
            refuse(aside.refusal(work, found))
        refuse(aside.refusal(work, aside.torn(ordered)))
    together = _together(work, ordered)
    if not bound(ordered, together):
        ordered = renames_late(ordered)
        together = _together(work, ordered)
    return marked(ordered, grouped(ordered, [(min(at), max(at)) for at in together]), together)


def _together(work: Work, ordered: list[Step]) -> list[list[int]]:
    """What must be seen at once, by its places: the drop of each rebuilt object and its making, and the like."""
    made: dict[Key, list[int]] = {}
    left: dict[Key, list[int]] = {}
    given: dict[Key, list[int]] = {}
    for i, step in enumerate(ordered):
        if step.statement.sql.startswith(("GRANT ", "REVOKE ")) or ("owner", step.key) in step.gives:
            given.setdefault(step.key, []).append(i)
        for kind, key, *_ in step.gives:
            if isinstance(key, Key):
                {"ready": made, "gone": left, "away": left}.get(kind, {}).setdefault(key, []).append(i)
    renamed_at = [i for i, step in enumerate(ordered) if step.phase is Phase.RENAME]
    found: list[list[int]] = []
    for key in work.rebuilt:
        if key in left and key in made:
            first = [*left[key], *renamed_at] if key.kind == "view" else left[key]
            # A type that stepped aside goes after its new form is there.
            last = [*made[key], *left[key]] if key.kind in TYPES else made[key]
            found.append([*first, *last])
    found += [left[key] for key in work.exchanged if key in left]
    # A rule or default that goes for a moment is back before anybody can write without it.
    short = {*work.reruled, *(Key("default", key.path) for key in work.retyped)}
    found += [[*left[key], *made[key]] for key in short & left.keys() & made.keys()]
    found += [list(range(first, last + 1)) for first, last in aside.span(ordered)]
    found += kept.together(ordered)
    for table in work.online.retyped:
        # Nobody may see a column without its old form and without its new one.
        swap = [
            i for i, step in enumerate(ordered) if step.gives & {("swap begins", table), ("swapped", table)}
        ]
        found.append(swap)
    found += [[*made[key], *given[key]] for key in work.makes & made.keys() & given.keys()]
    again = {key for key in work.rebuilt if key.kind == "materialized view"}
    for table in work.found.added | again:
        # What belongs to a new table comes with it, so that nobody ever has to add it beside traffic.
        if table.kind in {"table", "materialized view"}:
            indexes_too = (key for key in work.goal.members(table) if key.kind == "index")
            if work.will.is_partitioned(table):
                continue
            at = [i for key in (table, *indexes_too) for i in made.get(key, ())]
            found.append(at)
    return found
