"""Renames as late as they can be: until then the version of the app that runs notices nothing. Pure: no I/O.

A rename is planned first, because every other statement uses the new names. Those that do not use them, which are
most, and all that takes long, go before it. Then little time is between the rename and the release.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.migration.step import Phase, Step
from orchestrator.schema.texts import identifiers

_NAME = re.compile(r'"(?:[^"]|"")*"|[^\W\d][\w$]*')


def renames_late(ordered: Sequence[Step]) -> list[Step]:
    """The same steps; renames that the app notices, and what needs them, just before what takes away.

    Args:
        ordered: every step after what it wants.
    """
    behind = _behind(ordered)
    if not behind:
        return list(ordered)
    ahead = [step for i, step in enumerate(ordered) if i not in behind]
    at = next((i for i, step in enumerate(ahead) if step.phase is Phase.DROP), len(ahead))
    if at:
        # Nothing of what goes before may wait in one transaction with them.
        ahead[at - 1] = replace(ahead[at - 1], commits=True)
    return [*ahead[:at], *(ordered[i] for i in sorted(behind)), *ahead[at:]]


def bound(ordered: Sequence[Step], together: Iterable[Sequence[int]]) -> bool:
    """Whether a rename that the app notices is one act with what is made again because of it.

    Args:
        ordered: every step.
        together: places of what must be seen at once.
    """
    loud = [i for i, step in enumerate(ordered) if _is_loud(step)]
    return any(len(at) > 1 and min(at) <= i <= max(at) for at in together for i in loud)


def _behind(ordered: Sequence[Step]) -> set[int]:
    """The loud renames and every step after them that uses one of their names, or wants what such a step gives."""
    behind: set[int] = set()
    names: set[str] = set()
    given: set[object] = set()
    for i, step in enumerate(ordered):
        loud = _is_loud(step)
        uses = bool(names & identifiers(step.statement.sql)) or any(token in given for token in step.wants)
        if not loud and not (behind and uses):
            continue
        behind.add(i)
        if loud:
            names |= _names(step)
        given |= {token for token in step.gives if token[0] != "all"}
    return behind


def _is_loud(step: Step) -> bool:
    return step.phase is Phase.RENAME and any(
        each.code == "breaks_running_code" for each in step.statement.hazards
    )


def _names(step: Step) -> set[str]:
    """What is called otherwise from here on: its old and its new name; of a label its type's, too."""
    before, _, after = step.statement.sql.partition(" RENAME ")
    told = identifiers(after or before.rpartition(" SET SCHEMA ")[0].rpartition(".")[2])
    old = _NAME.findall(step.statement.hazards[0].on)[-1:]
    return {*(told - {"column", "to", "value"}), *identifiers(" ".join(old)), step.key.path[-1]}
