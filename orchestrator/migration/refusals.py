"""What cannot be planned, by name: nothing is ever skipped in silence. Pure: no I/O of any kind."""

from orchestrator.errors import UnsupportedObject
from orchestrator.migration.aside import refused as refused_anew
from orchestrator.migration.rebuild import Rebuild
from orchestrator.migration.recipes import (
    aside,
    composites,
    domains,
    extensions,
    indexes,
    not_nulls,
    partitions,
    privileges,
    ranges,
    stated,
)
from orchestrator.migration.work import Work
from orchestrator.schema.objects import Extension, Other


def refuse_unsupported(work: Work, again: Rebuild) -> None:
    """Name everything that differs and cannot be planned; nothing is ever skipped in silence."""
    said: list[str] = []
    created = [key for key in sorted(work.found.added) if isinstance(work.goal.objects[key], Other)]
    said += [f"{key} is to be created" for key in created]
    for key in sorted(work.found.dropped):
        thing = work.base.objects[key]
        if isinstance(thing, Other) and not (thing.of is not None and thing.of in work.found.dropped):
            said.append(f"{key} is to be dropped")
    for key in sorted(work.found.changed):
        before, after = work.base.objects[key], work.goal.objects[key]
        if isinstance(before, Other) or type(before) is not type(after):
            said.append(f"{key} differs")
        elif key.kind == "domain" and key not in again.rebuilt:
            said += [refusal] if (refusal := domains.refused(work, key)) else []
        elif isinstance(after, Extension):
            said += extensions.refused(work, key)
    said += indexes.refused(work)
    said += stated.stuck(work)
    said += [each for key in sorted(again.rebuilt) if (each := composites.refused(work, key))]
    said += [each for key in sorted(again.rebuilt) if (each := ranges.refused(work, key))]
    said += [each for key in sorted(work.makes | work.found.changed) if (each := stated.refused(work, key))]
    said += [
        *partitions.refused(work),
        *not_nulls.refused(work),
        *refused_anew(work.base, work.goal, work.aside),
    ]
    said += again.refused
    said += privileges.refused(work)
    refuse([aside.told(work, each) for each in said])


def refuse(said: list[str]) -> None:
    """Say no to a plan.

    Raises:
        UnsupportedObject: something was said; all of it is named.
    """
    if said:
        raise UnsupportedObject(
            "this version cannot plan: " + "; ".join(said),
            hint="make this change on main by hand, or take it out of the goal, and plan again",
        )
