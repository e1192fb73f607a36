"""What the client does with answers of every kind, over real HTTP from a scripted server."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from neon_client import (
    ApiError,
    Conflict,
    Locked,
    NeonClient,
    NeonError,
    NeonUnreachable,
    NotFound,
    QuotaExceeded,
    RateLimited,
    ServerError,
    Unauthorized,
)
from neon_client.retry import Patience
from tests.hurried import Hurried

PROJECT = {"id": "p-1", "name": "shop"}


STALL = (0, None, dict[str, str]())


class Script:
    """Answers in order, by (method, path) or for all; remembers what was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, object, dict[str, str]] | None] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.slept: list[float] = []
        self.base_url = ""
        self.over = threading.Event()

    def answer(self, status: int, body: object = None, **headers: str) -> None:
        self.answers.append(
            (status, body, {name.replace("_", "-"): value for name, value in headers.items()})
        )

    def cut(self) -> None:
        """Close the connection instead of an answer."""
        self.answers.append(None)

    def stall(self) -> None:
        """Keep the connection and answer nothing until the test ends."""
        self.answers.append(STALL)


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.seen.append((self.command, self.path, dict(self.headers)))
            answer = script.answers.pop(0)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if answer is STALL:
                script.over.wait()
                self.close_connection = True
                return
            status, body, headers = answer
            content = (
                body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = serve  # noqa: N815 - http.server's names

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    script.base_url = f"http://127.0.0.1:{server.server_port}/api/v2"
    yield script
    script.over.set()
    server.shutdown()
    server.server_close()
    thread.join()
    assert script.answers == []


@pytest.fixture
def client(script: Script) -> Iterator[NeonClient]:
    patience = Patience(budget_seconds=60, sleep=script.slept.append)
    with NeonClient(api_key="sesame", base_url=script.base_url, patience=patience) as client:
        yield client


def test_key_and_request_id_are_sent_and_never_shown(script: Script, client: NeonClient) -> None:
    script.answer(200, {"project": PROJECT})
    assert client.project("p/../1 ü").id == "p-1"
    method, path, headers = script.seen[0]
    assert (method, path) == ("GET", "/api/v2/projects/p%2F..%2F1%20%C3%BC")
    assert headers["Authorization"] == "Bearer sesame"
    assert len(headers["X-Request-ID"]) == 36
    assert "sesame" not in repr(client) + str(vars(client))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "", ApiError),
        (401, "", Unauthorized),
        (403, "", Unauthorized),
        (404, "", NotFound),
        (409, "BRANCH_ALREADY_EXISTS", Conflict),
        (422, "", ApiError),
        (422, "BRANCHES_LIMIT_EXCEEDED", QuotaExceeded),
    ],
)
def test_errors_by_class(
    script: Script, client: NeonClient, status: int, code: str, kind: type[ApiError]
) -> None:
    script.answer(status, {"code": code, "message": "no", "request_id": "r-7"})
    with pytest.raises(kind, match="GET /projects/p-1: no") as caught:
        client.project("p-1")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, code, "r-7")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("status", [423, 429, 503])
def test_nothing_done_is_repeated_even_for_a_mutation(
    script: Script, client: NeonClient, status: int
) -> None:
    script.answer(200, {"projects": []})
    script.answer(status, {"code": "", "message": "wait"}, Retry_After="9")
    script.answer(status, "<html>")
    script.answer(201, {"project": PROJECT, "branch": {"id": "br-1", "project_id": "p-1", "name": "main"}})
    assert client.create_project(name="shop").project.id == "p-1"
    assert [method for method, _, _ in script.seen] == ["GET", "POST", "POST", "POST"]
    assert script.slept[0] >= 9
    assert len({headers["X-Request-ID"] for method, _, headers in script.seen if method == "POST"}) == 1


@pytest.mark.parametrize(("status", "kind"), [(423, Locked), (429, RateLimited), (503, ServerError)])
def test_patience_ends_with_the_cause(
    script: Script, client: NeonClient, status: int, kind: type[ApiError]
) -> None:
    script.answer(status, {"code": "", "message": "wait"}, Retry_After="121")
    with pytest.raises(kind) as caught:
        client.project("p-1")
    assert caught.value.retryable


def test_a_read_is_repeated_when_the_network_fails(script: Script, client: NeonClient) -> None:
    script.cut()
    script.answer(502, "<html>")
    script.answer(200, {"project": PROJECT})
    assert client.project("p-1").name == "shop"


def hurried(script: Script) -> NeonClient:
    """Who gives up soon where the script has no answer."""
    patience = Patience(sleep=script.slept.append)
    transport = Hurried(lambda: script.answers[0] is STALL)
    return NeonClient(api_key="sesame", base_url=script.base_url, transport=transport, patience=patience)


def test_a_read_that_gets_no_answer_in_time_is_repeated(script: Script) -> None:
    script.stall()
    script.answer(200, {"project": PROJECT})
    with hurried(script) as client:
        assert client.project("p-1").name == "shop"


def test_a_creation_that_gets_no_answer_in_time_is_looked_up(script: Script) -> None:
    """The first one was done after all: it is found by name, and not made again."""
    made = {"id": "p-2", "name": "shop"}
    main = {"id": "br-1", "project_id": "p-2", "name": "main", "default": True, "current_state": "ready"}
    script.answer(200, {"projects": [PROJECT]})
    script.stall()
    script.answer(200, {"projects": [PROJECT, made]})
    script.answer(200, {"operations": []})
    script.answer(200, {"branches": [main]})
    script.answer(200, {"branches": [main]})
    script.answer(200, {"roles": []})
    script.answer(200, {"databases": []})
    script.answer(200, {"endpoints": []})
    with hurried(script) as client:
        assert client.create_project(name="shop").project.id == "p-2"
    assert [method for method, _, _ in script.seen].count("POST") == 1


def test_waits_for_a_lock_are_jittered_and_bounded(script: Script, client: NeonClient) -> None:
    for _ in range(12):
        script.answer(423, {"code": "", "message": "project already has running conflicting operations"})
    script.answer(200, {"project": PROJECT})
    assert client.project("p-1").id == "p-1"
    assert len(set(script.slept)) > 6
    assert all(0 <= seconds <= 5 for seconds in script.slept)


def test_deleting_is_repeated_and_gone_is_fine(script: Script, client: NeonClient) -> None:
    script.cut()
    script.answer(204)
    client.delete_project("p-1")
    script.answer(404, {"code": "", "message": "no"})
    client.delete_project("p-1")
    assert [method for method, _, _ in script.seen] == ["DELETE"] * 3


def test_a_lost_creation_is_looked_up_before_it_is_repeated(script: Script, client: NeonClient) -> None:
    script.answer(200, {"projects": []})
    script.cut()
    script.answer(200, {"projects": []})
    script.answer(201, {"project": PROJECT, "branch": {"id": "br-1", "project_id": "p-1", "name": "main"}})
    assert client.create_project(name="shop").project.id == "p-1"
    assert [method for method, _, _ in script.seen] == ["GET", "POST", "GET", "POST"]


def test_a_taken_name_is_not_taken_for_a_lost_creation(script: Script, client: NeonClient) -> None:
    """The lost answer was a 409: the branch there is somebody else's and must not be handed out."""
    other = {"branches": [{"id": "br-other", "project_id": "p-1", "name": "b", "parent_id": "br-main"}]}
    script.cut()
    script.answer(200, other)
    script.answer(409, {"code": "BRANCH_ALREADY_EXISTS", "message": "branch already exists"})
    script.answer(200, other)
    with pytest.raises(Conflict):
        client.create_branch("p-1", name="b", parent_id="br-main")


def test_branches_are_paged_until_done(script: Script, client: NeonClient) -> None:
    def page(*numbers: int) -> dict[str, object]:
        return {
            "branches": [
                {"id": f"br-{number}", "project_id": "p", "name": str(number)} for number in numbers
            ],
            "annotations": {"br-2": {"value": {"k": "v"}}},
            "pagination": {"next": f"after-{numbers[-1]}" if numbers else "again"},
        }

    script.answer(200, page(1, 2))
    script.answer(200, page(3))
    script.answer(200, {"branches": [], "pagination": {"next": "again"}})
    found = client.branches("p")
    assert [branch.id for branch in found] == ["br-1", "br-2", "br-3"]
    assert found[1].annotations == {"k": "v"}
    assert ["cursor=after-2" in script.seen[1][1], "cursor=after-3" in script.seen[2][1]] == [True, True]


@pytest.mark.parametrize("body", ["<html>welcome</html>", "[]", '{"something": 1}'])
def test_an_answer_that_is_not_the_api(script: Script, client: NeonClient, body: str) -> None:
    script.answer(200, body)
    with pytest.raises(NeonError, match="GET /projects/p-1"):
        client.project("p-1")


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{unused.getsockname()[1]}/api/v2"
        patience = Patience(sleep=lambda _: None)
        with NeonClient(api_key="sesame", base_url=base_url, patience=patience) as client:
            with pytest.raises(NeonUnreachable, match="nobody answers") as caught:
                client.delete_branch("p", "br")
            assert "sesame" not in str(caught.value)


def test_a_proxy_is_not_asked_for_this_machine(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    script.answer(200, {"project": PROJECT})
    with NeonClient(api_key="sesame", base_url=script.base_url) as client:
        assert client.project("p-1").id == "p-1"
