"""Put steps in order: a deterministic topological sort, then groups that are committed together. Pure: no I/O."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.errors import DependencyCycle
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Statement
from orchestrator.migration.step import Phase, Step, Token
from orchestrator.schema.names import MEMBERS

#: Between equal phases: what others are made of comes first.
_RANK = {
    kind: rank
    for rank, kind in enumerate(
        (
            "schema",
            "extension",
            "collation",
            "enum",
            "domain",
            "composite type",
            "range type",
            "shell type",
            "base type",
            "sequence",
            "table",
            "column",
            "default",
            "function",
            "view",
            "materialized view",
            "constraint",
            "index",
            "trigger",
            "operator",
            "operator family",
            "operator class",
            "operator family member",
            "cast",
            "text search template",
            "text search parser",
            "text search dictionary",
            "text search configuration",
            "foreign-data wrapper",
            "server",
            "user mapping",
            "foreign table",
            "publication",
            "event trigger",
        )
    )
}


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Sort steps so that what each wants is given before; ties are broken by phase, kind and name.

    Raises:
        DependencyCycle: some steps wait for each other; the message spells the circle.
    """
    hard = edges(steps, hopes=False)
    soft = edges(steps, hopes=True)
    before = [hard[i] | soft[i] for i in range(len(steps))]
    done: list[int] = []
    left = set(range(len(steps)))
    missing = [set(each) for each in before]
    after: list[set[int]] = [set() for _ in steps]
    for i, needed in enumerate(before):
        for j in needed:
            after[j].add(i)
    heap = [(_priority(steps[i]), i) for i in left if not missing[i]]
    heapq.heapify(heap)
    while left:
        if not heap:
            # Only wishes may be given up: the first step that waits for nothing but wishes goes on.
            free = sorted((_priority(steps[i]), i) for i in left if not (missing[i] & hard[i] & left))
            if not free:
                raise DependencyCycle(
                    f"these statements wait for each other: {_circle(steps, hard, left)}",
                    hint="break the circle in two releases, or change one of these objects by hand first",
                    tables=frozenset(
                        key.path[:2]
                        for key in (steps[i].key for i in _in_circles(hard, left))
                        if key.kind in {"table", *MEMBERS}
                    ),
                )
            missing[free[0][1]].clear()
            heap = [free[0]]
        _, i = heapq.heappop(heap)
        if i not in left:
            continue
        left.discard(i)
        done.append(i)
        for j in after[i]:
            if j in left and i in missing[j]:
                missing[j].discard(i)
                if not missing[j]:
                    heapq.heappush(heap, (_priority(steps[j]), j))
    return [steps[i] for i in done]


def edges(steps: Sequence[Step], *, hopes: bool) -> list[set[int]]:
    """For each step the indexes of the steps that must, or (with ``hopes``) had better, run before it."""
    givers: dict[Token, list[int]] = {}
    for i, step in enumerate(steps):
        for token in step.gives:
            givers.setdefault(token, []).append(i)
    return [
        {j for token in (step.hopes if hopes else step.wants) for j in givers.get(token, ()) if j != i}
        for i, step in enumerate(steps)
    ]


def _priority(step: Step) -> tuple[int, int, tuple[str, ...], str, str]:
    """What decides between steps that could both run now."""
    rank = _RANK.get(step.key.kind, len(_RANK))
    return (step.phase, rank, step.key.path, step.key.kind, step.statement.sql)


def _in_circles(before: Sequence[set[int]], left: set[int]) -> list[int]:
    """Every step that waits for itself, by way of others: two walks, there and back (Kosaraju)."""
    behind: dict[int, list[int]] = {i: [] for i in left}
    for i in left:
        for j in before[i] & left:
            behind[j].append(i)
    finished: list[int] = []
    seen: set[int] = set()
    for start in left:
        walk = [(start, iter(behind[start]))] if start not in seen else []
        seen.add(start)
        while walk:
            further = next((j for j in walk[-1][1] if j not in seen), None)
            if further is None:
                finished.append(walk.pop()[0])
            else:
                seen.add(further)
                walk.append((further, iter(behind[further])))
    found: list[int] = []
    seen.clear()
    for start in reversed(finished):
        together = [start] if start not in seen else []
        seen.add(start)
        for i in together:
            more = (before[i] & left) - seen
            seen |= more
            together.extend(more)
        found += together if len(together) > 1 else []
    return found


def _circle(steps: Sequence[Step], before: Sequence[set[int]], left: set[int]) -> str:
    """One circle among the steps that are left, spelled: a -> b -> a."""
    walk = [min(left, key=lambda i: _priority(steps[i]))]
    while True:
        i = min((j for j in before[walk[-1]] if j in left), key=lambda j: _priority(steps[j]))
        if i in walk:
            circle = [*walk[walk.index(i) :], i]
            return " -> ".join(str(steps[j].key) for j in circle)
        walk.append(i)


def grouped(steps: Sequence[Step], spans: Iterable[tuple[int, int]]) -> tuple[Statement, ...]:
    """Number the transactions.

    A new one begins around what cannot run in one, around long scans, after what must be committed to be
    used, and where the next statement would add a lock on another existing table - but never within a span
    (first and last index), unless PostgreSQL leaves no choice.
    """
    inside = {i for first, last in spans for i in range(first + 1, last + 1)}
    statements: list[Statement] = []
    contracts = _contracts(steps, inside)
    group = 0
    held: set[str] = set()
    for i, step in enumerate(steps):
        previous = steps[i - 1] if i else None
        locked = (
            set(step.statement.lock_on) if step.statement.lock.strength >= LockMode.SHARE.strength else set()
        )
        if previous is not None:
            hard = (
                not step.statement.transactional or not previous.statement.transactional or previous.commits
            )
            soft = step.alone or previous.alone or bool(held and locked - held)
            if hard or (soft and i not in inside):
                group += 1
                held = set()
        held |= locked
        statements.append(replace(step.statement, group=group, contract=i in contracts))
    return tuple(statements)


def _contracts(steps: Sequence[Step], inside: set[int]) -> set[int]:
    """Where what takes away begins: the first drop, or the beginning of what must not be split around it."""
    at = next((i for i, step in enumerate(steps) if step.phase is Phase.DROP), None)
    if at is None:
        return set()
    while at in inside:
        at -= 1
    return {at}
