"""The example shop: its data, its two schemas, and both versions of its app over a real PostgreSQL."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

SHOP = Path(__file__).parents[2] / "examples" / "shop"

#: Every column, constraint, index and view, as PostgreSQL prints them.
CATALOGUE = """
select 'column', c.relname, a.attname,
       format_type(a.atttypid, a.atttypmod) || a.attnotnull || a.attidentity::text || a.attgenerated::text
       || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
from pg_attribute a join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) || convalidated
from pg_constraint where connamespace = 'public'::regnamespace
union all select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = 'public'
union all select 'view', viewname, '', definition from pg_views where schemaname = 'public'
order by 1, 2, 3
"""


def rows(uri: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(uri, autocommit=True) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def running(
    version: str, uri: str, **environment: str
) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """The app as a process on a port that the kernel chose; ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=SHOP / version,
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": uri,
            "PORT": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        match = re.search(r"listening on port (\d+)", first)
        assert match, first + process.stderr.read()
        with httpx.Client(base_url=f"http://127.0.0.1:{match[1]}", timeout=30, trust_env=False) as client:
            yield client, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def development(server, production, copy_of) -> str:
    """Production's data on the new schema, as the migration must leave it."""
    name = copy_of(production)
    server.execute(name, (SHOP / "development.sql").read_text())
    return name


def test_seed_has_the_promised_size_and_adds_up(server, production):
    uri = server.uri(production)
    assert rows(
        uri,
        "select (select count(*) from customers), (select count(*) from products), (select count(*) from orders)",
    ) == [(5_000, 500, 50_000)]
    [(items,)] = rows(uri, "select count(*) from order_items")
    assert 120_000 <= items <= 130_000
    wrong = rows(
        uri,
        """select count(*) from orders where total * 100 is distinct from
           (select sum(amount_cents) from order_items where order_id = orders.id)""",
    )
    assert wrong == [(0,)]
    assert rows(uri, "select count(distinct status) from orders") == [(4,)]
    [(fax, notes)] = rows(uri, "select (select count(fax) from customers), (select count(note) from orders)")
    assert 1_000 < fax < 2_000
    assert notes > 1_000


def test_seed_is_the_same_everywhere_and_may_run_twice(server, production, copy_of):
    server.execute("postgres", "create database small")
    try:
        schema, seed = (SHOP / "v1" / "schema.sql").read_text(), (SHOP / "seed.sql").read_text()
        server.execute("small", schema, "set shop.orders = '300'", seed)
        content = """select md5(string_agg(t::text, '' order by id)) from (select * from orders) t
                     union all select md5(string_agg(t::text, '' order by order_id, line)) from order_items t
                     union all select md5(string_agg(t::text, '' order by id)) from customers t"""
        first = rows(server.uri("small"), content)
        assert rows(server.uri("small"), "select count(*) from customers") == [(30,)]
        server.execute("small", "set timezone = 'Asia/Tokyo'", "set shop.orders = '300'", seed)
        assert rows(server.uri("small"), content) == first
        # A new order takes the next number.
        server.execute("small", "insert into orders (customer_id) values (1)")
        assert rows(server.uri("small"), "select max(id) from orders") == [(301,)]
    finally:
        server.execute("postgres", "drop database small with (force)")


def test_development_sql_leads_exactly_to_the_second_schema(server, development):
    server.execute("postgres", "create database wanted")
    try:
        server.execute("wanted", (SHOP / "v2" / "schema.sql").read_text())
        assert rows(server.uri(development), CATALOGUE) == rows(server.uri("wanted"), CATALOGUE)
        assert rows(server.uri("wanted"), CATALOGUE) != rows(server.uri("production"), CATALOGUE)
    finally:
        server.execute("postgres", "drop database wanted with (force)")


def test_no_row_and_no_value_is_lost_by_the_change(server, production, development):
    for query in (
        "select md5(string_agg(format('%s|%s|%s|%s', id, email, {name}, created_at), '' order by id)) from customers",
        "select md5(string_agg(concat_ws('|', id, customer_id, status, total, note), '' order by id)) from orders",
        "select count(*), sum(amount_cents) from order_items",
        "select * from product_sales order by product_id",
    ):
        before = rows(server.uri(production), query.format(name="name"))
        assert rows(server.uri(development), query.format(name="full_name")) == before
    assert rows(server.uri(development), "select distinct channel from orders") == [("web",)]


PAGES = [
    "/",
    "/customers",
    "/customers?page=200",
    "/customers/17",
    "/orders",
    "/orders?page=3",
    "/orders/4711",
    "/products",
]


def test_version_1_serves_production(server, production):
    with running("v1", server.uri(production)) as (client, _):
        for path in PAGES:
            assert client.get(path).status_code == 200, path
        front = client.get("/").text
        assert "50,000" in front
        assert "Shop v1" in front
        assert "production" in front
        assert "#50000" in front
        [(number, fax)] = rows(
            server.uri(production),
            "select id, fax from customers where fax is not null and id < 99 limit 1",
        )
        page = client.get(f"/customers/{number}").text
        assert fax in page
        assert "Fax" in page
        assert client.get("/healthz").json() == {"status": "ok", "version": "v1"}


def test_version_2_serves_the_new_schema_and_says_where_it_runs(server, development):
    with running("v2", server.uri(development), PREVIEW_NAME="pr-7<b>") as (client, _):
        for path in PAGES:
            assert client.get(path).status_code == 200, path
        front = client.get("/").text
        assert "Shop v2" in front
        assert "preview pr-7&lt;b&gt;" in front
        assert "schema with shipments" in front
        assert '<span class="tag">web</span>' in front
        [(name,)] = rows(server.uri(development), "select full_name from customers where id = 17")
        page = client.get("/customers/17").text
        assert name.replace("&", "&amp;").replace("'", "&#x27;") in page
        assert "Full name" in page
        assert "Fax" not in page

        sent = client.post("/orders/4711/shipments", data={"carrier": "DPD"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/orders/4711")
        client.post("/orders/4711/shipments", data={"carrier": "GLS"})
        assert "4711-2" in client.get("/orders/4711").text
        assert client.post("/orders/4711/shipments", data={"carrier": "pigeon"}).status_code == 400
        assert client.post("/orders/99999999/shipments", data={"carrier": "DPD"}).status_code == 404
        other = client.post(
            "/orders/4711/shipments", data={"carrier": "DPD"}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert other.status_code == 403
    assert rows(server.uri(development), "select count(*) from shipments") == [(2,)]


@pytest.mark.parametrize(("version", "database"), [("v1", "development"), ("v2", "production")])
def test_a_version_on_the_other_schema_says_so(server, request, version, database):
    uri = server.uri(request.getfixturevalue(database))
    with running(version, uri) as (client, _):
        health = client.get("/healthz")
        assert health.status_code == 503
        assert "the schema is not the one this version needs" in health.json()["reason"]
        assert client.get("/").status_code == 500


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_note_is_saved_and_an_order_is_placed_again(server, production, development, copy_of, version):
    uri = server.uri(copy_of(production if version == "v1" else development))
    with running(version, uri) as (shop, _):
        assert shop.post("/orders/7/note", data={"note": "<Ring>"}).headers["Location"] == "/orders/7"
        placed = shop.post("/orders/7/again")
        assert placed.status_code == 303
        assert "&lt;Ring&gt;" in shop.get("/orders/7").text
        assert shop.get(placed.headers["Location"]).status_code == 200
        assert [shop.post(f"/orders/999999999/{page}").status_code for page in ("note", "again")] == [
            404,
            404,
        ]
    lines = "select line, product_id, quantity from order_items where order_id = {} order by 1"
    assert rows(uri, lines.format(7)) == rows(
        uri, lines.format(placed.headers["Location"].rpartition("/")[2])
    )


def test_row_values_are_escaped(server, production):
    [(number,)] = rows(server.uri(production), "select min(id) from orders where note like '%<%'")
    with running("v1", server.uri(production)) as (client, _):
        page = client.get(f"/orders/{number}").text
        assert "Gift: &lt;no invoice&gt; please" in page
        assert "<no invoice>" not in page
        assert "&lt;script&gt;" in client.get("/products", params={"q": "<script>"}).text


def test_search_takes_wildcards_literally(server, production):
    with running("v1", server.uri(production)) as (client, _):
        assert "Oak Lamp" in client.get("/products", params={"q": "OAK lamp"}).text
        for words in ("%", "_", "\\", "a\x00%"):
            assert "No product has these words." in client.get("/products", params={"q": words}).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/customers/0", 404),
        ("/customers/99999999999999999", 404),
        ("/customers/-1", 404),
        ("/customers/1'--", 404),
        ("/orders?page=0", 200),
        ("/orders?page=x", 200),
        ("/orders?page=9999999", 200),
    ],
)
def test_strange_requests_end_well(server, production, path, status):
    with running("v1", server.uri(production)) as (client, _):
        assert client.get(path).status_code == status


def test_without_its_database_it_is_unhealthy_and_recovers_from_cut_connections(server, production, copy_of):
    name = copy_of(production)
    cut = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    with running("v1", server.uri(name)) as (client, _):
        assert client.get("/healthz").status_code == 200
        server.execute("postgres", cut)
        assert client.get("/healthz").status_code == 200  # a compute that slept cut its connections
        server.execute("postgres", f"alter database {name} allow_connections false", cut)
        health = client.get("/healthz")
        assert (health.status_code, health.json()["reason"]) == (503, "the database does not answer")
        assert client.get("/").status_code == 503


def test_sigterm_ends_it_with_status_0(server, production):
    with running("v1", server.uri(production)) as (client, process):
        assert client.get("/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgresql:///x", "PORT": "http"}, "PORT is not a port"),
    ],
)
def test_missing_settings_are_said_in_a_line(environment, message):
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=SHOP / "v1",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["web.py", "look.py", "style.css", "Dockerfile", ".dockerignore"])
def test_both_versions_stand_on_the_same_ground(name):
    assert (SHOP / "v1" / name).read_bytes() == (SHOP / "v2" / name).read_bytes()
