"""Types that cannot change in place: the new form is made beside the old one, columns move over. Pure: no I/O."""

from collections.abc import Iterator

from orchestrator.migration import types
from orchestrator.migration.hazards import hazard
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.plan import Hazard, Probe
from orchestrator.migration.step import Phase, Step, Token, gone, ready, released
from orchestrator.migration.work import Work, slots_of
from orchestrator.schema.names import TYPES, Key, dotted, literal, quote
from orchestrator.schema.objects import Column, Composite, Domain, Enum


def swapped(work: Work, key: Key) -> bool:
    """Whether columns move from the old form of a type to the new one, so that both must be there for a moment.

    So must a type be that is inside of one that steps aside.
    """
    if key not in work.rebuilt and key not in work.exchanged:
        return False
    users = work.base.users.get(key, ())
    return any(each in work.retyped for each in work.columns_on(key)) or any(
        swapped(work, each) for each in users if each.kind in TYPES
    )


def moved(work: Work, column: Key) -> list[Key]:
    """Types under a column that are made again while the column stays."""
    return [
        each
        for each in work.base.needs.get(column, ())
        if each.kind in TYPES and (each in work.rebuilt or each in work.exchanged)
    ]


def cast(work: Work, key: Key, after: Column) -> str | None:
    """The USING expression for a column whose type is made again under the same name: through its text."""
    for each in moved(work, key):
        old, new = work.base.objects[each], work.goal.objects.get(each)
        if isinstance(old, Composite) and isinstance(new, Composite) and after.type == each.name:
            if [one[0] for one in old.attributes] != [one[0] for one in new.attributes]:
                return _taken_apart(quote(key.path[-1]), after.type, old, new)
            continue
        if (
            isinstance(old, Domain)
            and isinstance(new, Domain)
            and after.type == each.name
            and old.base != new.base
        ):
            return (
                types.using(old.base, new.base, quote(key.path[-1]))
                and f"{quote(key.path[-1])}::text::{after.type}"
            )
    return f"{_text(work, key)}::{after.type}"


def _taken_apart(name: str, type_: str, old: Composite, new: Composite) -> str:
    """A composite value in its new order; ``IS NOT DISTINCT FROM NULL`` tells NULL from a row of NULLs."""
    there = {one[0]: one[1] for one in old.attributes}
    parts = [
        (f"({name}).{quote(one)}" if there[one] == is_ else f"({name}).{quote(one)}::text::{is_}")
        if one in there
        else "NULL"
        for one, is_, _, _ in new.attributes
    ]
    return f"CASE WHEN {name} IS NOT DISTINCT FROM NULL THEN NULL ELSE ROW({', '.join(parts)})::{type_} END"


def _text(work: Work, key: Key) -> str:
    """A column's text, with other labels where some go."""
    name = quote(key.path[-1])
    cases = [
        f" WHEN {literal(label).strip()} THEN {literal(answer).strip()}"
        for each in moved(work, key)
        for label in lost(work, key, each)
        if (answer := work.answers.get(label_id(each, label), "-")) != "-"
    ]
    return f"(CASE {name}::text{''.join(cases)} ELSE {name}::text END)" if cases else f"{name}::text"


def label_id(enum: Key, label: str) -> str:
    """The id of the question which label rows get instead of one that an enum loses."""
    return f"label:{enum.name}.{label}"


def lost(work: Work, key: Key, enum: Key) -> tuple[str, ...]:
    """The labels that a column's enum loses; none for an array of it."""
    old, new = work.base.objects[enum], work.goal.objects.get(enum)
    if isinstance(old, Enum) and isinstance(new, Enum) and enum.name == work.before(key, Column).type:
        return tuple(label for label in old.labels if label not in new.labels)
    return ()


def still_used(work: Work, key: Key, enum: Key, label: str) -> Probe:
    """Rows of a column with one label that its enum loses."""
    probing = work.probing(key.parent)
    name = probing.column(key.path[-1])
    return probing.where(
        f"{name}::text IN ({literal(label).strip()})",
        kind="cast",
        subject=key.name,
        problem=f"{{count}} rows of {probing.name} have the label {label!r} in {name}, which {enum.name} loses",
        remedy="give these rows another label",
    )


def lost_labels(work: Work, key: Key) -> Iterator[Probe]:
    """Rows of a column with a label that its enum loses and that nobody has said what becomes of."""
    for each in moved(work, key):
        for label in lost(work, key, each):
            if work.answers.get(label_id(each, label), "-") == "-":
                yield still_used(work, key, each, label)


def without_attributes(work: Work, key: Key) -> Iterator[Hazard]:
    """Attributes that a composite loses where a column's values are taken apart."""
    for each in moved(work, key):
        old, new = work.base.objects[each], work.goal.objects.get(each)
        if isinstance(old, Composite) and isinstance(new, Composite):
            there = {one[0] for one in new.attributes}
            for name in (one[0] for one in old.attributes if one[0] not in there):
                yield hazard("deletes_data", key.name, f"the values of {name} in {key.name} are gone")


def relabelled(work: Work, key: Key) -> Iterator[Hazard]:
    """Rows that get another label, as somebody answered: which had which is forgotten."""
    for each in moved(work, key):
        for label in lost(work, key, each):
            answer = work.answers.get(label_id(each, label), "-")
            if answer != "-":
                yield hazard("deletes_data", key.name, f"rows of {key.name} with {label!r} become {answer!r}")


def aside(key: Key) -> str:
    """The helper's name that the old form has for a moment."""
    return helper_name("old", key)


def taken_down(work: Work, key: Key, noun: str) -> Iterator[Step]:
    """The old form steps aside under a helper's name."""
    if not swapped(work, key):
        return
    users = [
        gone(each)
        for each in work.base.users.get(key, ())
        if each in work.drops and each.kind not in TYPES and Key("column", each.path) not in work.retyped
    ]
    yield work.step(
        key, Phase.TAKE_DOWN, f"ALTER {noun} {key.name} RENAME TO {quote(aside(key))}",
        f"{key} steps aside while its columns move to its new form",
        gives=[("away", key), *slots_of(work.base, key)], wants=users,
    )  # fmt: skip


def made(work: Work, key: Key, sql: str) -> Iterator[Step]:
    """Create the type."""
    gives, wants = work.making(key)
    away: set[Token] = {("away", key)} if swapped(work, key) else set()
    again = key in work.rebuilt
    phase = Phase.CHANGE if again else Phase.CREATE
    yield work.step(
        key, phase, sql, f"create {key}" + (" in its new form" if again else ""), (gives, wants | away)
    )


def left(work: Work, key: Key, noun: str) -> Iterator[Step]:
    """Drop the type; of one that stepped aside, the old form."""
    gives, wants = work.dropping(key)
    if swapped(work, key):
        if key in work.exchanged:
            yield from taken_down(work, key, noun)
        # An old form inside of another old form goes after it; both are released by their columns.
        yield work.step(
            key, Phase.CHANGE, f"DROP {noun} {dotted(key.path[0], aside(key))}", f"nothing uses the old form of {key}",
            (gives - slots_of(work.base, key), wants), wants=[released(key), ready(key)], gives=[gone(key)],
        )  # fmt: skip
        return
    again = key in work.rebuilt
    broken = hazard("breaks_running_code", key.name, f"code that still names {key.name} fails from here on")
    yield work.step(
        key, Phase.TAKE_DOWN if again else Phase.DROP, f"DROP {noun} {key.name}",
        f"drop {key}" + (", to make it again in its new form" if again else ""), (gives, wants),
        hazards=() if again else (broken,),
    )  # fmt: skip
