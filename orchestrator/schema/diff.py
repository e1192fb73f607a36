"""How two snapshots differ, key by key, and in sentences. Pure: no I/O of any kind."""

from dataclasses import dataclass, fields, replace

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Object
from orchestrator.schema.privileges import SYSTEM, Compare, Privileges, differing


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """The keys by which two snapshots differ.

    Attributes:
        added: only in the goal.
        dropped: only in the base.
        changed: in both, not equal.
    """

    added: frozenset[Key]
    dropped: frozenset[Key]
    changed: frozenset[Key]

    def __bool__(self) -> bool:
        return bool(self.added or self.dropped or self.changed)


def diff(base: Snapshot, goal: Snapshot) -> Differences:
    """Compare two snapshots object by object."""
    return Differences(
        added=frozenset(goal.objects.keys() - base.objects.keys()),
        dropped=frozenset(base.objects.keys() - goal.objects.keys()),
        changed=frozenset(
            key for key, thing in base.objects.items() if key in goal.objects and goal.objects[key] != thing
        ),
    )


def alike_seen(base: Snapshot, goal: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Both without the grants that only one of the two roles that inspected could see."""
    if base.superuser and goal.superuser:
        return base, goal
    first, second = (
        replace(
            each, privileges={key: what for key, what in each.privileges.items() if key.kind not in SYSTEM}
        )
        if each.superuser
        else each
        for each in (base, goal)
    )
    return first, second


def changed_attributes(before: Object, after: Object) -> tuple[str, ...]:
    """The names of the compared attributes by which two objects of one class differ."""
    return tuple(
        each.name
        for each in fields(before)
        if each.compare and getattr(before, each.name) != getattr(after, each.name, None)
    )


def describe_difference(
    base: Snapshot, goal: Snapshot, *, compare: Compare = Compare.IGNORE
) -> tuple[str, ...]:
    """Every difference as a sentence, sorted by object; empty when the two are equal.

    ``compare`` says how much of the goal's owners and grants counts.
    """
    found = diff(base, goal)
    base, goal = alike_seen(base, goal)
    said: dict[Key, str] = {key: f"{key} is missing" for key in found.added}
    said |= {key: f"{key} should not be there" for key in found.dropped}
    for key in found.changed:
        names = changed_attributes(base.objects[key], goal.objects[key])
        shown = []
        for name in names:
            before, after = getattr(base.objects[key], name), getattr(goal.objects[key], name)
            short = all(len(str(each)) <= 200 for each in (before, after)) and name not in {
                "digest",
                "shape",
                "secrets",
            }
            shown.append(f"{name} is {before!r}, should be {after!r}" if short else f"{name} differs")
        said[key] = f"{key}: {'; '.join(shown)}"
    for key, was, will in differing(base.privileges, goal.privileges, compare):
        told = f"{key}: owner and grants are {_privileges(was)}, should be {_privileges(will)}"
        said[key] = f"{said[key]}; {told}" if key in said else told
    return tuple(said[key] for key in sorted(said))


def _privileges(found: Privileges) -> str:
    """For a message."""
    parts = [found.owner or "the role that migrates"]
    parts += [f"+{name} {grantee or 'owner'}{' *' * option}" for name, grantee, option in found.granted]
    return ", ".join([*parts, *(f"-{name} {grantee or 'owner'}" for name, grantee in found.revoked)])
