"""The reverse plan: from the goal back to the base, and what it cannot bring back. Pure: no I/O of any kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.errors import PlanError, UsageError
from orchestrator.migration import types
from orchestrator.migration.compose import compose
from orchestrator.migration.keeping import Keeping, Kept, bring_back, in_the_way
from orchestrator.migration.offers import offer
from orchestrator.migration.online import Online
from orchestrator.migration.plan import Plan, Probe
from orchestrator.migration.planner import Planned, make_plan
from orchestrator.migration.recipes.columns import fill_id
from orchestrator.schema.candidates import named, question_id
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Column, Default, Enum
from orchestrator.schema.privileges import Compare
from orchestrator.schema.questions import Question
from orchestrator.schema.renames import Renames, renamed

#: Changes of type that keep every value, there and back, though they write every row again.
_LOSSLESS = {("smallint", "integer"), ("smallint", "bigint"), ("integer", "bigint"), ("json", "jsonb")}

#: A value for a column that comes back without its values, by type; others are taken from the question.
_EMPTY = {
    "interval": "'0'::interval",
    "bytea": "''::bytea",
    "time without time zone": "'00:00'::time",
    "inet": "'0.0.0.0'::inet",
    '"char"': "''::\"char\"",
    "character": "''",
    "bit varying": "''::bit varying",
    "xml": "''::xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something that the reverse plan cannot bring back.

    Attributes:
        kind: ``before``: the plan deletes or changes it; ``later``: what is written after the plan and that the
            reverse plan deletes; ``value``: a column comes back with a value that stands for all that were there.
        on: the object, e.g. ``public.customers.fax``.
        detail: one sentence for a person.
        count_sql: asked before the plan is applied: how many rows or values; empty where nothing can be counted.
        count: the answer; None while nobody asked, or when the question failed.
    """

    kind: str
    on: str
    detail: str
    count_sql: str = ""
    count: int | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"kind", "on", "detail", "count"}``."""
        return {"kind": self.kind, "on": self.on, "detail": self.detail, "count": self.count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse:
    """The way back.

    Attributes:
        plan: from the goal to the base; None where none can be made.
        losses: what it cannot bring back, most important first.
        refused: why there is no plan; empty: there is one.
        compare: how much of owners and grants it leads back.
    """

    plan: Plan | None
    losses: tuple[Loss, ...] = ()
    refused: str = ""
    compare: Compare = Compare.IGNORE

    def to_json(self) -> dict[str, Any]:
        """``{"plan", "losses", "refused"}``."""
        return {
            "plan": self.plan.to_json() if self.plan else None,
            "losses": [each.to_json() for each in self.losses],
            "refused": self.refused,
        }


def reverse_plan(
    base: Snapshot,
    goal: Snapshot,
    planned: Planned,
    *,
    policy: Online = Online(),  # noqa: B008 - a frozen value
    compare: Compare = Compare.IGNORE,
    kept: Sequence[Kept] = (),
    returned: Snapshot | None = None,
    keeping: Keeping = Keeping(),  # noqa: B008 - a frozen value
) -> Reverse:
    """The plan back, with every rename taken back, and its losses.

    Args:
        base: what the plan starts from.
        goal: what it leads to; better: what was inspected after it was applied.
        planned: what planning came to, with its plan.
        policy: which tables are written again beside the traffic.
        compare: how much of the goal's owners and grants counted; unless nothing, all of them are led back.
        kept: what was set aside and comes back.
        returned: the goal with these under their old names (``inspect(..., returning=kept)``); needed where ``kept``
            holds something.
        keeping: whether what the way back drops is kept aside as well.
    """
    back_to = Compare.IGNORE if compare is Compare.IGNORE else Compare.ALL
    if planned.plan is None:
        return Reverse(plan=None, refused="there is no plan yet: questions are open")
    losses = [*_deleted(planned.plan), *_narrowed(base, goal, planned.renames)]
    back = _inverse(planned.renames)
    stuck = in_the_way(kept, goal)
    first_back = bring_back(kept, goal)
    here = returned if first_back and returned is not None else goal
    start = here if here.sizes is base.sizes else replace(here, sizes=_sizes(base, here, planned.renames))
    back |= _missing(kept, base, start, planned.renames)
    rules: dict[str, Any] = {"policy": policy, "compare": back_to, "keeping": keeping}
    try:
        first = make_plan(start, base, answers=back, assume_defaults=True, **rules)
        values = dict(_values(first.questions, base))
        both = {**back, **values}
        found = first
        if values:
            found = make_plan(start, base, answers=both, assume_defaults=True, **rules)
    except (PlanError, UsageError) as error:
        return Reverse(plan=None, losses=tuple(losses), refused=error.message)
    if found.plan is None:
        return Reverse(plan=None, losses=tuple(losses), refused="questions are open")  # pragma: no cover
    losses += [
        Loss(kind="value", on=each.removeprefix("fill:"), detail=f"comes back with {value} in every row")
        for each, value in sorted(values.items())
    ]
    losses += [
        Loss(
            kind="later",
            on=hazard.on,
            detail=f"what is written after the promotion is {'set aside' if each.keeps else 'lost'}: {hazard.detail}",
        )
        for each in found.plan.statements
        for hazard in each.hazards
        if hazard.code == "deletes_data"
    ]
    losses += [
        Loss(kind="before", on=each.key.name, detail=f"stays set aside as {each.name}: {stuck[each.name]}")
        for each in kept
        if each.name in stuck
    ]
    losses += [
        Loss(
            kind="value",
            on=question.removeprefix("fill:"),
            detail=f"comes back with its values, and with {value} in rows that were written since",
        )
        for question, value in sorted(back.items())
        if question.startswith("fill:")
    ]
    plan = compose(found.plan, own={"before": (first_back,)}) if first_back else found.plan
    return Reverse(plan=plan, losses=tuple(losses), compare=back_to)


def _inverse(done: Renames) -> dict[str, str]:
    """Answers that take every rename back; ones that nobody will ask for do no harm."""
    tables = {new.path: old.path for old, new in done.keys.items() if old.kind == "table"}
    answers = {}
    for old, new in done.keys.items():
        path = (*tables.get(old.path[:2], old.path[:2]), *old.path[2:]) if old.kind == "column" else old.path
        was = Key(old.kind, path)
        answers[question_id(was)] = named(new, was)
    for (path, before), after in done.labels.items():
        answers[f"rename:label:{Key('enum', path).name}.{before}"] = after
    return answers


def _sizes(base: Snapshot, goal: Snapshot, done: Renames) -> Mapping[Key, tuple[int, int]]:
    """Production's sizes under the goal's names: the development database says nothing about its rows."""
    return {key: size for key, size in renamed(base, done).sizes.items() if key in goal.objects}


def _missing(kept: Sequence[Kept], base: Snapshot, start: Snapshot, done: Renames) -> dict[str, str]:
    """Answers for rows that were written while a column was set aside that must have a value again."""
    tables = {new.path: old.path for old, new in done.keys.items() if new.kind == "table"}
    answers = {}
    for each in kept:
        was = Key("column", (*tables.get(each.table, each.table), each.was[-1]))
        before, now = base.objects.get(was), start.objects.get(each.key)
        if isinstance(before, Column) and isinstance(now, Column) and before.not_null and not now.not_null:
            default = base.objects.get(Key("default", was.path))
            expression = default.expression if isinstance(default, Default) else ""
            value = expression if expression and "nextval(" not in expression else offer(before.type)
            if value := value or _empty(base, was):
                answers[fill_id(was)] = value
    return answers


def _values(questions: tuple[Question, ...], base: Snapshot) -> Iterator[tuple[str, str]]:
    """A value for each column that comes back and must have one."""
    columns = {fill_id(key): key for key in base.of_kind("column")}
    for question in questions:
        if question.kind != "fill" or question.id not in columns:
            continue
        offered = [choice.value for choice in question.choices if choice.value != "-"]
        value = offered[0] if offered else _empty(base, columns[question.id])
        if value:
            yield question.id, value


def _empty(base: Snapshot, key: Key) -> str:
    column = base.objects[key]
    if not isinstance(column, Column):
        return ""
    if column.type.endswith("[]"):
        return f"'{{}}'::{column.type}"
    for each in base.of_kind("enum"):
        enum = base.objects[each]
        if each.name == column.type and isinstance(enum, Enum) and enum.labels:
            return f"{literal(enum.labels[0]).strip()}::{column.type}"
    return _EMPTY.get(types.TypeName.parse(column.type).name, "")


def _deleted(plan: Plan) -> Iterator[Loss]:
    """What the plan itself deletes, each with the question how much that is."""
    for statement in plan.statements:
        counts = [probe for probe in statement.probes if probe.kind == "rows_at_stake"]
        for hazard in statement.hazards:
            if hazard.code == "deletes_data" and not statement.keeps:
                probe = _about(hazard.on, counts)
                sql = probe.count_sql if probe else ""
                yield Loss(kind="before", on=hazard.on, detail=hazard.detail, count_sql=sql)


def _about(on: str, probes: list[Probe]) -> Probe | None:
    return next((probe for probe in probes if probe.subject == on), probes[0] if probes else None)


def _narrowed(base: Snapshot, goal: Snapshot, done: Renames) -> Iterator[Loss]:
    """Values that a change of type changes for good: cast there and back they are not what they were."""
    names = {new: old for old, new in done.keys.items()}
    now = renamed(base, done)
    for key in now.of_kind("column"):
        before, after = now.objects[key], goal.objects.get(key)
        if not (isinstance(before, Column) and isinstance(after, Column)) or before.type == after.type:
            continue
        pair = (types.TypeName.parse(before.type).name, types.TypeName.parse(after.type).name)
        if pair in _LOSSLESS or not types.rewrites(before.type, after.type):
            continue
        table = dotted(*names.get(key.parent, key.parent).path)
        name = quote(names.get(key, key).path[-1])
        there = types.using(before.type, after.type, name) or f"{name}::{after.type}"
        back = types.using(after.type, before.type, f"({there})") or f"({there})::{before.type}"
        differs = f"({back})::text IS DISTINCT FROM {name}::text"
        if types.is_string(before.type):
            # What is no such value does not come back either, and must not end the count.
            fits = f"pg_catalog.pg_input_is_valid({name}::text, {literal(after.type).strip()})"
            differs = f"CASE WHEN {name} IS NULL OR {fits} THEN {differs} ELSE true END"
        yield Loss(
            kind="before",
            on=key.name,
            detail=f"values of {key.name} that do not survive {before.type} to {after.type} and back",
            count_sql=f"SELECT count(*) FROM {table} WHERE {differs}",
        )
