"""Requests read and asked over real HTTP, and what four cells say; no app, no database."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from orchestrator.checks.compatibility import CELLS, Cell, judge, table
from orchestrator.checks.report import Severity
from orchestrator.checks.requests import Answer, Request, ask, read_requests
from orchestrator.errors import SettingsError
from orchestrator.migration.plan import Hazard, Plan, Statement

FILE = """
[[request]]
path = "/orders"

[[request]]
name = "place an order"
method = "POST"
path = "/orders"
headers = { "Content-Type" = "application/json" }
body = '{"customer": 1}'
status = 201
text = "placed"
only = "new"
"""


def test_requests_are_read_with_their_defaults():
    first, second = read_requests("r.toml", FILE)
    assert first == Request(name="GET /orders", path="/orders")
    assert second == Request(
        name="place an order",
        method="POST",
        path="/orders",
        headers={"Content-Type": "application/json"},
        body='{"customer": 1}',
        status=201,
        text="placed",
        only="new",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[request]", "no TOML"),
        ("[requests]", "something else"),
        ("[[request]]\npath = 'orders'", "request 1: path begins with /"),
        ("[[request]]\npath = '/a b'", "holds no blanks"),
        ("[[request]]\npath = '/'\n[[request]]\npath = '/'\nstaus = 2", "request 2: unknown key 'staus'"),
        ("[[request]]\npath = '/'\nmethod = 'get'", "method is one of"),
        ("[[request]]\npath = '/'\nstatus = 99", "status is a number"),
        ("[[request]]\npath = '/'\nonly = 'old'", "only is"),
        ("[[request]]\npath = '/'\nheaders = { a = 1 }", "headers"),
        ("[[request]]\npath = '/'\nbody = 1", "are texts"),
    ],
)
def test_what_makes_no_sense_is_refused_by_number(content, said):
    with pytest.raises(SettingsError, match=said):
        read_requests("r.toml", content)


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(201 if self.headers.get("X-Key") == "k" else 403)
        self.end_headers()
        self.wfile.write(b"got " + body)

    def do_GET(self):
        self.send_response(302 if self.path == "/away" else 500 if self.path == "/broken" else 200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (Request(name="a"), Answer(ok=True, seen="HTTP 200")),
        (Request(name="a", path="/away"), Answer(ok=True, seen="HTTP 302")),
        (Request(name="a", path="/broken"), Answer(ok=False, seen="HTTP 500")),
        (Request(name="a", path="/broken", status=500), Answer(ok=True, seen="HTTP 500")),
        (Request(name="a", text="hell"), Answer(ok=True, seen="HTTP 200")),
        (Request(name="a", text="secret"), Answer(ok=False, seen="HTTP 200 without the text")),
        (Request(name="a", method="POST", headers={"X-Key": "k"}, body="x", text="got x", status=201),
         Answer(ok=True, seen="HTTP 201")),
        (Request(name="a", method="POST"), Answer(ok=False, seen="HTTP 403")),
    ],
)  # fmt: skip
def test_an_answer_is_judged_by_status_and_text(url, request_, answer):
    assert ask(url, request_) == answer


def test_nobody_there_is_an_answer_too():
    assert ask("http://127.0.0.1:1", Request(name="a")) == Answer(
        ok=False, seen="no answer (ConnectionRefusedError)"
    )


FAX = Hazard(code="breaks_running_code", on="public.customers.fax", detail="gone")
DROP = Plan(base="a", goal="b", statements=(Statement(sql="x", why="x", hazards=(FAX,), contract=True),))
ADD = Plan(base="a", goal="b", statements=(Statement(sql="x", why="x"),))


def cells(*failing: tuple[str, str, str], log: tuple[str, ...] = ()) -> list[Cell]:
    """Four cells that answer `health` and `orders` well, but for (version, schema, request)."""
    return [
        Cell(
            version=version,
            schema=schema,
            answers={
                name: Answer(ok=False, seen="HTTP 500")
                if (version, schema, name) in failing
                else Answer(ok=True, seen="HTTP 200")
                for name in ("health", "orders")
            },
            log_names=log if any(each[:2] == (version, schema) for each in failing) else (),
        )
        for version, schema in CELLS
    ]


def judged(plan: Plan, *failing: tuple[str, str, str], **more) -> dict[str, Severity]:
    return {finding.subject: finding.severity for finding in judge(cells(*failing, **more), plan)}


def test_all_well_needs_no_pause():
    found = judge(cells(), DROP)
    assert {finding.severity for finding in found} == {Severity.OK}
    assert found[0].message == (
        "no pause is needed: the running version answers 2 of 2 requests well on the new schema"
    )
    assert "may be released before the migration" in found[-1].message


def test_a_running_version_that_breaks_needs_attention_and_a_split_where_something_is_taken_away():
    broken = ("current", "new", "orders")
    [running, *_] = judge(cells(broken, log=("public.customers.fax",)), DROP)
    assert (running.subject, running.severity) == ("running version", Severity.ATTENTION)
    assert "fails 1 of 2 requests: orders (HTTP 500); its log names public.customers.fax" in running.message
    assert running.mitigation.startswith("split it")
    assert running.evidence["failed"] == {"orders": "HTTP 500"}
    [added, *_] = judge(cells(broken), ADD)
    assert added.mitigation.startswith("release a version that works with both")


def test_a_new_version_that_fails_on_the_new_schema_blocks():
    assert judged(ADD, ("new", "new", "orders"))["new version"] is Severity.BLOCKED


def test_what_fails_today_already_says_nothing_about_the_migration():
    both = (("current", "old", "orders"), ("current", "new", "orders"))
    found = judged(DROP, *both)
    assert found["orders"] is Severity.NOT_LOOKED_AT
    assert found["running version"] is Severity.OK
    assert "running version" not in judged(DROP, ("current", "old", "health"), ("current", "new", "health"))


def test_a_new_version_that_needs_the_new_schema_comes_after_it():
    found = judge(cells(("new", "old", "health")), ADD)
    assert "migrate first, then release" in found[-1].message
    assert found[-1].severity is Severity.OK


def test_the_table_has_a_row_for_each_request():
    made = table(cells(("current", "new", "orders")))
    assert made["rows"][1] == ["orders", "HTTP 200", "FAILS HTTP 500", "HTTP 200", "HTTP 200"]
    assert len(made["columns"]) == 4
