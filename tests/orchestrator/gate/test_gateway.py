"""What passes through the gateway on a laptop: routing, waking, streams, and what happens around a restart."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from websockets.sync.client import connect as open_websocket

from orchestrator.errors import StepFailed
from orchestrator.gate import app as gate_app
from orchestrator.gate import table, waking
from orchestrator.lifecycle import State
from tests.orchestrator.gate.conftest import House
from tests.orchestrator.gate.small_app import ARRIVED

PAGE = {"Accept": "text/html,*/*"}


def seen(answer: httpx.Response) -> dict[str, str]:
    """The headers that reached the app, by lower-case name."""
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["headers"])


def test_each_name_leads_to_its_own_app_with_the_request_as_it_was(house: House) -> None:
    house.preview("pr-1")
    answer = house.ask("pr-1", "/a%2Fb//c?x=1&x=2", method="PUT", content=b"hello")
    said = answer.json()
    assert (said["method"], said["path"], said["size"]) == ("PUT", "/a%2Fb//c", 5)
    headers = dict(said["headers"])
    assert headers["host"] == house.host("pr-1")
    assert headers["x-forwarded-host"] == house.host("pr-1")
    assert (headers["x-forwarded-proto"], headers["x-forwarded-for"]) == ("http", "127.0.0.1")


def test_a_hundred_previews_are_routed_without_a_word_to_caddy(house: House) -> None:
    before = house.caddy.config()
    for number in range(100):
        house.preview(f"pr-{number}", url=house.app_url if number % 2 else "http://127.0.0.1:9")
    for number in range(1, 100, 8):
        assert house.ask(f"pr-{number}").status_code == 200
    assert house.ask("pr-0").status_code == 502
    assert house.caddy.config() == before


def test_a_new_one_is_there_at_once_and_a_discarded_one_is_gone(house: House) -> None:
    assert house.ask("pr-1").status_code == 404
    preview = house.preview("pr-1")
    assert house.ask("pr-1").status_code == 200
    with house.store.lease(preview.id) as lease:
        house.store.record(lease, to=State.DISCARDING, kind="step")
    until(lambda: house.ask("pr-1").status_code == 503)
    with house.store.lease(preview.id) as lease:
        house.store.record(lease, to=State.CLOSED, kind="step")
    until(lambda: house.ask("pr-1").status_code == 404)


def until(true: Callable[[], bool]) -> None:
    """Wait for what comes soon; the test's own time-out ends it otherwise."""
    while not true():
        time.sleep(0.02)


def test_a_state_that_has_no_app_is_explained(house: House) -> None:
    house.preview("making", state=State.MIGRATING, url=None)
    page = house.ask("making", headers=PAGE)
    assert page.status_code == 503
    assert "making is being made" in page.text
    assert "It is migrating right now." in page.text
    assert page.headers["retry-after"] == "3"
    told = house.ask("making")
    assert told.headers["content-type"].startswith("text/plain")
    assert "<" not in told.text


def test_an_app_that_does_not_answer_is_explained(house: House) -> None:
    house.preview("gone", url="http://127.0.0.1:9")
    page = house.ask("gone", headers=PAGE)
    assert page.status_code == 502
    assert "gone does not answer" in page.text
    assert "preview logs gone" in page.text


def test_an_unknown_name_is_a_page_and_never_an_app(house: House) -> None:
    house.preview("pr-1")
    page = house.ask("nobody", headers=PAGE)
    assert page.status_code == 404
    assert "There is no such preview" in page.text


# waking


def test_the_first_request_wakes_and_is_answered(house: House) -> None:
    preview = house.asleep("pr-1")
    answer = house.ask("pr-1", method="POST", content=b"x" * 100_000)
    assert answer.json()["size"] == 100_000
    assert house.woken == [preview.id]
    assert house.ask("pr-1").status_code == 200
    assert house.woken == [preview.id]


def test_fifty_first_requests_at_once_wake_it_once(house: House) -> None:
    preview = house.asleep("pr-1")
    there = threading.Barrier(50)

    def ask(_number: int) -> int:
        there.wait()
        return house.ask("pr-1").status_code

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {200}
    assert house.woken == [preview.id]


def test_a_browser_sees_a_page_that_asks_again_while_it_wakes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_app, "PAGE_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(gate_app, "PATIENCE_SECONDS", 0.05)
    house.asleep("pr-1")
    let_go = threading.Event()
    house.wake = lambda _id: let_go.wait(30) and None  # type: ignore[func-returns-value]
    page = house.ask("pr-1", headers=PAGE)
    assert page.status_code == 503
    assert "pr-1 wakes up" in page.text
    assert '<meta http-equiv="refresh" content="2">' in page.text
    told = house.ask("pr-1")
    assert (told.status_code, told.headers["retry-after"]) == (503, "2")
    assert "refresh" not in told.text
    # Other previews are not kept waiting by it.
    house.preview("awake")
    assert house.ask("awake").status_code == 200
    let_go.set()
    until(lambda: house.ask("pr-1").status_code == 200)
    assert len(house.woken) == 1


def test_one_that_does_not_wake_says_why_and_is_not_tried_for_every_reload(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "RESTS_SECONDS", 600.0)  # however long five reloads take
    house.asleep("pr-1")

    def fail(_id: str) -> None:
        raise StepFailed("it was not healthy within 60 s", hint="see its log")

    house.wake = fail
    for _ in range(5):
        page = house.ask("pr-1", headers=PAGE)
        assert page.status_code == 503
        assert "it was not healthy within 60 s" in page.text
        assert "next: see its log" in page.text
    assert len(house.woken) == 1


def test_who_was_asked_for_is_written_down(open_house: Callable[..., House]) -> None:
    house = open_house()
    one, other = house.preview("one"), house.preview("other")
    with house.gate():
        house.ask("one")
        house.ask("nobody")
    assert set(house.store.visits().last()) == {one.id}
    assert other.id not in house.store.visits().last()


# what streams


def test_websockets_pass_both_ways(house: House) -> None:
    house.preview("pr-1")
    with open_websocket(websocket(house, "pr-1"), proxy=None, additional_headers={"Cookie": "a=1"}) as socket:
        socket.send("one")
        assert socket.recv(timeout=30) == "heard one"


def websocket(house: House, name: str) -> str:
    # The name is in the URL for the Host line; the client resolves `localhost` names by itself.
    return f"ws://{name}.localhost:{house.port}/ws"


@pytest.fixture(autouse=True)
def _names_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """`*.localhost` is this machine for browsers, but not for getaddrinfo."""
    import socket

    real = socket.getaddrinfo

    def resolve(host: object, *more: object, **options: object) -> object:
        name = host.decode() if isinstance(host, bytes) else str(host)
        return real("127.0.0.1" if name.endswith((".localhost", ".test")) else host, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_websocket_wakes_a_sleeper(house: House) -> None:
    house.asleep("pr-1")
    with open_websocket(websocket(house, "pr-1"), proxy=None) as socket:
        socket.send("one")
        assert socket.recv(timeout=30) == "heard one"


def test_server_sent_events_come_one_by_one(house: House) -> None:
    house.preview("pr-1")
    with follow(house, "pr-1") as events:
        assert [next(events) for _ in range(3)] == ["data: 0", "data: 1", "data: 2"]


@contextmanager
def follow(house: House, name: str) -> Iterator[Iterator[str]]:
    """The lines of its events, as they come."""
    with httpx.stream(
        "GET",
        f"http://127.0.0.1:{house.port}/events",
        headers={"Host": house.host(name), "Accept": "text/event-stream"},
        trust_env=False,
        timeout=30,
    ) as answer:
        yield (line for line in answer.iter_lines() if line)


def test_an_upload_streams_and_arrives_whole(house: House) -> None:
    house.preview("pr-1")
    piece = os.urandom(1 << 20)
    sent = hashlib.sha256()

    ARRIVED.clear()

    def pieces() -> Iterator[bytes]:
        for number in range(40):
            # Nobody collects it: the app has the beginning before the rest is sent.
            assert number == 0 or ARRIVED.wait(30)
            sent.update(piece)
            yield piece

    said = house.ask("pr-1", method="POST", content=pieces()).json()
    assert (said["size"], said["sha256"]) == (40 << 20, sent.hexdigest())


# restarts


def test_a_restart_of_the_gate_cuts_no_connection_and_fails_no_request(
    open_house: Callable[..., House],
) -> None:
    house = open_house()
    house.preview("pr-1")
    with ExitStack() as first, ExitStack() as connected, ThreadPoolExecutor(1) as pool:
        first.enter_context(house.gate())
        socket = connected.enter_context(open_websocket(websocket(house, "pr-1"), proxy=None))
        socket.send("before")
        assert socket.recv(timeout=30) == "heard before"
        events = connected.enter_context(follow(house, "pr-1"))
        assert next(events) == "data: 0"
        first.close()
        # Nobody is at the gate now.
        assert (next(events), next(events)) == ("data: 1", "data: 2")
        socket.send("between")
        assert socket.recv(timeout=30) == "heard between"
        waiting = pool.submit(house.ask, "pr-1")
        with house.gate():
            assert waiting.result(30).status_code == 200
            socket.send("after")
            assert socket.recv(timeout=30) == "heard after"
            assert next(events) == "data: 3"


def test_a_diary_that_is_away_for_a_moment_fails_no_request(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.preview("pr-1")
    assert house.ask("pr-1").status_code == 200
    monkeypatch.setattr(house.site._connections, "_uri", "postgresql://127.0.0.1:9/nowhere?connect_timeout=1")
    monkeypatch.setattr(house.site._connections, "_patience", 0.2)
    house.site._connections.close()
    house.site._connections._closed = False
    monkeypatch.setattr(table, "FRESH_SECONDS", 0.0)  # it is looked up each time, which fails
    monkeypatch.setattr(table, "BLIND_SECONDS", 600.0)
    assert house.ask("pr-1").status_code == 200
    monkeypatch.setattr(table, "BLIND_SECONDS", 0.0)
    page = house.ask("pr-1", headers=PAGE)
    assert page.status_code == 503
    assert "cannot be looked up" in page.text
