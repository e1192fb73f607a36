"""Who a promotion would wait for: planted on a real server, and nobody found on the clean twin."""

import time

import pytest

from orchestrator.checks import forecast as room
from orchestrator.checks.forecast import forecast
from orchestrator.checks.report import Severity
from orchestrator.database import connect
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Plan, Statement
from tests.orchestrator.checks.conftest import running

PLAN = Plan(
    base="a",
    goal="b",
    statements=(
        Statement(
            sql='ALTER TABLE public."Or""ders" ADD COLUMN a int',
            why="w",
            lock=LockMode.ACCESS_EXCLUSIVE,
            lock_on=('public."Or""ders"',),
        ),
        Statement(
            sql="CREATE INDEX CONCURRENTLY i ON t (a)", why="w", transactional=False, lock_on=("public.t",)
        ),
    ),
)


@pytest.fixture(autouse=True)
def every_age_counts(monkeypatch):
    monkeypatch.setattr(room, "LONG_SECONDS", 0.0)


@pytest.fixture
def schema(branch):
    branch.execute(
        'create table public."Or""ders" (id int); create table t (a int); create table other (a int)'
    )
    branch.execute('insert into public."Or""ders" values (1)')
    branch.execute("grant pg_read_all_stats to reader")


def test_nobody_in_the_way_is_said_and_nothing_is_written(branch, reader, schema):
    [finding] = forecast(reader, PLAN)
    assert (finding.severity, finding.subject) == (Severity.OK, "main")


def test_a_session_that_idles_in_its_transaction_is_named_with_what_it_holds(branch, reader, schema, uri):
    with connect(uri(), purpose="forgotten", autocommit=False) as idle:
        idle.execute('select * from public."Or""ders"')
        found = {finding.subject: finding for finding in forecast(reader, PLAN)}
        finding = found[f"pid {idle.info.backend_pid}"]
        assert finding.severity is Severity.ATTENTION
        assert finding.evidence["holds"] == ['public."Or""ders"']
        assert "preview: forgotten" in finding.message
        assert "select" not in finding.message


def test_an_old_snapshot_elsewhere_keeps_concurrently_waiting(branch, reader, schema, uri):
    with connect(uri(), purpose="dump", autocommit=False) as old:
        old.execute("set transaction isolation level repeatable read")
        old.execute("select * from other")
        found = {finding.subject: finding for finding in forecast(reader, PLAN)}
        assert "CONCURRENTLY (statement 2) waits" in found[f"pid {old.info.backend_pid}"].message
        quick = Plan(base="a", goal="b", statements=PLAN.statements[:1])
        assert [finding.subject for finding in forecast(reader, quick)] == ["main"]


def test_a_role_that_sees_too_little_says_so(branch, reader, schema, uri):
    with (
        connect(uri("stranger"), purpose="look") as stranger,
        connect(uri(), purpose="hidden", autocommit=False) as idle,
    ):
        idle.execute('select * from public."Or""ders"')
        subjects = {finding.subject: finding.severity for finding in forecast(stranger, PLAN)}
    assert subjects["other sessions"] is Severity.NOT_LOOKED_AT


def test_a_plan_without_statements_waits_for_nobody(reader):
    assert forecast(reader, Plan(base="a", goal="a", statements=())) == ()


#: Transaction ids are used up: each round takes one.
BURN = """
create procedure burn(many int) language plpgsql as $$
begin for n in 1 .. many loop perform pg_current_xact_id(); commit; end loop; end $$;
"""
#: The lowest limit that PostgreSQL takes, on one table; and a vacuum of it so slow that it can be looked at. None comes
#: for its many new rows, which would be at it still when the time of the other has come.
OLD = """
create table public."Or""ders" (id int, note text); create table other (id int, note text);
create table t (a int) partition by range (a); create table t_1 partition of t for values from (0) to (9);
insert into public."Or""ders" select n, repeat('x', 500) from generate_series(1, 20000) n;
insert into other select * from public."Or""ders";
alter table {} set (autovacuum_enabled = off, autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_limit = 1,
  autovacuum_vacuum_cost_delay = 100);
"""
ORDERS = 'public."Or""ders"'


@pytest.fixture(scope="module")
def own_server():
    """A server of its own, whose autovacuum looks every second."""
    with running(None, "-c autovacuum_naptime=1s", "-c synchronous_commit=off") as directory:
        yield f"postgresql://postgres@/{{}}?host={directory}"


@pytest.fixture
def aged(own_server):
    """Makes tables, of which one is so old (a part of its limit); gives a connection beside it."""
    with connect(own_server.format("postgres"), purpose="test") as connection:
        connection.execute("create database aged")
        with connect(own_server.format("aged"), purpose="test") as beside:

            def made(table: str, share: float):
                beside.execute(OLD.format(table))
                beside.execute(BURN)
                beside.execute(f"call burn({int(100_000 * share)})")
                return beside

            yield made
        connection.execute("drop database aged with (force)")


@pytest.mark.parametrize(("table", "named"), [(ORDERS, True), ("other", False)], ids=["fault", "twin"])
def test_a_vacuum_to_prevent_wraparound_is_named_with_its_table(aged, table, named):
    main = aged(table, 1.05)
    working = "select pid from pg_stat_progress_vacuum where relid = to_regclass(%s)"
    until = time.monotonic() + 60
    while not (found := main.execute(working, (table,)).fetchall()):
        assert time.monotonic() < until, "autovacuum did not begin"
    [(pid,)] = found
    [finding] = forecast(main, PLAN)
    if not named:
        assert (finding.severity, finding.subject) == (Severity.OK, "main")
        return
    assert (finding.severity, finding.subject) == (Severity.ATTENTION, f"pid {pid}")
    assert f"on {ORDERS}: a vacuum to prevent wraparound does not give way" in finding.message
    assert finding.evidence["holds"] == [ORDERS]


@pytest.mark.parametrize(
    ("table", "share", "named"),
    [
        (ORDERS, 0.97, [ORDERS]),
        ("t_1", 0.97, ["public.t_1"]),
        ("other", 0.97, ["main"]),
        (ORDERS, 0.5, ["main"]),
    ],
    ids=["fault", "partition", "another table", "young"],
)
def test_a_vacuum_to_prevent_wraparound_that_is_near_is_named_with_its_table(aged, table, share, named):
    found = forecast(aged(table, share), PLAN)
    assert [finding.subject for finding in found] == named
    if named == ["main"]:
        assert found[0].severity is Severity.OK
        return
    assert found[0].severity is Severity.ATTENTION
    assert "at 100,000 PostgreSQL begins a vacuum to prevent wraparound" in found[0].message
    assert found[0].mitigation.startswith(f"VACUUM (FREEZE) {named[0]}")
    assert 97_000 <= found[0].evidence["age"] < 100_000


def session(**more):
    given = {"pid": 7, "who": "autovacuum worker", "state": "active", "seconds": 90.0, "old_snapshot": False}
    return room._Session(**{**given, "vacuums": True, "wraparound": False, "holds": (ORDERS,), **more})


def test_of_vacuums_only_those_that_do_not_give_way_stand_in_the_way():
    assert room._in_the_way([session()], [2]) == []
    [finding] = room._in_the_way([session(wraparound=True, seconds=0.0)], [2])
    assert "does not give way" in finding.message
    assert room._in_the_way([session(wraparound=True, holds=())], [2]) == []
    [finding] = room._in_the_way([session(vacuums=False, who="psql")], [2])
    assert "statements on it would wait" in finding.message


def test_a_table_that_is_being_vacuumed_is_not_named_twice():
    ages = [(ORDERS, "transactions", 99_000, 100_000), ("public.t", "multixacts", 1, 1)]
    found = room._vacuums_to_come(ages, [session(wraparound=True)])
    assert [finding.subject for finding in found] == ["public.t"]
    assert len(room._vacuums_to_come(ages, [session()])) == 2
