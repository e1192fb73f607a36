"""Preflight on a real PostgreSQL: each kind of probe with a planted fault and its clean twin, and looks that fail."""

import pytest

from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Severity
from orchestrator.migration.plan import Plan, Probe, Statement

SCHEMA = """
create table customers (id int primary key, email text, born text);
create table orders (id int primary key, customer_id int, quantity int, note text);
insert into customers select i, 'c' || i || '@x', '2000-01-01' from generate_series(1, 20) i;
insert into orders select i, 1 + i % 20, 1, 'n' from generate_series(1, 40) i;
"""

PROBES = {
    "null": (
        Probe(
            kind="null",
            subject="public.orders.note",
            problem="{count} rows of public.orders have no note",
            count_sql="select count(*) from public.orders where note is null",
            sample_sql="select 'id=' || id from public.orders where note is null order by id limit 5",
            remedy="give them a note",
        ),
        "update orders set note = null where id > 32",
        8,
    ),
    "check": (
        Probe(
            kind="check",
            subject="public.orders.positive",
            problem="{count} rows of public.orders break quantity > 0",
            count_sql="select count(*) from public.orders where not (quantity > 0)",
            sample_sql="select 'id=' || id from public.orders where not (quantity > 0) order by id limit 5",
        ),
        "update orders set quantity = 0 where id = 7",
        1,
    ),
    "unique": (
        Probe(
            kind="unique",
            subject="public.customers.customers_email_key",
            problem="{count} rows of public.customers share their email",
            count_sql="select coalesce(sum(n), 0) from (select count(*) n from public.customers "
            "group by email having count(*) > 1) d",
        ),
        "update customers set email = 'same@x' where id in (3, 4)",
        2,
    ),
    "foreign_key": (
        Probe(
            kind="foreign_key",
            subject="public.orders.orders_customer_fkey",
            problem="{count} rows of public.orders point to no customer",
            count_sql="select count(*) from public.orders o where not exists "
            "(select from public.customers c where c.id = o.customer_id)",
            sample_sql="select 'id=' || o.id from public.orders o where not exists "
            "(select from public.customers c where c.id = o.customer_id) order by o.id limit 5",
        ),
        "update orders set customer_id = 999 where id = 11",
        1,
    ),
    "cast": (
        Probe(
            kind="cast",
            subject="public.customers.born",
            problem="{count} rows of public.customers do not fit date",
            count_sql="select count(*) from public.customers where not pg_input_is_valid(born, 'date')",
            sample_sql="select 'id=' || id from public.customers where not pg_input_is_valid(born, 'date') order by id",
        ),
        "update customers set born = 'soon' where id = 2",
        1,
    ),
}


def plan_of(*probes: Probe) -> Plan:
    return Plan(
        base="a",
        goal="b",
        statements=(Statement(sql="select 1", why="x"), Statement(sql="select 2", why="y", probes=probes)),
    )


@pytest.mark.parametrize("kind", PROBES)
def test_a_violation_blocks_with_number_examples_and_remedy(branch, reader, kind):
    probe, fault, number = PROBES[kind]
    branch.execute(SCHEMA)
    branch.execute(fault)
    [finding] = preflight(reader, plan_of(probe))
    assert (finding.severity, finding.subject) == (Severity.BLOCKED, probe.subject)
    assert finding.message.startswith(probe.problem.replace("{count}", str(number)))
    assert "statement 2 will fail" in finding.message
    assert finding.mitigation == probe.remedy


@pytest.mark.parametrize("kind", PROBES)
def test_the_clean_twin_is_ok(branch, reader, kind):
    probe, _, _ = PROBES[kind]
    branch.execute(SCHEMA)
    [finding] = preflight(reader, plan_of(probe))
    assert finding.severity is Severity.OK
    assert finding.message == probe.problem.replace("{count}", "no")


def test_five_examples_by_key_and_how_many_more(branch):
    branch.execute(SCHEMA)
    branch.execute(PROBES["null"][1])
    [finding] = preflight(branch, plan_of(PROBES["null"][0]))
    assert "for example id=33, id=34, id=35, id=36, id=37 and 3 more" in finding.message


def test_never_more_than_five_examples(branch):
    branch.execute(SCHEMA)
    branch.execute("update customers set born = 'soon'")
    [finding] = preflight(branch, plan_of(PROBES["cast"][0]))
    assert "for example id=1, id=2, id=3, id=4, id=5 and 15 more" in finding.message


def test_rows_at_stake_need_attention_and_do_not_block(branch):
    branch.execute(SCHEMA)
    probe = Probe(
        kind="rows_at_stake",
        subject="public.orders.note",
        problem="{count} values of public.orders.note will be lost",
        count_sql="select count(note) from public.orders",
        blocks=False,
    )
    [finding] = preflight(branch, plan_of(probe))
    assert (finding.severity, finding.message) == (
        Severity.ATTENTION,
        "40 values of public.orders.note will be lost",
    )
    branch.execute("update orders set note = null")
    [finding] = preflight(branch, plan_of(probe))
    assert finding.severity is Severity.OK


def test_braces_in_a_name_are_no_template(branch):
    branch.execute('create table "{x}" (a int); insert into "{x}" values (null)')
    probe = Probe(
        kind="null",
        subject='public."{x}".a',
        problem='{count} rows of public."{x}"',
        count_sql='select count(*) from public."{x}"',
    )
    [finding] = preflight(branch, plan_of(probe))
    assert finding.message.startswith('1 rows of public."{x}"')


def test_a_probe_that_fails_or_takes_too_long_says_so_and_stops_nothing(branch):
    branch.execute(SCHEMA)
    good = PROBES["null"][0]
    missing = Probe(
        kind="null", subject="public.gone", problem="", count_sql="select count(*) from public.gone"
    )
    slow = Probe(
        kind="null", subject="public.slow", problem="", count_sql="select count(*) from pg_sleep(60)"
    )
    first, second, third = preflight(branch, plan_of(missing, slow, good), timeout_ms=1000)
    assert first.severity is second.severity is Severity.NOT_LOOKED_AT
    assert 'relation "public.gone" does not exist (42P01)' in first.message
    assert "took too long" in second.message
    assert third.severity is Severity.OK


def test_a_failure_never_repeats_a_row_value(branch):
    branch.execute(SCHEMA)
    branch.execute("update customers set born = 'SECRET'")
    probe = Probe(
        kind="cast", subject="s", problem="", count_sql="select count(born::date) from public.customers"
    )
    [finding] = preflight(branch, plan_of(probe))
    assert finding.severity is Severity.NOT_LOOKED_AT
    assert "SECRET" not in finding.message
    assert "22007" in finding.message


def test_examples_that_fail_leave_the_count(branch):
    branch.execute(SCHEMA)
    probe = Probe(
        kind="null",
        subject="s",
        problem="{count} rows",
        count_sql="select 3",
        sample_sql="select nothing from nowhere",
    )
    [finding] = preflight(branch, plan_of(probe))
    assert finding.severity is Severity.BLOCKED
    assert "no examples" in finding.message


@pytest.mark.parametrize(
    "query",
    [
        "delete from public.orders returning 1",
        "select setval('public.numbers', 5)",
        "select public.writing()",
        "commit; delete from public.orders",
        "create table public.made as select 1",
    ],
)
def test_what_writes_is_refused_by_the_transaction(branch, query):
    branch.execute(SCHEMA)
    branch.execute(
        "create sequence numbers; create function writing() returns bigint language sql as "
        "'delete from orders returning 1::bigint'"
    )
    [finding] = preflight(
        branch, plan_of(Probe(kind="null", subject="s", problem="{count}", count_sql=query))
    )
    assert finding.severity is Severity.NOT_LOOKED_AT
    assert branch.execute("select count(*), to_regclass('public.made') from orders").fetchall() == [
        (40, None)
    ]


def test_a_lost_connection_is_a_finding(branch):
    branch.execute(SCHEMA)
    branch.close()
    [finding] = preflight(branch, plan_of(PROBES["null"][0]))
    assert finding.severity is Severity.NOT_LOOKED_AT
    assert "connection" in finding.message


def test_a_plan_that_asks_nothing_is_ok(branch):
    [finding] = preflight(branch, plan_of())
    assert finding.severity is Severity.OK
