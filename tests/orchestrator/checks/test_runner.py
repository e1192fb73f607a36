"""The whole report on a real PostgreSQL: clean, with planted faults, with checks that cannot look; it never writes."""

import threading
from pathlib import Path

import pytest

from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Finding, Report, Severity
from orchestrator.checks.rows import count_rows
from orchestrator.checks.runner import Look, run_all
from orchestrator.checks.sums import sum_tables
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard, Plan, Probe, Statement

SHOP = Path(__file__).parents[3] / "examples" / "shop"
TABLES = ["public.customers", "public.order_items", "public.orders", "public.products"]
PLAN = Plan(
    base="a",
    goal="b",
    statements=(
        Statement(
            sql="ALTER TABLE public.customers DROP COLUMN fax",
            why="x",
            lock=LockMode.ACCESS_EXCLUSIVE,
            lock_on=("public.customers",),
            hazards=(Hazard(code="deletes_data", on="public.customers.fax", detail="gone"),),
        ),
        Statement(
            sql="ALTER TABLE public.customers RENAME COLUMN name TO full_name",
            why="x",
            lock=LockMode.ACCESS_EXCLUSIVE,
            lock_on=("public.customers",),
            probes=(
                Probe(
                    kind="check",
                    subject="public.order_items.order_items_quantity_positive",
                    problem="{count} rows of public.order_items break quantity > 0",
                    count_sql="select count(*) from public.order_items where not (quantity > 0)",
                ),
            ),
        ),
    ),
)
LOCKED = [["public.customers", "AccessExclusiveLock"]]
TRACES = [{"index": index, "milliseconds": 3.5, "locks": LOCKED, "rewritten": []} for index in (0, 1)]
CHECKS = [
    "preflight",
    "rows",
    "values",
    "integrity",
    "drops",
    "locks",
    "forecast",
    "performance",
    "compatibility",
    "revert",
]


def rehearsed(branch, looker, *, fault="select 1") -> Report:
    branch.execute((SHOP / "v1" / "schema.sql").read_text())
    branch.execute("set shop.orders = '500'")
    branch.execute((SHOP / "seed.sql").read_text())
    found = preflight(looker, PLAN)
    rows, values = count_rows(looker, TABLES), sum_tables(looker, TABLES)
    branch.execute((SHOP / "development.sql").read_text())
    branch.execute(fault)
    return run_all(looker, plan=PLAN, traces=TRACES, rows_before=rows, preflight=found, values_before=values)


def order_of(report: Report) -> list[str]:
    return list(dict.fromkeys(finding.check for finding in report.findings))


def test_the_shop_is_clean_and_what_was_not_looked_at_is_said(branch, reader):
    report = rehearsed(branch, reader)
    assert report.verdict == "ok", [f.message for f in report.findings if f.severity is not Severity.OK]
    assert order_of(report) == CHECKS
    unseen = {f.check for f in report.findings if f.severity is Severity.NOT_LOOKED_AT}
    assert unseen == {"forecast", "performance", "compatibility", "revert"}
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("fault", "check", "subject"),
    [
        ("delete from order_items where order_id = 1 and line = 1", "rows", "public.order_items"),
        ("update customers set full_name = upper(full_name)", "values", "public.customers.full_name"),
        ("select setval('orders_id_seq', 1)", "integrity", "public.orders.id"),
        ("drop table order_items cascade", "rows", "public.order_items"),
    ],
)
def test_a_planted_fault_blocks(branch, reader, fault, check, subject):
    report = rehearsed(branch, reader, fault=fault)
    assert report.verdict == "blocked"
    assert [(f.check, f.subject) for f in report.findings if f.severity is Severity.BLOCKED] == [
        (check, subject)
    ]


def test_checks_work_for_a_role_that_can_only_read_and_leave_no_trace_of_writing(branch, reader):
    """The role may not write, and the superuser's own run changes nothing either."""
    report = rehearsed(branch, reader)
    everything = "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables"
    contents = {
        table: branch.execute(
            f"select md5(string_agg(t::text, '' order by t::text)) from {table} t"
        ).fetchone()
        for table in TABLES
    }
    branch.execute("select pg_stat_force_next_flush()")
    before = branch.execute(everything).fetchone()
    again = run_all(
        branch,
        plan=PLAN,
        traces=TRACES,
        rows_before=count_rows(branch, TABLES),
        values_before=sum_tables(branch, TABLES),
    )
    branch.execute("select pg_stat_force_next_flush()")
    assert branch.execute(everything).fetchone() == before
    assert contents == {
        table: branch.execute(
            f"select md5(string_agg(t::text, '' order by t::text)) from {table} t"
        ).fetchone()
        for table in TABLES
    }
    # Only the superuser's own look at values began after the migration.
    judged = ("rows", "integrity", "locks")
    assert [f for f in again.findings if f.check in judged] == [
        f for f in report.findings if f.check in judged
    ]


def test_without_values_of_before_they_are_not_looked_at(branch):
    report = run_all(branch, plan=PLAN, traces=TRACES, rows_before={})
    assert Severity.NOT_LOOKED_AT in {f.severity for f in report.findings if f.check == "values"}


def test_a_check_that_fails_is_a_finding_and_stops_no_other(branch):
    broken = [
        {"index": index, "milliseconds": 1.0, "locks": [["public.x", "NoSuchLock"]]} for index in (0, 1)
    ]
    report = run_all(branch, plan=PLAN, traces=broken, rows_before={"public.x": 0})
    [locks] = [f for f in report.findings if f.check == "locks"]
    assert locks == Finding(
        check="locks",
        severity=Severity.NOT_LOOKED_AT,
        subject="the whole check",
        message="the check itself failed (ValueError)",
    )
    assert "integrity" in order_of(report)


def test_what_runs_beside_stands_in_its_place_and_is_over_before_what_measures_time(branch):
    begun, others_go_on, over = threading.Event(), threading.Event(), threading.Event()
    told: list[str] = []

    def found(check, *, after=True):
        return (Finding(check=check, severity=Severity.OK, subject="x", message=str(after)),)

    def beside(say):
        say("waits")
        begun.set()
        went_on = others_go_on.wait(60)
        over.set()
        return found("compatibility", after=went_on)

    def at_once(_):
        begun.wait(60)
        others_go_on.set()
        return found("forecast")

    report = run_all(
        branch,
        plan=PLAN,
        traces=TRACES,
        rows_before={},
        more=[
            Look(check="compatibility", look=beside, beside=True),
            Look(check="forecast", look=at_once),
            Look(check="performance", look=lambda _: found("performance", after=over.is_set()), alone=True),
        ],
        detail=told.append,
    )
    order = [(f.check, f.message) for f in report.findings if f.subject == "x"]
    assert order == [("compatibility", "True"), ("forecast", "True"), ("performance", "True")]
    assert "waits" in told
    assert {"rows", "compatibility", "performance"} <= set(report.measures["seconds"])


def test_a_lost_connection_leaves_a_report_that_says_so(branch, reader):
    report = rehearsed(branch, reader)
    rows, values = count_rows(branch, TABLES), sum_tables(branch, TABLES)
    branch.close()
    report = run_all(branch, plan=PLAN, traces=TRACES, rows_before=rows, values_before=values)
    assert order_of(report) == CHECKS[1:]
    assert {f.severity for f in report.findings if f.check in ("rows", "values", "integrity")} == {
        Severity.NOT_LOOKED_AT
    }
