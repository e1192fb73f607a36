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
#: What gives a table another name: its schema and name before; what it is called then, or the schema that it goes to.
_RENAMED = re.compile(rf"ALTER TABLE ({_N})\.({_N}) RENAME TO ({_N})")
_MOVED = re.compile(rf"ALTER TABLE ({_N})\.({_N}) SET SCHEMA ({_N})")


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


def as_today(middle: Plan) -> Plan:
    """The same with the names that the tables to be locked have before it: a plan calls them as they will be called."""
    was: dict[str, str] = {}
    for each in middle.statements:
        if found := _RENAMED.fullmatch(each.sql):
            schema, name, new = found.groups()
            now = f"{schema}.{new}"
        elif found := _MOVED.fullmatch(each.sql):
            schema, name, new = found.groups()
            now = f"{new}.{name}"
        else:
            continue
        before = f"{schema}.{name}"
        was[now] = was.pop(before, before)
    return replace(
        middle,
        statements=tuple(
            replace(each, lock_on=tuple(was.get(name, name) for name in each.lock_on))
            for each in middle.statements
        ),
    )


def _inverse(sql: str) -> str | None:
    for rename, back in _RENAMES:
        if match := rename.fullmatch(sql):
            return match.expand(back)
    return None
