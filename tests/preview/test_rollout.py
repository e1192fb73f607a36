"""A version takes production's place behind a stable address: under load, unhealthy, killed anywhere."""

import http.client
import socket
import textwrap
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preview import CandidateSpec, HealthCheck, Image, LaunchFailed, Runtime, Unhealthy
from preview.draining import connections_to, drained
from preview.edge import Edge
from preview.ports import free_ports
from preview.released import Release, Released
from preview.rollout import LABEL, Rollout
from tests.preview.conftest import Bench

APP = textwrap.dedent(
    """
    import http.server, os, threading
    from urllib.parse import urlsplit
    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/held":
                open(os.environ["HELD"], "w").close()
                while not os.path.exists(os.environ["GO_ON"]):
                    threading.Event().wait(0.02)
            body = os.environ["VERSION"].encode()
            sick = self.path == "/healthz" and os.environ.get("SICK")
            self.send_response(503 if sick else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        do_POST = do_GET
        def log_message(self, *args):
            pass
    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128
    Server(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
    """
)


class Killed(BaseException):
    """Our process ended here, as by kill -9: nothing of ours runs any more."""


def free_port() -> int:
    """One that no client of this machine is given before we have it."""
    return next(free_ports(uuid.uuid4().hex))


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    made = Edge(tmp_path / "releases", f"127.0.0.1:{free_port()}")
    yield made
    made.stop()


class Production:
    """One key with its versions; they tell which they are."""

    def __init__(self, runtime: Runtime, spec: CandidateSpec, edge: Edge) -> None:
        self.runtime, self.spec, self.edge = runtime, spec, edge
        self.released = Released(edge.folder)
        self.said: list[str] = []
        self.drain_seconds = 20.0

    def rollout(self, runtime: Any = None, edge: Any = None, released: Any = None) -> Rollout:
        return Rollout(
            key="k1",
            released=released or self.released,
            runtime=runtime or self.runtime,
            edge=edge or self.edge,
            drain_seconds=self.drain_seconds,
        )

    def release(self, version: str) -> Release:
        return Release(id=version, runtime=self.runtime.kind, image=self.spec.image, at=version)

    def of(self, version: str, **environment: str) -> CandidateSpec:
        return replace(self.spec, environment={**self.spec.environment, "VERSION": version, **environment})

    def put(self, version: str, *, rollout: Rollout | None = None, **environment: str) -> None:
        (rollout or self.rollout()).put(
            self.release(version), self.of(version, **environment), self.said.append
        )

    def ask(self, path: str = "/") -> tuple[int, str]:
        host, _, port = self.edge.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def running(self) -> list[str]:
        return [candidate.name for candidate in self.runtime.list({LABEL: "k1"})]


@pytest.fixture
def production(process_bench: Bench, edge: Edge, tmp_path: Path) -> Production:
    (tmp_path / "app" / "app.py").write_text(APP)
    return Production(
        process_bench.runtime, process_bench.spec(health=HealthCheck(timeout_seconds=120)), edge
    )


class Load:
    """Readers and writers on kept and on new connections, until it is ended."""

    def __init__(self, address: str, path: str, version_in: Callable[[str], str], body: bytes) -> None:
        self.address, self.path, self.version_in = address, path, version_in
        self.body = body
        self.seen: Counter[str] = Counter()
        self.failures: list[str] = []
        self.changed = threading.Condition()
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._ask, args=(method, kept))
            for method in ("GET", "POST")
            for kept in (True, False)
        ]

    def _ask(self, method: str, kept: bool) -> None:
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        while not self.over.is_set():
            try:
                connection.request(method, self.path, body=self.body if method == "POST" else None)
                answer = connection.getresponse()
                body = answer.read().decode()
                failed = "" if answer.status == 200 else f"{method} {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                failed = f"{method} {error!r}"
            with self.changed:
                if failed:
                    self.failures.append(failed)
                else:
                    self.seen[self.version_in(body)] += 1
                self.changed.notify_all()
            if failed or not kept:
                connection.close()

    def until(self, version: str, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.seen[version] >= count or self.failures, timeout=60)

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_no_request_fails_while_versions_change(bench: Bench, edge: Edge, tmp_path: Path) -> None:
    if bench.runtime.kind == "process":
        (tmp_path / "app" / "app.py").write_text(APP)
    production = Production(bench.runtime, bench.spec(), edge)
    production.put("one")
    path, in_body, sent = "/", lambda body: body, b"a body"
    if bench.runtime.kind == "docker":
        path, in_body = bench.environment_path(), lambda body: bench.environment_of(body)["VERSION"]
        sent = b""  # busybox's httpd resets a connection whose body its script did not read

    with Load(edge.address, path, in_body, sent) as load:
        load.until("one", 100)
        production.put("two")
        load.until("two", 100)
        production.put("three")
        load.until("three", 100)

    assert load.failures == []
    assert production.running() == ["preview-release-k1-three"]
    live = production.released.live
    assert live is not None
    assert live.id == "three"
    for name in production.running():
        bench.runtime.stop(name)


def test_a_request_that_has_begun_is_answered_by_its_own_version(
    production: Production, tmp_path: Path
) -> None:
    held, go_on = tmp_path / "held", tmp_path / "go-on"
    production.put("one", HELD=str(held), GO_ON=str(go_on))
    answers: list[tuple[int, str]] = []
    asking = threading.Thread(target=lambda: answers.append(production.ask("/held")))
    asking.start()
    while not held.exists():
        assert asking.is_alive()

    def say(line: str) -> None:
        if line.startswith("waiting for the last requests"):
            assert production.ask() == (200, "two")  # new ones go to the new version already
            go_on.touch()

    production.rollout().put(production.release("two"), production.of("two"), say)
    asking.join()

    assert answers == [(200, "one")]


def test_what_does_not_get_healthy_is_put_back(production: Production) -> None:
    production.put("one")
    sick = HealthCheck(timeout_seconds=1)

    with pytest.raises(Unhealthy, match="was not healthy within 1 s"):
        production.rollout().put(
            production.release("two"),
            replace(production.of("two", SICK="1"), health=sick),
            production.said.append,
        )

    assert production.ask() == (200, "one")
    assert production.running() == ["preview-release-k1-one"]
    assert production.said[-1] == "removing preview-release-k1-two; the earlier version goes on serving"
    production.put("two")
    assert production.ask() == (200, "two")


def test_a_first_version_that_does_not_start_leaves_nothing(production: Production) -> None:
    broken = replace(production.of("one"), command=("python", "-c", "raise SystemExit(3)"))

    with pytest.raises(Unhealthy, match="exited with code 3"):
        production.rollout().put(production.release("one"), broken, production.said.append)

    assert production.running() == []
    assert production.released.live is None


def test_an_address_that_is_taken_is_said_before_anything_starts(production: Production) -> None:
    taken = ("127.0.0.1", int(production.edge.address.rpartition(":")[2]))
    with socket.create_server(taken), pytest.raises(LaunchFailed, match="in use"):
        production.put("one")

    assert production.running() == []


def test_a_killed_edge_comes_back_and_points_where_it_did(production: Production) -> None:
    production.put("one")
    production.edge.stop()
    with pytest.raises(ConnectionRefusedError):
        production.ask()

    production.put("one")

    assert production.ask() == (200, "one")
    assert production.said[-1].startswith(production.edge.address)


class Dying:
    """Passes on to the real thing, and dies before or after its n-th effect."""

    EFFECTS = ("ensure", "start", "point", "went_live", "stop")

    def __init__(self, real: Any, count: "Count") -> None:
        self._real, self._count = real, count

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in self.EFFECTS:
            return found

        def effect(*given: Any, **named: Any) -> Any:
            self._count.one()
            result = found(*given, **named)
            self._count.one()
            return result

        return effect


class Count:
    def __init__(self, dies_at: int) -> None:
        self.dies_at, self.so_far = dies_at, 0

    def one(self) -> None:
        self.so_far += 1
        if self.so_far == self.dies_at:
            raise Killed


def test_killed_anywhere_it_is_begun_again_and_ends_right(production: Production) -> None:
    production.drain_seconds = 0.1
    production.put("v0")
    reached, at = "v0", 0
    while True:
        at += 1
        version = f"v{at}"
        count = Count(at)
        dying = production.rollout(
            runtime=Dying(production.runtime, count),
            edge=Dying(production.edge, count),
            released=Dying(production.released, count),
        )
        try:
            production.put(version, rollout=dying)
        except Killed:
            # Production serves, by the earlier version or the new one, and never by none.
            assert production.ask() in ((200, reached), (200, version))
            production.put(version)
        else:
            break
        assert production.ask() == (200, version)
        assert production.running() == [f"preview-release-k1-{version}"]
        reached = version
    assert at == 11  # five effects, before and after each


def test_connections_are_counted_and_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connections_to(port) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert connections_to(port) == 1
    assert connections_to(port, [tmp_path / "not there"]) is None

    left, now = [3, 1, 0, 0], [0.0]

    def sleep(seconds: float) -> None:
        now[0] += max(seconds, 0.6)

    ended = drained(
        1,
        30,
        count=lambda _port: left.pop(0) if len(left) > 1 else left[0],
        sleep=sleep,
        clock=lambda: now[0],
    )
    assert ended == 0
    assert drained(1, 2, count=lambda _port: 5, sleep=sleep, clock=lambda: now[0]) == 5
    assert drained(1, 2, count=lambda _port: None, sleep=sleep, clock=lambda: now[0]) == 0


def test_versions_are_remembered_in_order(tmp_path: Path) -> None:
    released = Released(tmp_path / "r")
    assert released.live is None
    assert released.all() == ()
    image = Image(reference="shop:1", id="sha256:1")
    first = Release(id="b", runtime="docker", image=image, at="2026-01-01", preview="pr-1", command=("x",))
    second = Release(id="a", at="2026-01-02")
    for each in (second, first):
        released.remember(each)
    released.went_live(second)

    assert released.all() == (first, second)
    assert released.known("b") == first
    assert released.known("../b") is None
    assert released.known("live") is None
    assert released.live == second
    released.forget(first)
    assert released.all() == (second,)
