"""Types that only have another name: nobody is asked, because no value changes. Pure: no I/O of any kind."""

import re
from dataclasses import replace

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.moves import retold
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Object

#: What ALTER ... RENAME renames whole: a range type's multirange would keep its old name.
_KINDS = ("enum", "domain", "composite type")


def type_renames(base: Snapshot, goal: Snapshot) -> tuple[Snapshot, dict[Key, Key]]:
    """Rename types of which exactly one goes and one alike comes in the same schema; says which.

    What is made of others comes after them: a composite type is alike only when its attributes' types are.
    """
    keys: dict[Key, Key] = {}
    for kind in _KINDS:
        before = _by_likeness(base, [key for key in base.of_kind(kind) if key not in goal.objects])
        after = _by_likeness(goal, [key for key in goal.of_kind(kind) if key not in base.objects])
        for likeness, old in before.items():
            new = after.get(likeness, [])
            if len(old) == len(new) == 1:
                keys[old[0]] = new[0]
                base = _renamed(base, old[0], new[0])
    return base, dict(sorted(keys.items()))


def _by_likeness(snapshot: Snapshot, keys: list[Key]) -> dict[Object, list[Key]]:
    found: dict[Object, list[Key]] = {}
    for key in sorted(keys):
        alike = replace(snapshot.objects[key], key=Key(key.kind, key.path[:1]), comment=None)
        found.setdefault(alike, []).append(key)
    return found


def _renamed(base: Snapshot, old: Key, new: Key) -> Snapshot:
    """The base with a type renamed wherever it is named; a wrong guess makes a rebuild, no wrong equality."""
    pattern = re.compile(rf"(?<![\w.$]){re.escape(old.name)}(?![\w$])")
    return retold(
        base, set(base.objects) - {old}, lambda said: pattern.sub(lambda _match: new.name, said), {old: new}
    )
