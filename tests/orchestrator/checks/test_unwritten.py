"""Tables that nobody wrote, on a real PostgreSQL: what is proved, and everything that must not be; with twins."""

import pytest

from orchestrator.checks.data import compare_sums
from orchestrator.checks.new_columns import new_columns
from orchestrator.checks.report import Severity
from orchestrator.checks.rows import count_again, count_rows
from orchestrator.checks.sums import Limits, TableSums, sum_again, sum_tables
from orchestrator.checks.unwritten import expected, moment, written
from orchestrator.database import connect
from orchestrator.migration.plan import Hazard, Plan, Statement

PLAN = Plan(base="a", goal="b", statements=(Statement(sql="select 1", why="x"),))
SCHEMA = """
create type mood as enum ('good', 'bad');
create table t (id int primary key, name text, amount numeric(8, 2), mood mood default 'good', of regclass,
                double int generated always as (id * 2) stored);
insert into t select i, 'name ' || i, i / 4.0, 'good', 'pg_class' from generate_series(1, 1000) i;
create table other (id int primary key, t int references t);
insert into other select i, i from generate_series(1, 100) i;
"""


def steps(action: str) -> list[str]:
    """One statement each, but for blocks."""
    return [action] if action.startswith("do ") else action.split("; ")


class Looked:
    """What is known before; then what is proved and found after some actions."""

    def __init__(self, branch, schema: str = SCHEMA, *, plan: Plan = PLAN, casts=None, limits=None):
        self.branch, self.plan = branch, plan
        branch.execute(schema)
        tables = [
            row[0] for row in branch.execute("select 'public.' || relname from pg_class where relkind in ('r', 'p') "
                                             "and relnamespace = 'public'::regnamespace").fetchall()
        ]  # fmt: skip
        since = moment(branch)
        rows = count_rows(branch, tables)
        left = expected(plan, since, rows, triggers=False)
        seen = sum_tables(branch, tables, casts=casts or {}, unread=left, limits=limits or Limits())
        self.before = {name: TableSums.from_json(each.to_json()) for name, each in seen.items()}

    def after(self, *actions: str) -> tuple[str, ...]:
        for action in actions:
            self.branch.execute(action)
        return written(self.branch, self.before)

    def found(self) -> dict:
        after = sum_again(self.branch, self.before)
        findings = (
            *compare_sums(self.before, after, self.plan),
            *new_columns(self.branch, self.before, after),
        )
        return {each.subject: each for each in findings}


@pytest.mark.parametrize(
    "action",
    [
        "select 1",
        "alter table t add column more int default 7; alter table t rename constraint t_pkey to k",
        "alter table t rename column name to called",
        "alter table t drop column name",
        "alter table t rename to u",
        "create index on t (name); vacuum freeze t",
        "alter table t alter column name set not null",
        "begin; update t set name = 'x'; rollback",
        "begin; select * from t for update; commit",
        "drop table other",
    ],
)
def test_rows_that_nobody_wrote_are_proved_so(branch, action):
    looked = Looked(branch)
    assert looked.before["public.t"].proof is not None
    assert looked.after(*steps(action)) == ()


@pytest.mark.parametrize(
    "action",
    [
        "update t set name = 'other' where id = 17",
        "update t set name = name where id = 17",
        "delete from other; delete from t where id = 17",
        "delete from other where id = 1; delete from t where id = 1; insert into t values (1, 'name 1', 0.25)",
        "insert into t values (0)",
        "begin; savepoint s; update t set name = 'x' where id = 5; release s; commit",
        "truncate t cascade",
        "vacuum full t",
        "alter table t alter column amount type int",
        "alter table t drop column name; alter table t add column name text default 'name 1'",
        "do $$begin for i in 1..50 loop update t set name = 'n' where id = i; commit; end loop; end$$",
        "update t set name = 'x' where id = 9; vacuum freeze t",
    ],
)
def test_rows_that_somebody_wrote_are_not(branch, action):
    assert "public.t" in Looked(branch).after(*steps(action))


def test_whoever_had_written_before_and_committed_after_is_seen(branch, uri):
    branch.execute(SCHEMA)
    with connect(uri(), purpose="other", autocommit=False) as other:
        other.execute("update t set name = 'late' where id = 3")
        looked = Looked(branch, "select 1")
        other.commit()
    assert looked.after() == ("public.t",)


def test_many_transactions_of_others_stand_in_nobodys_way(branch):
    many = "do $$begin for i in 1..3000 loop insert into other values (1000 + i); commit; end loop; end$$"
    assert Looked(branch).after(many) == ("public.other",)


def test_what_is_said_of_them(branch):
    looked = Looked(
        branch, casts={"public.t": {"amount": "numeric(12,2)"}}, limits=Limits(exact_bytes=10_000)
    )
    was = looked.before["public.t"]
    assert [each.name for each in was.columns.values() if each.way != "unread"] == ["amount", "of"]
    looked.after("alter table t alter column amount type numeric(12, 2), add column new int default 7")
    found = looked.found()
    assert {each.severity for each in found.values()} == {Severity.OK}, [
        each.message for each in found.values()
    ]
    assert found["public.other"].message == (
        "2 columns hold exactly the values of before (no row was written)"
    )
    assert found["public.other"].evidence == {"rows": 100, "exact": True}
    assert found["public.t"].message.startswith(
        "5 columns hold exactly the values of before (3: no row was written; 2: a sample: "
    )
    assert found["public.t"].evidence["exact"] is False
    assert "have the default" in found["public.t.new"].message


def test_they_are_not_counted_again_where_they_still_are(branch):
    looked = Looked(branch, SCHEMA + "create table gone (id int); insert into gone values (1), (2)")
    rows = {name: each.proof.rows for name, each in looked.before.items()}
    known = {name: (each.oid, each.proof.rows) for name, each in looked.before.items()}
    looked.after("drop table gone; create table gone (id int)")
    assert count_again(branch, rows, PLAN, known=known) == {
        "public.t": 1000,
        "public.other": 100,
        "public.gone": 0,
    }
    branch.execute("drop table gone; insert into t values (0)")
    assert count_again(branch, rows, PLAN, known=known) == {"public.t": 1000, "public.other": 100}


def test_values_that_read_differently_though_nobody_wrote_them_are_told(branch):
    plan = Plan(
        base="a",
        goal="b",
        statements=(Statement(sql="ALTER TYPE public.mood RENAME VALUE 'good' TO 'fine'", why="x"),),
    )
    looked = Looked(branch, plan=plan)
    assert looked.after("alter type mood rename value 'good' to 'fine'") == ()
    found = looked.found()
    assert found["public.t.mood"].severity is Severity.ATTENTION
    assert "renames labels" in found["public.t.mood"].message
    branch.execute("alter type mood add value 'worse'")
    assert looked.found()["public.t.mood"].severity is Severity.ATTENTION


def test_a_label_more_changes_no_value_that_is_there(branch):
    schema = f"{SCHEMA}; alter table t add column moods mood[] default '{{good,bad}}'"
    looked = Looked(branch, schema)
    ways = {each.name: each.way for each in looked.before["public.t"].columns.values()}
    assert (ways["mood"], ways["moods"]) == ("unread", "unread")
    assert looked.after("alter type mood add value 'a \"worse\" one, = bad' before 'bad'") == ()
    assert {each.severity for each in looked.found().values()} == {Severity.OK}
    branch.execute("alter type mood rename value 'bad' to 'worst'")
    found = looked.found()
    assert {name for name, each in found.items() if each.severity is Severity.BLOCKED} == {
        "public.t.mood",
        "public.t.moods",
    }


def test_a_type_of_a_persons_own_is_read(branch):
    schema = """
        create domain cents as int; create type pair as (a int, b int);
        create table t (id int primary key, c cents, p pair, ps pair[], d date[]);
    """
    columns = Looked(branch, schema).before["public.t"].columns
    assert {each.name: each.way == "unread" for each in columns.values()} == {
        "id": True, "c": False, "p": False, "ps": False, "d": True,
    }  # fmt: skip


def test_parents_of_other_tables_are_read(branch):
    looked = Looked(
        branch,
        "create table p (id int) partition by range (id); create table p1 partition of p for values from (0) to (9);"
        "create table above (id int); create table below () inherits (above); insert into p values (1)",
    )
    proved = {name: each.proof is not None for name, each in looked.before.items()}
    assert proved == {"public.p": False, "public.p1": True, "public.above": False, "public.below": True}
    assert looked.after("update p set id = 2") == ("public.p1",)


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        (Statement(sql="select 1", why="x"), {"public.t", "public.u"}),
        (Statement(sql="UPDATE public.t SET a = 1", why="x"), {"public.u"}),
        (Statement(sql="select 1", why="x", writes=("public.t",)), {"public.u"}),
        (Statement(sql="select 1", why="x", by_blocks="public.t"), {"public.u"}),
        (
            Statement(
                sql="x", why="x", hazards=(Hazard(code="rewrites_table", on="public.t.a", detail="x"),)
            ),
            {"public.u"},
        ),
        (Statement(sql="select 1", why="x", source="migrations/1.sql"), None),
    ],
)
def test_what_a_plan_is_expected_to_leave(statement, left):
    plan = Plan(base="a", goal="b", statements=(statement,))
    rows = {"public.t": 1, "public.u": 2, "public.unknown": -1}
    found = expected(plan, 700, rows, triggers=False)
    assert (set(found.rows) if found else None) == left
    writes = left is not None and statement.sql != "x" and left != {"public.t", "public.u"}
    assert (expected(plan, 700, rows, triggers=True) is None) == (
        left is None or bool(writes and not statement.by_blocks)
    )
