"""Two phases: the running version survives the first, together they are the plan, the middle leads to the end."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as some

from orchestrator.migration.phases import split
from orchestrator.migration.plan import Plan, Statement


def plan(late: Sequence[bool | None], groups: Sequence[int]) -> Plan:
    statements = tuple(
        Statement(sql=f"SELECT {i}", why="", late=each, group=group)
        for i, (each, group) in enumerate(zip(late, groups, strict=True))
    )
    return Plan(base="", goal="", statements=statements)


@given(some.lists(some.tuples(some.sampled_from([True, False, None]), some.booleans()), max_size=20))
def test_nothing_is_lost_and_the_order_stays(found: list[tuple[bool | None, bool]]) -> None:
    groups, group = [], 0
    for _, new in found:
        group += new
        groups.append(group)
    whole = plan([late for late, _ in found], groups)
    phases = split(whole)
    first, second = phases.expand.statements, phases.contract.statements
    assert sorted([*first, *second], key=lambda each: each.sql) == sorted(
        whole.statements, key=lambda each: each.sql
    )
    assert not any(each.late for each in first)
    assert [each for each in whole.statements if each in first] == list(first)
    assert [each for each in whole.statements if each in second] == list(second)


def test_what_nobody_knows_follows_what_stands_before_it() -> None:
    phases = split(plan([None, False, None, True, None, False], range(6)))
    assert [each.sql for each in phases.expand.statements] == ["SELECT 0", "SELECT 1", "SELECT 2", "SELECT 5"]
    assert [each.sql for each in phases.contract.statements] == ["SELECT 3", "SELECT 4"]
