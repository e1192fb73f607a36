"""The shop rehearsed with the real generator and executor: what the report says about real traces and real probes."""

import json
from pathlib import Path

import pytest

from orchestrator.checks import locks
from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Severity
from orchestrator.checks.rows import count_rows
from orchestrator.checks.runner import run_all
from orchestrator.checks.sums import sum_tables
from orchestrator.database import connect
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect

SHOP = Path(__file__).parents[3] / "examples" / "shop"
RENAME = {"rename:column:public.customers.full_name": "name"}


@pytest.fixture
def goal(branch, uri):
    """The second schema's snapshot, made in a database beside the branch."""
    branch.execute("create database goal")
    try:
        with connect(uri().replace(branch.info.dbname, "goal"), purpose="goal") as connection:
            connection.execute((SHOP / "v1" / "schema.sql").read_text())
            connection.execute((SHOP / "development.sql").read_text())
            yield inspect(connection)
    finally:
        branch.execute("drop database goal with (force)")


@pytest.fixture
def base(branch):
    branch.execute((SHOP / "v1" / "schema.sql").read_text())
    branch.execute("set shop.orders = '500'")
    branch.execute((SHOP / "seed.sql").read_text())
    return inspect(branch)


def test_the_report_of_the_shop(branch, uri, base, goal, monkeypatch):
    monkeypatch.setattr(locks, "LONG_PAUSE_MS", 600_000.0)  # a slow machine is no fault of a plan's
    plan = make_plan(base, goal, answers=RENAME, assume_defaults=True).plan
    assert plan is not None
    tables = [key.name for key in base.of_kind("table")]
    asked = preflight(branch, plan)
    rows, values = count_rows(branch, tables), sum_tables(branch, tables)
    traces = apply(lambda: connect(uri(), purpose="apply"), plan)
    report = run_all(
        branch,
        plan=plan,
        traces=[json.loads(json.dumps(trace.to_json())) for trace in traces],
        rows_before=rows,
        preflight=asked,
        values_before=values,
    )
    # The one thing to think about is the column that goes.
    assert report.verdict == "attention"
    assert {f.subject for f in report.findings if f.severity is Severity.ATTENTION} == {
        "public.customers.fax"
    }
    [pause] = [f for f in report.findings if f.subject == "pause"]
    assert "blocks reads and writes" in pause.message
    assert "public.shipments" not in pause.message
    # Whether the second session sees a quick CREATE INDEX CONCURRENTLY is a matter of milliseconds.
    unseen = [f for f in report.findings if f.check == "locks" and f.severity is Severity.NOT_LOOKED_AT]
    assert all("too quick to be seen" in finding.message for finding in unseen)


def test_rows_that_break_the_new_check_are_named_before_anything_runs(branch, base, goal):
    branch.execute("update order_items set quantity = 0 where (order_id, line) in ((7, 1), (9, 1))")
    plan = make_plan(base, goal, answers=RENAME, assume_defaults=True).plan
    assert plan is not None
    [blocked] = [f for f in preflight(branch, plan) if f.severity is Severity.BLOCKED]
    assert blocked.subject == "public.order_items.order_items_quantity_positive"
    assert "2 rows" in blocked.message
    assert "order_id=7, line=1" in blocked.message
