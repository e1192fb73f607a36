"""What a revert leads back to: what a promotion changed is as before, what others changed since stays. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Where a revert leads.

    Attributes:
        snapshot: main as it is to be.
        conflicts: what somebody changed since and that stands in the way, one sentence each; empty: nothing does.
        others: how many objects others have changed since, which stay as they are.
    """

    snapshot: Snapshot
    conflicts: tuple[str, ...] = ()
    others: int = 0


def undone(base: Snapshot, after: Snapshot, now: Snapshot, *, between: bool = False) -> Undone:
    """Take back what lies between two snapshots from a third.

    Args:
        base: main before the promotion.
        after: main after it.
        now: main as it is, with what was set aside under its old name; some of the way back may be done already.
        between: what the promotion touched may be anything between the two: it did not come to its end.
    """
    touched = {key for key in base.objects.keys() | after.objects.keys() if _differ(base, after, key)}
    foreign = {
        key
        for key in now.objects.keys() | after.objects.keys()
        if key not in touched and _differ(now, after, key)
    }
    changed = [] if between else [key for key in sorted(touched) if not _is_one_of(now, key, base, after)]
    if not foreign and not changed:
        return Undone(snapshot=base)
    conflicts = [f"{key} was changed since by somebody else" for key in changed]
    gone = {key for key in touched if key in now.objects and key not in base.objects}
    conflicts += [
        f"{key} was made or changed since, and needs {needed}, which would go"
        for key in sorted(foreign & now.objects.keys())
        for needed in _needed(now, key, gone)
    ]
    return Undone(
        snapshot=replace(
            base,
            objects=_mixed(now.objects, base.objects, touched),
            needs=_mixed(now.needs, base.needs, touched),
            privileges=_mixed(now.privileges, base.privileges, touched),
            inherited=_mixed(now.inherited, base.inherited, touched),
            lineage=_mixed(now.lineage, base.lineage, touched),
            sizes=now.sizes,
        ),
        conflicts=tuple(conflicts),
        others=len(foreign),
    )


def _differ(one: Snapshot, other: Snapshot, key: Key) -> bool:
    return one.objects.get(key) != other.objects.get(key)


def _is_one_of(now: Snapshot, key: Key, base: Snapshot, after: Snapshot) -> bool:
    return not _differ(now, after, key) or not _differ(now, base, key)


def _needed(now: Snapshot, key: Key, gone: set[Key]) -> tuple[Key, ...]:
    """The first of these that an object stands on, directly or not; empty when it stands on none."""
    seen, ahead = {key}, [key]
    while ahead:
        each = ahead.pop()
        above = (each.parent,) if len(each.path) > 2 else ()
        for needed in (*now.needs.get(each, ()), *above):
            if needed in gone:
                return (needed,)
            if needed not in seen:
                seen.add(needed)
                ahead.append(needed)
    return ()


def _mixed(now: Mapping[Key, T], base: Mapping[Key, T], touched: set[Key]) -> dict[Key, T]:
    return {
        **{key: value for key, value in now.items() if key not in touched},
        **{key: value for key, value in base.items() if key in touched},
    }
