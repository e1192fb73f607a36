"""A closed network: neighbours by name, what is passed on, and nothing else; the sidecar passes on and takes mail."""

import http.client
import json
import smtplib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preview import CandidateSpec, HealthCheck, Image
from preview.docker import DockerRuntime
from preview.passage import Way
from preview.process import ProcessRuntime
from preview.sidecar import followed, ways_of
from preview.spec import Private
from preview.subnets import address_of
from tests.preview.conftest import unique


class Listener:
    """Says one line to whoever connects, and counts them."""

    def __init__(self, address: str, line: bytes) -> None:
        self.server = socket.create_server((address, 0))
        self.port = self.server.getsockname()[1]
        self.line, self.count = line, 0
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.count += 1
            with connection:
                connection.sendall(self.line)

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener("127.0.0.1", b"the branch\n")
    yield made
    made.close()


@pytest.fixture
def side(process_runtime: ProcessRuntime, tmp_path: Path) -> "Side":
    return Side(process_runtime, tmp_path / "side")


class Side:
    """A sidecar with its folder."""

    def __init__(self, runtime: ProcessRuntime, folder: Path) -> None:
        self.runtime, self.folder = runtime, folder
        (folder / "rules").mkdir(parents=True)

    def rule(self, owner: str, value: dict[str, Any], *, seconds: float = 120) -> tuple[str, ...]:
        """What it cannot do of its rules, after so long."""
        (self.folder / "rules" / f"{owner}.json").write_text(json.dumps(value))
        spec = CandidateSpec(
            name="side",
            command=("python", "-m", "preview.sidecar", str(self.folder)),
            working_directory=self.folder,
            port=0,
            health=HealthCheck(timeout_seconds=120),
        )
        return followed(self.runtime.start(spec).url, self.folder, seconds=seconds)


def ask(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    connection.close()
    return body


@pytest.mark.docker
def test_a_closed_network_lets_through_what_is_passed_on_and_nothing_else(
    engine: Any, docker_runtime: DockerRuntime, busybox: Image, side: Side, listener: Listener
) -> None:
    name = unique("net")
    private = Private(name=name, alias="app", closed=True, hosts=("branch.example.com",))
    spec = CandidateSpec(
        name=unique("closed"),
        image=busybox,
        port=8000,
        command=("/bin/httpd", "-f", "-p", "{port}", "-h", "/www"),
        health=HealthCheck(timeout_seconds=120),
        private=private,
    )
    service = replace(
        spec,
        name=unique("service"),
        port=9000,
        published=False,
        private=replace(private, alias="cache", place=3),
        health=HealthCheck(over="tcp", timeout_seconds=30),
    )
    elsewhere = Listener("127.0.0.1", b"production\n")
    try:
        gateway = docker_runtime.open_network(private, {})
        assert gateway is not None
        assert docker_runtime.open_network(private, {}) == gateway
        docker_runtime.start(service)
        candidate = docker_runtime.start(spec)
        port = int(candidate.url.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            ask("127.0.0.1", port, "/healthz")  # nobody passes anything on yet
        assert (
            side.rule(
                "app",
                {
                    "ways": [
                        {"bind": "127.0.0.1", "port": port, "to": [[address_of(gateway, 2), 8000]]},
                        {"bind": gateway, "port": listener.port, "to": [["127.0.0.1", listener.port]]},
                    ]
                },
            )
            == ()
        )

        def reach(target: str) -> str:
            return ask("127.0.0.1", port, f"/cgi-bin/reach?{target}")

        assert "the branch" in reach(f"branch.example.com:{listener.port}")
        assert "the branch" in reach(f"host.docker.internal:{listener.port}")
        assert "nc ended with 0" in reach("cache:9000")
        # Loopback's own, the world by address, and the world by name.
        assert "production" not in reach(f"host.docker.internal:{elsewhere.port}")
        for forbidden in ("192.0.2.1:443", "1.1.1.1:53", "example.com:80"):
            assert "nc ended with 0" not in reach(forbidden)
        assert elsewhere.count == 0
        assert side.rule("app", {"ways": []}) == ()
        with pytest.raises(ConnectionRefusedError):
            ask("127.0.0.1", port, "/healthz")
    finally:
        elsewhere.close()
        for each in (spec.name, service.name):
            docker_runtime.stop(each)
        for network in engine.networks.list(names=[name]):
            network.remove()


@pytest.mark.docker
def test_an_open_private_network_publishes_and_neighbours_know_each_other(
    engine: Any, docker_runtime: DockerRuntime, busybox: Image
) -> None:
    name = unique("net")
    spec = CandidateSpec(
        name=unique("open"),
        image=busybox,
        port=8000,
        command=("/bin/httpd", "-f", "-p", "{port}", "-h", "/www"),
        health=HealthCheck(timeout_seconds=120),
        private=Private(name=name, alias="app"),
    )
    worker = replace(
        spec,
        name=unique("worker"),
        command=("/bin/sleep", "600"),
        published=False,
        port=0,
        private=Private(name=name, alias="worker"),
        health=HealthCheck(over="nothing"),
    )
    try:
        docker_runtime.start(worker)
        candidate = docker_runtime.start(spec)
        port = int(candidate.url.rpartition(":")[2])
        assert ask("127.0.0.1", port, "/healthz") == "ok\n"
        assert docker_runtime.start(spec).id == candidate.id
    finally:
        for each in (spec.name, worker.name):
            docker_runtime.stop(each)
        for network in engine.networks.list(names=[name]):
            network.remove()


def test_only_neighbours_come_to_an_address_that_says_who(side: Side, listener: Listener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        way, mail = one.getsockname()[1], two.getsockname()[1]
    for network, answers in (("10.231.0.0/28", False), ("127.0.0.0/28", True)):
        rule = {
            "ways": [{"bind": "127.0.0.1", "port": way, "to": [["127.0.0.1", listener.port]]}],
            "mail": {"bind": ["127.0.0.1"], "port": mail},
            "from": {"127.0.0.1": network},
        }
        assert side.rule("app", rule) == ()
        for port in (way, mail):
            with socket.create_connection(("127.0.0.1", port), 60) as there:
                assert bool(there.recv(1)) is answers
    assert listener.count == 1


def test_mail_is_kept_and_sent_to_nobody(side: Side) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert side.rule("app", {"mail": {"bind": ["127.0.0.1"], "port": port}}) == ()

    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail(
            "shop@example.com", ["a@example.com", "b@example.com"], "Subject: hello\r\n\r\ntext\r\n"
        )

    (envelope,) = (side.folder / "mail").glob("*.json")
    said = json.loads(envelope.read_text())
    assert (said["from"], said["to"]) == ("shop@example.com", ["a@example.com", "b@example.com"])
    assert b"Subject: hello" in envelope.with_suffix(".eml").read_bytes()


def test_a_port_that_somebody_else_has_is_said_and_taken_later(side: Side, listener: Listener) -> None:
    rule = {"ways": [{"bind": "127.0.0.1", "port": listener.port, "to": [["127.0.0.1", 1]]}]}
    (side.folder / "rules" / "x.json").write_text(json.dumps(rule))
    refused = side.rule("y", {}, seconds=10)
    assert len(refused) == 1
    assert refused[0].startswith(f"127.0.0.1:{listener.port}: ")


def test_ways_of_several_owners_are_one() -> None:
    rules: dict[str, Any] = {
        "app": {"ways": [{"bind": "10.0.0.1", "port": 443, "to": [["a", 443]]}]},
        "trial": {"ways": [{"bind": "10.0.0.1", "port": 443, "to": [["b", 443], ["a", 443]]}]},
    }
    assert ways_of(rules) == {("10.0.0.1", 443): Way((("a", 443), ("b", 443)))}
    rules["trial"]["ways"][0]["postgres"] = True
    assert ways_of(rules) == {("10.0.0.1", 443): Way((("a", 443), ("b", 443)), postgres=True)}
