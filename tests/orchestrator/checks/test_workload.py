"""Workload files, and their runs on two databases of a real PostgreSQL: planted faults and a clean twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.checks import runs
from orchestrator.checks.report import Severity
from orchestrator.checks.runs import run_findings, run_workload
from orchestrator.checks.workload import Item, read_workload
from orchestrator.database import connect
from orchestrator.errors import SettingsError

SCHEMA = """
create table orders (id int primary key, customer_id int not null, note text);
create index orders_customer on orders (customer_id);
insert into orders select i, i % 3000, 'it''s ' || i from generate_series(1, 30000) i;
analyze orders;
"""
FILE = """-- Queries of the shop.
-- name: recent orders
-- param: id = select id from orders order by id limit 20
select id, note from orders where id = :id and note <> ':id %';

-- name: of a customer
-- param: customer = select distinct customer_id from orders order by 1 limit 5
-- param: least = select 0
select count(*) from orders where customer_id = :customer and id > :least::int
"""


@pytest.fixture
def twins(branch, uri):
    """Two databases with the same rows: untouched, and to be migrated."""
    name = f"{branch.info.dbname}_twin"
    branch.execute(SCHEMA)
    branch.execute(f"create database {name}")
    with connect(uri().replace(branch.info.dbname, name), purpose="test") as twin:
        twin.execute(SCHEMA)
        yield branch, twin
    branch.execute(f"drop database {name} with (force)")


def run(twins, migration, content=FILE, **more):
    untouched, migrated = twins
    migrated.execute(migration)
    measured = run_workload(read_workload("checks/a.sql", content), untouched, migrated, slower=2.0, **more)
    return measured, run_findings(measured, 2.0)


def loud(found):
    return [(f.severity, f.subject) for f in found if f.severity in (Severity.BLOCKED, Severity.ATTENTION)]


def test_the_clean_twin_is_measured_and_fine(twins, monkeypatch):
    for limit in ("ENOUGH_SECONDS", "VALUES_SECONDS"):
        monkeypatch.setattr(runs, limit, 600.0)  # all of its runs, however long they take
    measured, found = run(twins, "alter table orders add column more int")
    assert [(m.name, m.values, m.runs, m.rows_before, m.rows_after) for m in measured] == [
        ("recent orders", 20, 100, 20, 20),
        ("of a customer", 5, 25, 5, 5),
    ]
    assert all(m.before_ms and m.after_ms for m in measured)
    assert "fails" not in {m.outcome for m in measured}
    assert not [each for each in found if each.severity is Severity.BLOCKED]


def test_a_query_that_fails_after_the_migration_blocks(twins):
    _, found = run(twins, "alter table orders rename column note to remark")
    assert loud(found) == [(Severity.BLOCKED, "workload recent orders")]
    assert 'column "note" does not exist' in found[0].message


def test_a_query_that_is_much_slower_needs_attention(twins):
    """The migration makes a function wait, which no machine can be too fast or too busy for."""
    twins[0].execute("create function rate() returns int language sql as 'select 1'")
    body = "create function rate() returns int language sql as 'select 1 from pg_sleep(0.1)'"
    content = "-- name: rate\nselect rate()\n-- name: one\nselect 1"
    measured, found = run(twins, body, content, item_seconds=0)
    assert loud(found)[0] == (Severity.ATTENTION, "workload rate")
    assert measured[0].runs == 1


def test_other_rows_need_attention(twins):
    _, found = run(twins, "delete from orders where id <= 3")
    assert loud(found) == [(Severity.ATTENTION, "workload recent orders")]
    assert "20 rows before, 17 after" in found[0].message


def test_it_reads_only_and_what_cannot_be_measured_is_said(twins):
    content = """
-- name: writes
delete from orders
-- name: two
select 1; commit; delete from orders
-- name: no values
-- param: id = select id from orders where false
select :id::int
-- name: bad parameter
-- param: id = select nothing
select :id
-- name: only new
select more from orders
-- name: forever
select pg_sleep(100)
"""
    measured, found = run(twins, "alter table orders add column more int", content, timeout_ms=1000)
    assert not loud(found)
    assert [m.why.split(":")[0] for m in measured] == [
        "it fails on both branches",
        "it fails on both branches",
        "its parameters",
        "its parameters",
        "it runs on the new schema only",
        "it fails on both branches",
    ]
    assert "read-only transaction" in measured[0].why
    assert "too long" in measured[5].why
    for side in twins:
        assert side.execute("select count(*) from orders").fetchone() == (30000,)


def test_no_value_of_a_row_is_in_a_finding(twins):
    content = "-- name: cast\n-- param: n = select note from orders where id = 4711\nselect :n::int"
    _, found = run(twins, "select 1", content)
    assert "4711" not in str(found)


def test_files_are_read():
    first, second = read_workload("checks/a.sql", FILE)
    assert first == Item(
        name="recent orders",
        file="checks/a.sql",
        sql="select id, note from orders where id = %(id)s and note <> ':id %%'",
        parameters={"id": "select id from orders order by id limit 20"},
    )
    assert second.sql.endswith("id > %(least)s::int")
    [whole] = read_workload("checks/plain.sql", "select 1 % 2 -- :x")
    assert (whole.name, whole.sql) == ("plain", "select 1 %% 2 -- :x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("-- name: a\n", "line 1: 'a' has no query"),
        ("-- name:\nselect 1", "line 1: a query's name is empty"),
        ("-- name: a\nselect :id", "nothing says what :id is in 'a'"),
        ("-- name: a\n-- param: id\nselect :id", "line 2: this is no parameter: 'id'"),
        ("select 1;\n-- name: a\nselect 2", "line 1: a query before the first"),
        ("-- name: a\nselect 1\n-- name: a\nselect 2", "line 3: 'a' is there twice"),
    ],
)
def test_a_wrong_file_is_refused_by_line(content, words):
    with pytest.raises(SettingsError, match=words):
        read_workload("checks/a.sql", content)


@given(st.text("ab:'\"%- $\n;", max_size=40))
def test_any_text_is_a_workload_or_refused(text):
    """No text crashes, and a percent sign never reaches the driver as a placeholder of its own."""
    try:
        items = read_workload("checks/a.sql", text)
    except SettingsError:
        return
    for item in items:
        assert "%" not in item.sql.replace("%%", "").replace("%(a)s", "").replace("%(b)s", "")
