"""Looking at a candidate over real HTTP."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from preview import health
from preview.health import look, wait_until_healthy
from preview.spec import HealthCheck

CHECK = HealthCheck(path="/healthz", timeout_seconds=30, interval_seconds=0.01)


@contextmanager
def serving(*answers: int | str) -> Iterator[tuple[int, list[str]]]:
    """A server that gives these answers in turn, the last for ever; yields its port and the paths asked for."""
    asked: list[str] = []
    left = list(answers)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, str):
                self.wfile.write(answer.encode())
                return
            self.send_response(answer)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_success_and_redirects_are_healthy_and_no_redirect_is_followed():
    for status in (200, 204, 302):
        with serving(status) as (port, asked):
            assert look(port, CHECK).healthy
            assert asked == ["/healthz"]


def test_errors_and_nonsense_are_not():
    for answer, status in (
        (404, "HTTP 404"),
        (500, "HTTP 500"),
        ("SSH-2.0-hello\r\n", "no HTTP answer (BadStatusLine)"),
    ):
        with serving(answer) as (port, _):
            seen = look(port, CHECK)
            assert (seen.healthy, seen.status) == (False, status)


def test_an_empty_answer_and_nobody_are_told_apart():
    with serving("") as (port, _):
        assert look(port, CHECK).status == "connection closed without an answer"
    assert look(port, CHECK).status == "connection refused"


def test_silence_ends():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        seen = look(silent.getsockname()[1], CHECK, answer_seconds=0.5)
    assert not seen.healthy
    assert seen.status.startswith("no answer within")


def test_waiting_sees_it_come():
    with serving(503, 503, 200) as (port, asked):
        assert wait_until_healthy(port, CHECK, lambda: None).healthy
        assert len(asked) == 3


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only while somebody sleeps: a look takes none, however slow the machine is."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))


def test_waiting_gives_up_with_the_last_status(clock):
    with serving(500, 503) as (port, asked):
        seen = wait_until_healthy(port, HealthCheck(timeout_seconds=99, interval_seconds=12.5), lambda: None)
        assert (seen.healthy, seen.status, len(asked)) == (False, "HTTP 503", 8)


def test_somebody_else_on_the_port_does_not_make_an_ended_candidate_healthy():
    with serving(200) as (port, _):
        seen = wait_until_healthy(port, CHECK, lambda: "exited with code 1")
        assert (seen.healthy, seen.status) == (False, "exited with code 1")


def test_an_answer_that_stays_unhealthy_is_final_when_it_was_steady_long_enough(clock):
    impatient = HealthCheck(timeout_seconds=300, interval_seconds=12.5, steady_seconds=100)
    with serving(404, 503) as (port, asked):
        seen = wait_until_healthy(port, impatient, lambda: None)
        assert (seen.healthy, seen.status) == (False, "HTTP 503")
        assert len(asked) == 10


def test_no_answer_is_never_steady():
    with serving("", "", 503, 200) as (port, _):
        patient = HealthCheck(timeout_seconds=300, interval_seconds=0.01, steady_seconds=200)
        assert wait_until_healthy(port, patient, lambda: None).healthy
