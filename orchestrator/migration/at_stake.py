"""What is asked only when rows are at stake: each question with the probe whose count decides. Pure: no I/O.

The plan depends on the answers alone. Whether a question is put to a person depends on the data of the branch: a step
asks the probe, and when rows are in the way and nobody has answered yet, it asks the question.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.migration import types
from orchestrator.migration.narrowing import FAIL, NULL, TRUNCATE, cuttable, narrow_id
from orchestrator.migration.offers import offer
from orchestrator.migration.plan import Probe
from orchestrator.migration.recipes.columns import fill_id
from orchestrator.migration.recipes.named_types import label_id, lost, moved, still_used
from orchestrator.migration.recipes.orphans import nullable, orphans_id
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Column, Constraint, Enum
from orchestrator.schema.questions import Choice, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStake:
    """A question that is put when the probe finds rows."""

    probe: Probe
    question: Question


def at_stake(work: Work) -> tuple[AtStake, ...]:
    """Every question of this kind, in a fixed order."""
    found: list[AtStake] = []
    for key in sorted(work.found.changed | work.retyped):
        if key.kind == "column" and key not in work.rebuilt and work.has_rows(key.parent):
            before, after = work.before(key, Column), work.after(key, Column)
            if after.not_null and not before.not_null:
                found.append(_nulls(work, key, after))
            if key in work.retyped and before.type != after.type:
                found += _misfits(work, key, before, after)
            elif key in work.retyped:
                found += _labels(work, key)
    for key in sorted(work.makes | work.found.changed):
        if key.kind == "constraint" and not work.is_new(key.parent) and work.has_rows(key.parent):
            found += _orphans(work, key)
    return tuple(found)


def _stop(what: str) -> Choice:
    return Choice(value=FAIL, label=f"nothing: the migration is not done while {what}")


def _nulls(work: Work, key: Key, after: Column) -> AtStake:
    probe = work.probing(key.parent).nulls(key.path[-1], fill_id(key))
    value = offer(after.type)
    choices = [Choice(value=value, label=f"each of these rows gets {value}")] if value else []
    question = Question(
        id=fill_id(key),
        kind="fill",
        prompt=f"Which value do rows of {key.parent.name} get that have no {quote(key.path[-1])}?",
        choices=(*choices, _stop("there are such rows")),
        evidence=(f"{key.name} becomes NOT NULL",),
        default=FAIL,
        free_text=True,
    )
    return AtStake(probe=probe, question=question)


def _misfits(work: Work, key: Key, before: Column, after: Column) -> Iterator[AtStake]:
    needed = work.goal.needs.get(key, ())
    if not types.may_not_fit(before.type, after.type) or any(
        each in work.makes | work.found.changed for each in needed
    ):
        return
    probe = work.probing(key.parent).misfits(key.path[-1], before.type, after.type)
    if not probe.blocks:
        return
    cut = Choice(value=TRUNCATE, label=f"they are cut to fit {after.type}", destructive=True)
    nothing = Choice(value=NULL, label="they become NULL", destructive=True)
    choices = [cut] if cuttable(after.type) and not before.type.endswith("[]") else []
    choices += [nothing] if not after.not_null else []
    yield AtStake(
        probe=probe,
        question=Question(
            id=narrow_id(key),
            kind="narrow",
            prompt=f"What becomes of values of {key.name} that are no {after.type}?",
            choices=(_stop("there are such values"), *choices),
            evidence=(f"{key.name} changes from {before.type} to {after.type}",),
            default=FAIL,
            free_text=True,
        ),
    )


def _labels(work: Work, key: Key) -> Iterator[AtStake]:
    for each in moved(work, key):
        new = work.goal.objects.get(each)
        if not isinstance(new, Enum):
            continue
        for label in lost(work, key, each):
            yield AtStake(
                probe=still_used(work, key, each, label),
                question=Question(
                    id=label_id(each, label),
                    kind="label",
                    prompt=f"Which label do rows get that have {label!r}, which {each.name} loses?",
                    choices=(
                        _stop("there are such rows"),
                        *(
                            Choice(value=to, label=f"they become {to!r}", destructive=True)
                            for to in new.labels
                        ),
                    ),
                    evidence=(f"{each.name} keeps {', '.join(new.labels)}",),
                    default=FAIL,
                ),
            )


def _orphans(work: Work, key: Key) -> Iterator[AtStake]:
    thing = work.after(key, Constraint)
    there = Key("table", thing.references)
    if (
        thing.type != "foreign"
        or thing.temporal
        or not thing.validated
        or there not in work.base.objects
        or key in work.rebuilt
    ):
        return
    columns = [Key("column", (*key.path[:2], name)) for name in thing.columns]
    columns += [Key("column", (*thing.references, name)) for name in thing.reference_columns]
    if any(each in work.makes | work.retyped or each not in work.base.objects for each in columns):
        return
    choices = [_stop("there are such rows")]
    if names := ", ".join(nullable(work, key, thing)):
        choices.append(Choice(value=NULL, label=f"their {names} becomes NULL", destructive=True))
    choices.append(Choice(value="delete", label="these rows are deleted", destructive=True))
    yield AtStake(
        probe=work.probing(key.parent).orphans(thing),
        question=Question(
            id=orphans_id(key),
            kind="orphans",
            prompt=f"What becomes of rows of {key.parent.name} that point at no row of {there.name}?",
            choices=tuple(choices),
            evidence=(f"{key} is new",),
            default=FAIL,
        ),
    )
