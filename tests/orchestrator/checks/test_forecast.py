"""Who a promotion would wait for: planted on a real server, and nobody found on the clean twin."""

import pytest

from orchestrator.checks import forecast as room
from orchestrator.checks.forecast import forecast
from orchestrator.checks.report import Severity
from orchestrator.database import connect
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Plan, Statement

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
