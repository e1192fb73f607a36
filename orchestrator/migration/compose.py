"""Compose: the generated statements, a person's own steps and the rows of migration tools as one plan. Pure: no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.migration.plan import Plan, Statement

Blocks = Mapping[str, Sequence[Sequence[Statement]]]


def compose(plan: Plan, *, own: Blocks | None = None, rows: Sequence[Statement] = ()) -> Plan:
    """Put everything in its place; transactions are numbered anew.

    Own steps come before, before what takes away, and after the generated statements. Rows go into the last
    transaction of the generated plan: a tool's books must not say that something is done which is not.

    Args:
        plan: what was generated.
        own: statements by ``before``, ``before_contract`` and ``after``, in blocks with groups of their own.
        rows: statements that write the books.
    """
    found = own or {}
    at = next((i for i, each in enumerate(plan.statements) if each.contract), len(plan.statements))
    expand, contract = plan.statements[:at], plan.statements[at:]
    last = contract or expand
    joins = bool(last) and last[-1].transactional
    written = tuple(replace(each, group=last[-1].group if joins else 0) for each in rows)
    tail: list[Sequence[Statement]] = [contract]
    if not joins:
        tail.append(written)
    elif contract:
        tail = [(*contract, *written)]
    else:
        expand = (*expand, *written)
    if not found.get("before_contract"):
        # Nothing comes in between: transactions stay whole.
        tail[0] = (*expand, *tail[0])
        expand = ()
    blocks = [
        *found.get("before", ()),
        expand,
        *found.get("before_contract", ()),
        *tail,
        *found.get("after", ()),
    ]
    return replace(plan, statements=_numbered(blocks))


def halves(plan: Plan) -> tuple[Plan, Plan]:
    """What adds, and what takes away: a new version of the app is released in between."""
    at = next((i for i, each in enumerate(plan.statements) if each.contract), len(plan.statements))
    return (
        replace(plan, statements=plan.statements[:at]),
        replace(plan, statements=plan.statements[at:]),
    )


def _numbered(blocks: Iterable[Sequence[Statement]]) -> tuple[Statement, ...]:
    """All statements in order; a block begins a transaction, and keeps those that it has."""
    made: list[Statement] = []
    group = -1
    for block in blocks:
        within: int | None = None
        for statement in block:
            if within is None or statement.group != within:
                group += 1
                within = statement.group
            made.append(replace(statement, group=group))
    return tuple(made)
