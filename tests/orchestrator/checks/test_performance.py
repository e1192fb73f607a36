"""Production's queries planned before and after a migration, on a real PostgreSQL: planted faults and a clean twin."""

import pytest

from orchestrator.checks.comparing import compared
from orchestrator.checks.layout import layout_after, layout_before
from orchestrator.checks.performance import findings, measures
from orchestrator.checks.plans import Failure, Shape, explain_all, planned_from_json
from orchestrator.checks.queries import Query
from orchestrator.checks.report import Severity
from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Plan, Statement

SCHEMA = """
create schema if not exists shop;
create table customers (id int primary key, email text not null, fax text, country text not null);
create table orders (id int primary key, customer_id int not null references customers, state text not null,
                     placed_at timestamptz not null default now());
create index orders_customer on orders (customer_id);
create index customers_email on customers (email);
create index orders_unused on orders (state, id);
insert into customers select i, 'c' || i || '@example.org', i::text, 'c' || i % 7 from generate_series(1, 4000) i;
insert into orders select i, i % 4000 + 1, 's' || i % 3, now() - i * interval '1 minute'
  from generate_series(1, 20000) i;
analyze;
"""
TEXTS = {
    "of_customer": "select * from orders where customer_id = $1",
    "by_email": "select id, email from customers where email = $1",
    "fax": "select fax from customers where id = $1",
    "move": "update orders set state = $1 where id = $2",
    "new": "insert into orders (id, customer_id, state) values ($1, $2, $3) on conflict do nothing",
    "recent": "select count(*) from orders where placed_at > now() - interval $1",
}
DROP = Plan(
    base="a",
    goal="b",
    statements=(
        Statement(
            sql="ALTER TABLE public.customers DROP COLUMN fax",
            why="x",
            lock=LockMode.ACCESS_EXCLUSIVE,
            lock_on=("public.customers",),
            hazards=(hazard("deletes_data", "public.customers.fax", "gone"),),
        ),
    ),
)


def queries(texts=TEXTS):
    return [
        Query(id=key, role="app", text=text, calls=240, total_ms=12.0, hours=2.0)
        for key, text in texts.items()
    ]


def rehearsed(branch, migration, texts=TEXTS):
    """Findings and figures of a migration."""
    branch.execute(SCHEMA)
    before, layout = explain_all(branch, texts), layout_before(branch)
    branch.execute(migration)
    after = explain_all(branch, texts)
    now = layout_after(branch)
    result = compared(queries(texts), before, after, now)
    return findings(result, DROP, now, layout, "pg_stat_statements"), measures(result, "pg_stat_statements")


def by_severity(found, severity):
    return [(each.subject, each.message) for each in found if each.severity is severity]


# What is planted, and the one finding of each: (migration, severity, subject, words of the message).
PLANTED = [
    (
        "alter table customers drop column fax",
        Severity.BLOCKED,
        "public.customers.fax",
        "(120 calls an hour) cannot run",
    ),
    ("alter table customers rename to clients", Severity.BLOCKED, "customers", "2 queries"),
    (
        "create index orders_state on orders (state)",
        Severity.ATTENTION,
        "public.orders_state",
        "none of the 6",
    ),
]


@pytest.mark.parametrize(("migration", "severity", "subject", "words"), PLANTED)
def test_a_planted_fault_is_the_one_thing_found(branch, migration, severity, subject, words):
    found, _ = rehearsed(branch, migration)
    loud = [each for each in found if each.severity in (Severity.BLOCKED, Severity.ATTENTION)]
    assert [(each.severity, each.subject) for each in loud] == [(severity, subject)]
    assert words in loud[0].message


def test_an_index_whose_loss_makes_a_sequential_scan(branch):
    found, figures = rehearsed(branch, "drop index orders_customer")
    slow, gone = [each for each in found if each.severity is Severity.ATTENTION]
    assert slow.subject == "query of_customer"
    assert "reads all of public.orders (20,000 rows) now" in slow.message
    assert "does not use public.orders_customer any more" in slow.message
    assert (gone.subject, gone.evidence["queries"]) == ("public.orders_customer", ["of_customer"])
    assert figures["outcomes"] == {"fails": 0, "slower": 1, "quicker": 0, "same": 5, "not looked at": 0}
    assert figures["list"][0]["id"] == "of_customer"
    assert figures["list"][0]["ratio"] > 2


def test_a_dearer_plan_for_want_of_statistics_says_that(branch):
    found, _ = rehearsed(branch, "alter table orders alter customer_id type bigint")
    [slow] = [each for each in found if each.severity is Severity.ATTENTION]
    assert slow.subject == "query of_customer"
    assert "ANALYZE public.orders" in slow.mitigation


CLEAN = [
    "alter table customers add column note text",
    "alter index orders_customer rename to orders_of_customer",
    "create index orders_placed on orders (placed_at)",  # used
    "create table parcels (id int primary key, order_id int references orders); create index on parcels (order_id)",
    "create unique index customers_fax on customers (fax)",
    "alter table customers add column score int; create index on customers (score)",
    "alter table orders alter state type varchar(80)",  # makes the index on it again
    "drop index orders_customer; create index orders_customer2 on orders (customer_id, id)",
    "alter table customers drop constraint customers_pkey cascade; alter table customers add primary key (id)",
]


@pytest.mark.parametrize("migration", CLEAN)
def test_the_clean_twin_has_no_finding(branch, migration):
    found, _ = rehearsed(branch, migration)
    assert not [each for each in found if each.severity in (Severity.BLOCKED, Severity.ATTENTION)]
    assert Severity.OK in {each.severity for each in found}


def test_what_main_cannot_plan_either_is_not_looked_at(branch):
    texts = {"a": "select * from other_path.things", "b": "select $1 + $2 from", "c": TEXTS["move"]}
    found, figures = rehearsed(branch, "alter table orders add column x int", texts)
    assert figures["outcomes"]["not looked at"] == 2
    assert [subject for subject, _ in by_severity(found, Severity.NOT_LOOKED_AT)] == [
        "some queries (42601)",
        "some queries (42P01)",
    ]


def test_planning_changes_nothing_and_lets_no_second_statement_through(branch, uri):
    branch.execute(SCHEMA)
    evil = {
        "two": "select 1; drop table orders cascade",
        "out": "select 1; commit; drop table orders cascade",
        "delete": "delete from orders",
    }
    planned = explain_all(branch, evil)
    assert isinstance(planned["two"], Failure)
    assert isinstance(planned["out"], Failure)
    assert isinstance(planned["delete"], Shape)
    assert branch.execute("select count(*) from orders").fetchone() == (20000,)
    assert branch.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_plans_survive_the_diary(branch):
    branch.execute(SCHEMA)
    for planned in explain_all(branch, {**TEXTS, "no": "select nothing from nowhere"}).values():
        assert planned_from_json(planned.to_json()) == planned


def test_no_time_left_is_said(branch):
    branch.execute("create table t (id int)")
    before = explain_all(branch, {"a": "select * from t"}, all_seconds=-1)
    assert before == {}
    now = layout_after(branch)
    one = queries({"a": "select * from t"})
    found = findings(compared(one, before, {}, now), DROP, now, layout_before(branch), "x")
    assert by_severity(found, Severity.NOT_LOOKED_AT) == [("some queries", "1 query: there was no time left")]
