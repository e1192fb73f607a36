"""What only the Docker runtime promises, on a real engine: isolation, limits, the shared network, whose is what."""

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from preview import (
    Candidate,
    EngineUnreachable,
    HealthCheck,
    ImageNotFound,
    LaunchFailed,
    Resources,
    Unhealthy,
    open_runtime,
)
from preview.docker import DockerRuntime
from preview.image import images
from preview.network import ensure_network

pytestmark = pytest.mark.docker


@pytest.fixture
def bench(docker_bench):
    return docker_bench


def reaches(candidate: Candidate, host: str, port: int) -> str:
    """What a container hears when it dials this."""
    with urllib.request.urlopen(f"{candidate.url}/cgi-bin/reach?{host}:{port}", timeout=20) as answer:
        return answer.read().decode()


def behind(engine, candidate: Candidate) -> dict:
    return engine.api.inspect_container(candidate.id)


@contextmanager
def saying_hello(address: str) -> Iterator[int]:
    """A server on this machine that greets whoever dials it."""
    with socket.create_server((address, 0)) as server:

        def greet() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(b"hello from the machine\n")
            except OSError:
                return

        thread = threading.Thread(target=greet)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_container_gets_its_limits_and_no_more_rights_than_needed(bench, engine):
    wanted = Resources(memory_bytes=64 << 20, cpus=0.5, pids=40)
    seen = behind(engine, bench.runtime.start(bench.spec(resources=wanted)))
    host = seen["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        64 << 20,
        64 << 20,
        500_000_000,
        40,
    )
    assert host["Init"] is True
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert "NET_RAW" in {name.removeprefix("CAP_") for name in host["CapDrop"]}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert {binding["HostIp"] for bindings in host["PortBindings"].values() for binding in bindings} == {
        "127.0.0.1"
    }
    assert host["LogConfig"]["Config"]["max-size"] == "10m"


def test_one_that_is_not_healthy_is_not_restarted_for_ever(bench, engine):
    with pytest.raises(Unhealthy):
        bench.runtime.start(bench.saying("exit 1"))
    assert (
        behind(engine, bench.runtime.observe(bench.serving.name))["HostConfig"]["RestartPolicy"]["Name"]
        == "no"
    )


def test_memory_beyond_the_limit_is_told_as_such(bench):
    script = 'x=x; while true; do x="$x$x"; done'
    with pytest.raises(Unhealthy) as caught:
        bench.runtime.start(bench.saying(script, resources=Resources(memory_bytes=16 << 20)))
    assert caught.value.status == "was killed: out of memory"
    assert "memory" in caught.value.hint


def test_a_container_reaches_this_machine_but_not_its_neighbour(bench, engine):
    address = bench.runtime.host_address()
    one = bench.runtime.start(bench.serving)
    two = bench.runtime.start(bench.spec(name=bench.serving.name + "-two"))
    neighbour = behind(engine, two)["NetworkSettings"]["Networks"][bench.runtime.network]["IPAddress"]
    with saying_hello(address.bind) as port:
        assert "hello from the machine" in reaches(one, address.name, port)
    assert "nc ended with 1" in reaches(one, neighbour, 8000)
    # The neighbour's published port is on this machine's 127.0.0.1 only.
    assert "nc ended with 1" in reaches(one, address.name, int(two.url.rpartition(":")[2]))


def test_the_network_goes_with_its_last_container(bench, engine):
    one = bench.runtime.start(bench.serving)
    two = bench.runtime.start(bench.spec(name=bench.serving.name + "-two"))
    bench.runtime.stop(one.name)
    assert [n.name for n in engine.networks.list(names=[bench.runtime.network])] == [bench.runtime.network]
    bench.runtime.stop(two.name)
    assert engine.networks.list(names=[bench.runtime.network]) == []


def test_an_ended_container_keeps_its_network(bench, engine):
    """The engine itself would let the network go: an ended container has no endpoint on it."""
    with pytest.raises(Unhealthy):
        bench.runtime.start(bench.saying("exit 1"))
    bench.runtime.stop("preview-test-somebody-else")
    assert len(engine.networks.list(names=[bench.runtime.network])) == 1


def test_a_network_pulled_away_from_an_ended_container_is_made_again(bench, engine):
    candidate = bench.runtime.start(bench.serving)
    engine.containers.get(candidate.id).stop(timeout=0)
    engine.networks.get(bench.runtime.network).remove()
    assert bench.runtime.start(bench.serving).state == "running"


def test_racing_makers_of_the_network_end_with_one(bench, engine):
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(ensure_network(engine, bench.runtime.network)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (left,) = engine.networks.list(names=[bench.runtime.network])
    assert ensure_network(engine, bench.runtime.network) == left.id
    assert len(ids) == 4


def test_somebody_elses_container_is_neither_shown_nor_touched(bench, engine, busybox):
    stranger = engine.containers.run(busybox.id, ["/bin/sleep", "600"], name=bench.serving.name, detach=True)
    try:
        for act in (bench.runtime.stop, bench.runtime.observe, lambda _: bench.runtime.start(bench.serving)):
            with pytest.raises(LaunchFailed, match=bench.serving.name):
                act(bench.serving.name)
        assert bench.serving.name not in {c.name for c in bench.runtime.list({})}
        stranger.reload()
        assert stranger.status == "running"
    finally:
        stranger.remove(force=True)


def test_somebody_elses_network_is_not_used(bench, engine):
    stranger = engine.networks.create(bench.runtime.network)
    with pytest.raises(LaunchFailed, match=bench.runtime.network):
        bench.runtime.start(bench.serving)
    assert bench.runtime.observe(bench.serving.name) is None
    bench.runtime.stop(bench.serving.name)
    stranger.reload()


def test_a_stopped_or_paused_container_is_the_same_one_afterwards(bench, engine):
    candidate = bench.runtime.start(bench.serving)
    container = engine.containers.get(candidate.id)
    container.pause()
    assert bench.runtime.observe(candidate.name).state == "paused"
    assert bench.runtime.start(bench.serving).id == candidate.id
    container.stop(timeout=0)
    assert bench.runtime.observe(candidate.name).state == "exited"
    again = bench.runtime.start(bench.serving)
    assert (again.id, again.state) == (candidate.id, "running")
    assert behind(engine, again)["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_an_ended_container_whose_port_was_taken_meanwhile_gets_another(bench, engine):
    candidate = bench.runtime.start(bench.serving)
    engine.containers.get(candidate.id).stop(timeout=0)
    with socket.create_server(("127.0.0.1", int(candidate.url.rpartition(":")[2]))):
        again = bench.runtime.start(bench.serving)
        assert again.url != candidate.url


def test_a_container_that_was_made_and_never_started_is_started(bench, engine):
    """What a kill -9 between create and start leaves."""
    candidate = bench.runtime.start(bench.serving)
    made = behind(engine, candidate)
    bench.runtime.stop(candidate.name)
    network = ensure_network(engine, bench.runtime.network)
    left = engine.containers.create(
        made["Config"]["Image"],
        bench.serving.command,
        name=candidate.name,
        labels=made["Config"]["Labels"],
        network=network,
    )
    # Its ports are missing, so it can never be healthy: what counts is that it is this one that was started.
    with pytest.raises(Unhealthy):
        bench.runtime.start(bench.spec(health=HealthCheck(timeout_seconds=0.5)))
    assert bench.runtime.observe(candidate.name).id == left.id


def test_images_are_taken_by_name_or_missed_clearly(bench, busybox):
    assert bench.runtime.image(busybox.reference) == busybox
    assert bench.runtime.image(busybox.id).id == busybox.id
    for reference in ("localhost:1/no-such-image:1", "sha256:" + "0" * 64):
        with pytest.raises(ImageNotFound, match=reference) as caught:
            bench.runtime.image(reference)
        assert "dial tcp" not in caught.value.message
        assert caught.value.hint
    with pytest.raises(ImageNotFound, match="no image's name"):
        bench.runtime.image("UPPER case")


def test_only_images_that_we_built_are_removed(bench, busybox, engine):
    bench.runtime.remove_image(busybox.reference)
    assert engine.images.get(busybox.reference).id == busybox.id
    bench.runtime.remove_image("preview-test-nothing:1")


def test_an_image_that_goes_away_while_we_look_is_not_there(busybox, engine, monkeypatch):
    listed = engine.api.images
    gone = {"Id": "sha256:" + "1" * 64}
    monkeypatch.setattr(engine.api, "images", lambda **how: [gone, *listed(**how)])
    assert [each.id for each in images(engine, {"reference": busybox.reference})] == [busybox.id]


def test_an_image_that_went_away_is_named(bench):
    gone = bench.spec(image=type(bench.serving.image)(reference="shop:7", id="sha256:" + "1" * 64))
    with pytest.raises(LaunchFailed, match="shop:7"):
        bench.runtime.start(gone)
    with pytest.raises(LaunchFailed, match="no image"):
        bench.runtime.start(bench.spec(image=None))


def test_no_engine_is_told_in_one_line_and_auto_then_takes_processes(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    reason = DockerRuntime().available()
    assert reason is not None
    assert "no.sock" in reason
    assert "\n" not in reason
    assert open_runtime("auto", tmp_path).kind == "process"
    with pytest.raises(EngineUnreachable, match=r"no\.sock"):
        open_runtime("docker", tmp_path).observe("x")


def test_another_machines_engine_is_no_use(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert "another machine" in (DockerRuntime().available() or "")


def test_with_an_engine_auto_takes_docker(engine, tmp_path):
    runtime = open_runtime("auto", tmp_path)
    assert runtime.kind == "docker"
    assert runtime.available() is None
    assert open_runtime("process", tmp_path).kind == "process"


def test_the_engine_of_dockers_current_context_is_used(engine, monkeypatch, tmp_path):
    """Docker Desktop, colima and rootless engines are found by nothing else."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "away"}))
    import hashlib

    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"away").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps(
            {"Name": "away", "Metadata": {}, "Endpoints": {"docker": {"Host": f"unix://{tmp_path}/ctx.sock"}}}
        )
    )
    assert "ctx.sock" in (DockerRuntime().available() or "")
    (meta / "meta.json").write_text("{")
    assert "context" in (DockerRuntime().available() or "")
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "nowhere"}))
    assert "nowhere" in (DockerRuntime().available() or "")


def test_an_engine_that_goes_away_in_the_middle_is_told_as_such(bench, relay, monkeypatch):
    passage = relay()
    monkeypatch.setenv("DOCKER_HOST", passage.address)
    runtime = DockerRuntime(network=bench.runtime.network)
    candidate = runtime.start(bench.serving)
    following = runtime.logs(candidate.name, follow=True)
    passage.close()
    for act in (
        lambda: runtime.observe(candidate.name),
        lambda: runtime.stop(candidate.name),
        lambda: runtime.start(bench.spec(environment={"NEW": "1"})),
        lambda: runtime.list({}),
        lambda: list(following),
    ):
        with pytest.raises(EngineUnreachable, match="stopped answering"):
            act()
    # The engine itself was never away: on the direct way the work goes on where it was.
    monkeypatch.delenv("DOCKER_HOST")
    assert bench.runtime.start(bench.serving).id == candidate.id


def test_an_engine_that_goes_away_while_a_log_is_followed_is_told_as_such(bench, relay, monkeypatch):
    passage = relay()
    monkeypatch.setenv("DOCKER_HOST", passage.address)
    runtime = DockerRuntime(network=bench.runtime.network)
    with pytest.raises(Unhealthy):
        runtime.start(bench.saying("echo hello; sleep 600", health=HealthCheck(timeout_seconds=0.1)))
    following = runtime.logs(bench.serving.name, follow=True)
    assert next(following) == "hello"
    passage.close()
    with pytest.raises(EngineUnreachable, match="stopped answering"):
        next(following)
