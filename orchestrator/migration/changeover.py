"""A plan in three: before what the running version notices, the change-over, what takes away. Pure: no I/O.

The change-over and the release of the new version belong together: between them neither version fits the schema. It is
made of renames only, which take no time and can be taken back.
"""

import re
from dataclasses import replace

from orchestrator.migration.plan import Plan

_N = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
#: Each rename that our own generator writes, and what takes it back.
_RENAMES = (
    (
        re.compile(rf"(ALTER TABLE {_N}\.{_N} RENAME (?:COLUMN|CONSTRAINT)) ({_N}) TO ({_N})"),
        r"\1 \3 TO \2",
    ),
    (re.compile(rf"(ALTER [A-Z ]+? {_N}\.)({_N}) RENAME TO ({_N})"), r"\1\3 RENAME TO \2"),
    (
        re.compile(rf"(ALTER TYPE {_N}\.{_N} RENAME VALUE) ('(?:[^']|'')*') TO ('(?:[^']|'')*')"),
        r"\1 \3 TO \2",
    ),
    (re.compile(rf"ALTER TABLE ({_N})\.({_N}) SET SCHEMA ({_N})"), r"ALTER TABLE \3.\2 SET SCHEMA \1"),
)


def thirds(plan: Plan) -> tuple[Plan, Plan, Plan]:
    """What comes before the change-over, the change-over in one transaction, and what takes away.

    It is empty when the running version notices nothing before the contract, and when more than renames is left from
    there on: that may take long, or cannot be taken back, so nobody can be asked to wait for it.
    """
    statements = plan.statements
    end = next((i for i, each in enumerate(statements) if each.contract), len(statements))
    at = next(
        (
            i
            for i, each in enumerate(statements[:end])
            if any(hazard.code == "breaks_running_code" for hazard in each.hazards)
        ),
        end,
    )
    if any(_inverse(each.sql) is None for each in statements[at:end]):
        at = end
    middle = tuple(replace(each, group=0) for each in statements[at:end])
    return (
        replace(plan, statements=statements[:at]),
        replace(plan, statements=middle),
        replace(plan, statements=statements[end:]),
    )


def undone(middle: Plan) -> Plan:
    """What takes a change-over back."""
    back = [
        replace(each, sql=_inverse(each.sql) or "", why=f"take back: {each.why}", hazards=())
        for each in reversed(middle.statements)
    ]
    return replace(middle, statements=tuple(back))


def _inverse(sql: str) -> str | None:
    for rename, back in _RENAMES:
        if match := rename.fullmatch(sql):
            return match.expand(back)
    return None
