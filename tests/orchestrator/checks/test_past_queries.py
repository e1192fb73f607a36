"""Production's queries from the server to the report: read, kept in the diary, planned before and after."""

from dataclasses import dataclass

import pytest

from neon_client import NeonClient
from orchestrator.checks.report import Severity
from orchestrator.database import Connection, connect
from orchestrator.migration.plan import Plan
from orchestrator.settings import Settings
from orchestrator.steps.project import NeonProject
from orchestrator.steps.queries import PastQueries, QueryLook
from tests.orchestrator.checks.conftest import running
from tests.orchestrator.checks.test_queries import programs

NO_PLAN = Plan(base="a", goal="b", statements=())


@dataclass(kw_only=True)
class OneServer(NeonProject):
    """A project whose main is a database of one server: Neon itself has no part in reading queries."""

    main_uri: str

    @property
    def main(self):  # type: ignore[override]
        return type("Main", (), {"id": "br-main"})()

    def connect_reading(self, branch_id: str, purpose: str) -> Connection:
        return connect(self.main_uri, purpose=purpose, settings={"default_transaction_read_only": "on"})


@pytest.fixture(scope="module")
def server():
    with running(programs(), "-c shared_preload_libraries=pg_stat_statements", "-c autovacuum=off") as folder:
        yield folder


@pytest.fixture
def shop(server):
    """A server with a busy database, and a copy of it to be migrated: (main's URI, the copy)."""
    uri = f"postgresql://postgres@/{{}}?host={server}"
    with connect(uri.format("postgres"), purpose="test") as admin:
        for name in ("main", "branch"):
            admin.execute(f"drop database if exists {name} with (force)")
        admin.execute("create database main")
        with connect(uri.format("main"), purpose="test") as main:
            main.execute("create extension pg_stat_statements")
            main.execute(
                "create table orders (id int primary key, customer_id int not null, fax text);"
                "create index orders_customer on orders (customer_id);"
                "insert into orders select i, i % 4000, i from generate_series(1, 20000) i; analyze orders"
            )
        admin.execute("create database branch template main")
        with connect(uri.format("main"), purpose="app") as app:
            app.execute("select pg_stat_statements_reset()")
            for number in range(7):
                app.execute(f"select * from orders where customer_id = {number}".encode())
                app.execute(f"select fax from orders where id = {number}".encode())
            app.execute("select count(*) from pg_class")
    with connect(uri.format("branch"), purpose="test") as branch:
        yield uri.format("main"), branch


def past(uri, store, tmp_path, **report):
    settings = Settings.model_validate(
        {
            "project": {"id": "p", "database": "main"},
            "goal": {"branch": "d"},
            "report": report,
            "directory": tmp_path,
        }
    )
    project = OneServer(
        neon=NeonClient(api_key="x", base_url="http://127.0.0.1:9"),
        id="p",
        key="embedded/p",
        database="main",
        main_uri=uri,
    )
    return PastQueries(project, settings, store.kept("embedded/p"))


def report_of(before, branch):
    look = QueryLook(plan=NO_PLAN, before=before, connection=branch, slower=2.0)
    return look.look(), look.measures()


def test_from_the_server_to_the_report(shop, store, tmp_path):
    uri, branch = shop
    queries = past(uri, store, tmp_path)
    before = queries.before(branch, lambda _: None)
    branch.execute("drop index orders_customer; alter table orders drop column fax")
    found, figures = report_of(before, branch)
    loud = [(f.severity, f.subject) for f in found if f.severity in (Severity.BLOCKED, Severity.ATTENTION)]
    assert [each for each in loud if each[0] is Severity.BLOCKED] == [(Severity.BLOCKED, "fax")]
    assert (Severity.ATTENTION, "public.orders_customer") in loud
    outcomes = figures["queries"]["outcomes"]
    assert (outcomes["fails"], outcomes["slower"]) == (1, 1)
    assert not [each for each in figures["queries"]["list"] if "pg_class" in each["text"]]

    # A compute that restarts has forgotten; the diary has not.
    with connect(uri, purpose="test") as main:
        main.execute("select pg_stat_statements_reset()")
    again = {each["text"]: each["calls"] for each in queries.before(branch, lambda _: None)["queries"]}
    assert again["select fax from orders where id = $1"] == 7


def test_without_the_extension_it_says_how_to_enable_it(shop, store, tmp_path):
    uri, branch = shop
    with connect(uri, purpose="test") as main:
        main.execute("drop extension pg_stat_statements")
    found, figures = report_of(past(uri, store, tmp_path).before(branch, lambda _: None), branch)
    [one] = found
    assert one.severity is Severity.NOT_LOOKED_AT
    assert "CREATE EXTENSION pg_stat_statements" in one.message
    assert figures == {}


def test_a_main_that_cannot_be_reached_stops_nothing(shop, store, tmp_path):
    _, branch = shop
    before = past("postgresql://postgres@/x?host=/nowhere", store, tmp_path).before(branch, lambda _: None)
    [one] = report_of(before, branch)[0]
    assert one.severity is Severity.NOT_LOOKED_AT
    assert "cannot connect" in one.message
