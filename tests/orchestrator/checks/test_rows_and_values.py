"""Rows and values before and after, on a real PostgreSQL: planted losses and changes, and their clean twins."""

import pytest

from orchestrator.checks.data import compare_sums
from orchestrator.checks.report import Severity
from orchestrator.checks.rows import NOT_COUNTED, compare, count_again, count_rows
from orchestrator.checks.sums import TableSums, sum_again, sum_table, sum_tables
from orchestrator.migration.plan import Hazard, Plan, Statement

SCHEMA = """
create schema "Odd schema";
create table public.a (id int primary key, name text, amount numeric(8,2),
  at timestamptz not null default '2026-01-02 03:04:05+00',
  twice numeric generated always as (amount * 2) stored);
create table "Odd schema"."Table ""x"".y" (id int primary key, v text);
insert into public.a (id, name, amount) select i, 'n' || i, i from generate_series(1, 100) i;
insert into "Odd schema"."Table ""x"".y" select i, null from generate_series(1, 7) i;
"""
ODD = '"Odd schema"."Table ""x"".y"'


def plan_of(*statements: str, deletes: str = "") -> Plan:
    hazards = (Hazard(code="deletes_data", on=deletes, detail="it is gone"),) if deletes else ()
    return Plan(
        base="a",
        goal="b",
        statements=tuple(Statement(sql=sql, why="x", hazards=hazards) for sql in statements),
    )


def rows_after(branch, plan: Plan, *actions: str):
    branch.execute(SCHEMA)
    before = count_rows(branch, ["public.a", ODD])
    assert before == {"public.a": 100, ODD: 7}
    for action in actions:
        branch.execute(action)
    return {f.subject: f for f in compare(before, count_again(branch, before, plan), plan)}


def test_nothing_lost_is_ok(branch):
    found = rows_after(branch, plan_of("select 1"))
    assert {f.severity for f in found.values()} == {Severity.OK}
    assert found["public.a"].message == "all 100 rows are there"


def test_lost_rows_block_with_the_number(branch):
    found = rows_after(branch, plan_of("select 1"), "delete from a where id > 97")
    assert found["public.a"].severity is Severity.BLOCKED
    assert "3 of 100 rows were lost" in found["public.a"].message
    assert found[ODD].severity is Severity.OK


def test_more_rows_need_attention(branch):
    found = rows_after(branch, plan_of("select 1"), "insert into a values (101)")
    assert found["public.a"].severity is Severity.ATTENTION


def test_a_table_that_the_plan_deletes_needs_attention_and_any_other_blocks(branch):
    planned = rows_after(branch, plan_of("DROP TABLE public.a", deletes='"public"."a"'), "drop table a")
    assert planned["public.a"].severity is Severity.ATTENTION
    assert "100 rows" in planned["public.a"].message


def test_a_table_that_vanished_unplanned_blocks(branch):
    found = rows_after(branch, plan_of("DROP TABLE public.other", deletes="public.other"), "drop table a")
    assert found["public.a"].severity is Severity.BLOCKED


def test_a_renamed_table_is_found_again(branch):
    statements = (
        'ALTER TABLE "Odd schema"."Table ""x"".y" RENAME TO "New.name"',
        'ALTER TABLE "Odd schema"."New.name" SET SCHEMA public',
        "ALTER TABLE public.a RENAME TO b",
    )
    found = rows_after(branch, plan_of(*statements), *statements)
    assert [f.severity for f in found.values()] == [Severity.OK, Severity.OK]


def test_what_may_not_be_read_is_not_looked_at(branch, stranger):
    branch.execute(SCHEMA)
    before = count_rows(stranger, ["public.a", "public.missing"])
    assert before == {"public.a": NOT_COUNTED}
    [finding] = compare(before, before, plan_of("select 1"))
    assert finding.severity is Severity.NOT_LOOKED_AT


def values_after(branch, plan: Plan, *actions: str, **options):
    branch.execute(SCHEMA)
    stored = {table: sums.to_json() for table, sums in sum_tables(branch, ["public.a", ODD]).items()}
    before = {table: TableSums.from_json(sums) for table, sums in stored.items()}
    for action in actions:
        branch.execute(action)
    return [
        (f.severity.value, f.subject, f.message)
        for f in compare_sums(before, sum_again(branch, before, **options), plan)
    ]


CLEAN = [
    ("ok", ODD, "2 columns hold exactly the values of before (all rows read)"),
    ("ok", "public.a", "4 columns hold exactly the values of before (all rows read)"),
]


@pytest.mark.parametrize(
    "actions",
    [
        (),
        ("alter table a rename column name to full_name", "alter table a rename to b"),
        ("alter table a add column extra text not null default 'web'",),
        ("alter table a alter column amount type numeric(12,2) using amount", "vacuum full a"),
        ("update a set name = name where id % 2 = 0", "cluster a using a_pkey"),
        ("alter table a alter column id type bigint",),
        ("set timezone = 'Asia/Tokyo'",),
    ],
)
def test_values_that_stay_are_ok(branch, actions):
    if any("amount type" in action for action in actions):
        actions = ("alter table a drop column twice", *actions)
    assert values_after(branch, plan_of("select 1"), *actions) == CLEAN


@pytest.mark.parametrize(
    "fault",
    [
        "update a set name = 'N1' where id = 1",
        "update a set name = null where id = 1",
        "update a set name = case id when 1 then 'n2' else 'n1' end where id in (1, 2)",
    ],
)
def test_a_changed_value_in_an_untouched_column_blocks(branch, fault):
    found = values_after(branch, plan_of("select 1"), fault)
    assert [f[:2] for f in found] == [("ok", ODD), ("blocked", "public.a.name"), ("ok", "public.a")]
    assert "n1" not in found[1][2].lower().split()


@pytest.mark.parametrize(
    ("sql", "severity"),
    [("ALTER TYPE public.mood RENAME VALUE 'sad' TO 'low'", "attention"), ("select 1", "blocked")],
)
def test_labels_that_the_plan_renames_read_differently_and_stop_nobody(branch, sql, severity):
    branch.execute("create type mood as enum ('sad', 'glad'); create table m (id int primary key, mood mood)")
    branch.execute("insert into m values (1, 'sad'), (2, 'glad')")
    before = sum_tables(branch, ["public.m"])
    branch.execute("alter type mood rename value 'sad' to 'low'")
    (changed, _) = compare_sums(before, sum_again(branch, before), plan_of(sql))
    assert (changed.severity.value, changed.subject) == (severity, "public.m.mood")


def test_a_column_that_is_gone_blocks_unless_the_plan_says_so(branch):
    found = values_after(branch, plan_of("x"), "alter table a drop column name")
    assert [f[:2] for f in found] == [("ok", ODD), ("blocked", "public.a.name"), ("ok", "public.a")]


def test_a_column_that_the_plan_deletes_is_no_finding(branch):
    plan = plan_of("x", deletes='public."a".name')
    found = values_after(branch, plan, "alter table a drop column name")
    assert [f[:2] for f in found] == [("ok", ODD), ("ok", "public.a")]


@pytest.mark.parametrize(("kept", "severity"), [("kept", "ok"), ("null", "blocked")])
def test_a_column_that_was_made_anew_is_compared_by_name(branch, kept, severity):
    found = values_after(
        branch,
        plan_of("x"),
        "alter table a rename name to kept; alter table a add name text; "
        f"update a set name = {kept}; alter table a drop column kept",
    )
    assert severity in [f[0] for f in found if f[1].startswith("public.a")]
    assert ("blocked" in [f[0] for f in found]) == (severity == "blocked")


def test_values_of_other_rows_are_not_compared(branch):
    found = values_after(branch, plan_of("select 1"), "delete from a where id = 1")
    assert found[1] == (
        "not_looked_at",
        "public.a",
        "it had 100 rows and has 99, so its values cannot be compared as a whole",
    )


def test_null_and_empty_are_not_the_same(branch):
    found = values_after(branch, plan_of("select 1"), f"update {ODD} set v = '' where id = 3")
    assert found[0][:2] == ("blocked", f"{ODD}.v")


def test_values_that_the_plan_fills_need_attention(branch):
    statement = "UPDATE public.a SET name = 'x' WHERE id = 1"
    found = values_after(branch, plan_of(statement), statement)
    assert [f[:2] for f in found] == [("ok", ODD), ("attention", "public.a.name"), ("ok", "public.a")]


def test_a_type_that_reads_differently_needs_attention(branch):
    found = values_after(
        branch, plan_of("select 1"), "alter table a drop column twice, alter column amount type int"
    )
    assert found[1][:2] == ("attention", "public.a.amount")
    assert "from numeric(8,2) to integer" in found[1][2]


def test_what_is_too_large_and_has_no_key_is_not_looked_at(branch):
    branch.execute(SCHEMA)
    branch.execute("alter table a drop constraint a_pkey")
    [(oid,)] = branch.execute("select 'public.a'::regclass::oid::bigint").fetchall()
    seen = sum_table(branch, oid, limit_bytes=100)
    assert seen is not None
    assert seen.unseen.startswith("it has 0 MB, more than 0 MB (report.exact_up_to), and no key")
    assert sum_table(branch, 4_000_000_000) is None


def test_what_may_not_be_read_has_no_values(branch, stranger):
    branch.execute(SCHEMA)
    before = sum_tables(stranger, ["public.a"])
    [finding] = compare_sums(before, sum_again(branch, before), plan_of("select 1"))
    assert finding.severity is Severity.NOT_LOOKED_AT
    assert "permission denied" in finding.message


def test_a_key_that_is_gone_is_not_looked_at(branch):
    found = values_after(branch, plan_of("select 1"), "alter table a drop column id")
    assert found[1][:2] == ("not_looked_at", "public.a")
