"""Declared against observed locks and the expected pause: values in, findings out; one trace is taken for real."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.checks.locks import compare_locks, expected_pause, lock_table
from orchestrator.checks.names import joined, parts_of, same_name
from orchestrator.checks.report import Severity
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard, Plan, Statement


def statement(lock=LockMode.NONE, on=(), group=0, transactional=True, hazards=()):
    return Statement(
        sql="x", why="y", lock=lock, lock_on=tuple(on), group=group, transactional=transactional,
        hazards=tuple(Hazard(code=code, on="public.a", detail="") for code in hazards),
    )  # fmt: skip


def trace(index, milliseconds, *locks, rewritten=()):
    return {
        "index": index,
        "milliseconds": milliseconds,
        "locks": [list(lock) for lock in locks],
        "rewritten": list(rewritten),
    }


def plan_of(*statements):
    return Plan(base="a", goal="b", statements=statements)


EXCLUSIVE, SHARE, SHARE_UPDATE = "AccessExclusiveLock", "ShareLock", "ShareUpdateExclusiveLock"


def test_what_was_declared_is_ok():
    plan = plan_of(statement(LockMode.ACCESS_EXCLUSIVE, ["public.a"]))
    ok, pause = compare_locks(
        plan, [trace(0, 12.4, ("public.a", EXCLUSIVE), ("public.a", SHARE))], ["public.a"]
    )
    assert (ok.severity, pause.severity) == (Severity.OK, Severity.OK)
    assert (
        "12 ms in all, 12 ms at most at once (from statement 1, blocks reads and writes), on public.a"
        in pause.message
    )


def test_a_stronger_lock_than_declared_is_found():
    plan = plan_of(statement(LockMode.SHARE_UPDATE_EXCLUSIVE, ["public.a"]))
    found, pause = compare_locks(plan, [trace(0, 5, ("public.a", EXCLUSIVE))], ["public.a"])
    assert (found.severity, found.subject) == (Severity.ATTENTION, "public.a")
    assert "statement 1 took AccessExclusiveLock" in found.message
    assert "ShareUpdateExclusiveLock" in found.message
    assert pause.subject == "pause"


def test_a_lock_on_a_table_that_was_not_named_is_found():
    plan = plan_of(statement(LockMode.SHARE_ROW_EXCLUSIVE, ["public.a"]))
    traces = [trace(0, 5, ("public.a", "ShareRowExclusiveLock"), ("public.b", "ShareRowExclusiveLock"))]
    subjects = [f.subject for f in compare_locks(plan, traces, ["public.a", "public.b"])]
    assert subjects == ["public.b", "pause"]


def test_locks_on_new_tables_and_harmless_modes_are_no_findings():
    plan = plan_of(statement())
    traces = [
        trace(0, 900, ("public.new", EXCLUSIVE), ("public.a", "RowExclusiveLock"), rewritten=["public.new"])
    ]
    assert {f.severity for f in compare_locks(plan, traces, ["public.a"])} == {Severity.OK}
    assert expected_pause(plan, traces, ["public.a"]).total_ms == 0


def test_quoting_makes_no_difference():
    plan = plan_of(statement(LockMode.ACCESS_EXCLUSIVE, ['"public".a']))
    assert (
        compare_locks(plan, [trace(0, 1, ("public.a", EXCLUSIVE))], ['public."a"'])[0].severity is Severity.OK
    )


def test_a_rewrite_that_was_declared_as_none_is_found():
    traces = [trace(0, 3, ("public.a", EXCLUSIVE), rewritten=["public.a"])]
    silent = plan_of(statement(LockMode.ACCESS_EXCLUSIVE, ["public.a"]))
    honest = plan_of(statement(LockMode.ACCESS_EXCLUSIVE, ["public.a"], hazards=["rewrites_table"]))
    assert [f.subject for f in compare_locks(silent, traces, ["public.a"])] == ["public.a", "pause"]
    assert {f.severity for f in compare_locks(honest, traces, ["public.a"])} == {Severity.OK}


def test_a_transaction_holds_its_lock_until_it_commits():
    strong = statement(LockMode.ACCESS_EXCLUSIVE, ["public.a"], group=1)
    plan = plan_of(
        statement(group=1),
        strong,
        statement(group=1),
        statement(group=2),
        statement(transactional=False, group=3),
    )
    locked = ("public.a", EXCLUSIVE)
    traces = [
        trace(0, 100),
        trace(1, 10, locked),
        trace(2, 30),
        trace(3, 1000),
        trace(4, 7, ("public.b", SHARE)),
    ]
    pause = expected_pause(plan, traces)
    assert (pause.total_ms, pause.longest_ms, pause.longest_at, pause.blocks) == (
        47,
        40,
        2,
        "reads and writes",
    )
    assert pause.tables == ("public.a", "public.b")


def test_a_long_pause_needs_attention():
    plan = plan_of(statement(LockMode.ACCESS_EXCLUSIVE, ["public.a"]))
    pause = compare_locks(plan, [trace(0, 1500, ("public.a", EXCLUSIVE))], ["public.a"])[-1]
    assert pause.severity is Severity.ATTENTION
    assert "1.5 s" in pause.message


def test_a_statement_without_a_trace_is_not_looked_at():
    plan = plan_of(statement(), statement())
    first, ok, _ = compare_locks(plan, [trace(0, 1)], [])
    assert (first.severity, first.subject) == (Severity.NOT_LOOKED_AT, "statement 2")
    assert ok.severity is Severity.OK
    assert [f.severity for f in compare_locks(plan, [], [])] == [Severity.NOT_LOOKED_AT] * 2


def test_locks_outside_a_transaction_are_not_looked_at():
    plan = plan_of(statement(LockMode.SHARE_UPDATE_EXCLUSIVE, ["public.a"], transactional=False))
    unseen, ok, pause = compare_locks(plan, [trace(0, 30)], ["public.a"])
    assert unseen.severity is Severity.NOT_LOOKED_AT
    assert "it declared ShareUpdateExclusiveLock" in unseen.message
    assert (ok.subject, pause.severity) == ("plan", Severity.OK)


def test_an_empty_plan_has_no_findings():
    assert compare_locks(plan_of(), [], []) == ()


durations = st.floats(min_value=0, max_value=1e6)


@given(
    st.lists(
        st.tuples(durations, st.integers(0, 3), st.booleans(), st.sampled_from([m.value for m in LockMode])),
        max_size=12,
    )
)
def test_the_pause_is_never_longer_than_the_plan_nor_shorter_than_a_blocking_statement(rows):
    rows = sorted(rows, key=lambda row: row[1])
    plan = plan_of(*(statement(group=group, transactional=whole) for _, group, whole, _ in rows))
    traces = [trace(i, ms, ("public.a", mode)) for i, (ms, _, _, mode) in enumerate(rows)]
    pause = expected_pause(plan, traces)
    blocking = [ms for ms, _, _, mode in rows if LockMode(mode).blocks_writes]
    assert sum(blocking) * 0.999 <= pause.total_ms <= sum(row[0] for row in rows) * 1.001
    assert pause.longest_ms >= max(blocking, default=0) * 0.999
    assert (pause.longest_at > 0) == bool(blocking)


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=1, max_size=3))
def test_names_survive_quoting(parts):
    assert parts_of(joined(tuple(parts))) == tuple(parts)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("public.orders", '"public"."orders"', True),
        ("Public.Orders", "public.orders", True),
        ('public."Orders"', "public.orders", False),
        ('"a.b".c', 'a."b.c"', False),
        ('"a""b".c', '"a""b"."c"', True),
    ],
)
def test_names_compare_as_postgres_does(one, other, same):
    assert same_name(one, other) is same


def test_a_lock_is_held_until_its_transaction_ends():
    def statement(group: int, *, transactional: bool = True) -> Statement:
        return Statement(sql="select 1", why="w", group=group, transactional=transactional)

    plan = Plan(
        base="a",
        goal="b",
        statements=(statement(0), statement(0), statement(1, transactional=False), statement(2)),
    )
    traces = [
        {"index": 0, "milliseconds": 1.0, "locks": [["public.a", "AccessExclusiveLock"]]},
        {
            "index": 1,
            "milliseconds": 2.0,
            "locks": [["public.b", "ShareRowExclusiveLock"], ["public.c", "RowExclusiveLock"]],
        },
        {"index": 2, "milliseconds": 4.0, "locks": [["public.a", "ShareUpdateExclusiveLock"]]},
        {"index": 3, "milliseconds": 8.0, "locks": [["public.new", "AccessExclusiveLock"]]},
    ]
    table = lock_table(plan, traces, existing={"public.a", "public.b", "public.c"})
    assert [(held.relation, held.statement, held.held_ms) for held in table] == [
        ("public.a", 1, 3.0),
        ("public.b", 2, 2.0),
        ("public.a", 3, 4.0),
    ]
    assert table[0].to_json()["blocks"] == "reads and writes"
