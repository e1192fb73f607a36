"""Computes that sleep when idle and wake when somebody connects; kills and crowds at every moment of it."""

import os
import select
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from neon_client import ConnectionURI, CreatedBranch, NeonClient
from neon_embedded import Running, ensure_running, status, stop
from neon_embedded.binaries import find_binaries
from neon_embedded.home import Home
from neon_embedded.postmaster import Postmaster, bound_log
from neon_embedded.processes import alive, running

from .conftest import World

SECONDS = 60.0


def until(what: str, condition: object) -> None:
    """Wait for a state, not for a time."""
    end = time.monotonic() + SECONDS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.01)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(f"the end of {pid}", lambda: not alive(pid))


def data_of(world: World, branch_id: str) -> Path:
    return world.running.home / "branches" / branch_id / "data"


def connect_all(server: int, uri: ConnectionURI, count: int) -> list[pq.PGconn]:
    """Many connections begun within a moment, as a crowd does; then each is brought to its end.

    The server, by its process id, stands still for that moment: ours may be a long one.
    """
    os.kill(server, signal.SIGSTOP)
    try:
        begun = [pq.PGconn.connect_start(uri.reveal().encode()) for _ in range(count)]
    finally:
        os.kill(server, signal.SIGCONT)
    for each in begun:
        while (reached := each.connect_poll()) not in {
            pq.PollingStatus.OK,
            pq.PollingStatus.FAILED,
        }:
            reading = reached == pq.PollingStatus.READING
            select.select([each.socket] * reading, [each.socket] * (not reading), [], SECONDS)
    return begun


@pytest.fixture
def sleeper(world: World) -> CreatedBranch:
    """A branch whose compute sleeps."""
    created = world.client.create_branch(world.project, name="sleeper", parent_id=world.main)
    world.client.suspend_endpoint(world.project, created.endpoints[0].id)
    assert running(data_of(world, created.branch.id)) is None
    return created


def state(world: World, branch_id: str) -> str:
    return world.client.endpoints(world.project, branch_id)[0].current_state


def test_a_connection_wakes_it_and_later_ones_go_directly(world: World, sleeper: CreatedBranch) -> None:
    with world.connect(sleeper.branch.id) as first, world.connect(sleeper.branch.id) as second:
        for connection in (first, second):
            # More than a socket's buffers hold, both ways.
            text = "x" * 3_000_000
            assert connection.execute("select %s || ''", (text,)).fetchone() == (text,)
        ports = [each.execute("select inet_client_port()").fetchone() for each in (first, second)]
        seen_by_client = [
            socket.socket(fileno=os.dup(each.fileno())).getsockname()[1] for each in (first, second)
        ]
        assert ports[1] == (seen_by_client[1],)
        assert ports[0] != (seen_by_client[0],)
        assert state(world, sleeper.branch.id) == "active"
    before = running(data_of(world, sleeper.branch.id))
    with world.connect(sleeper.branch.id) as third:
        assert third.execute("select 1").fetchone() == (1,)
    assert running(data_of(world, sleeper.branch.id)) == before


def test_a_crowd_starts_one_postmaster(world: World, sleeper: CreatedBranch) -> None:
    crowd = connect_all(world.running.pid, world.uri(sleeper.branch.id), 20)
    assert [each.error_message for each in crowd if each.status != pq.ConnStatus.OK] == []
    [log] = [data_of(world, sleeper.branch.id).parent / "postgres.log"]
    assert log.read_text().count("ready to accept connections") == 2  # its first start, and this one
    for each in crowd:
        assert each.exec_(b"select 1").get_value(0, 0) == b"1"
        each.finish()


def test_it_sleeps_when_idle_and_not_while_somebody_works(world: World) -> None:
    created = world.client.create_branch(world.project, name="idle", parent_id=world.main)
    endpoint = created.endpoints[0].id

    def sleeps_after(seconds: int) -> None:
        where, what = f"projects/{world.project}/endpoints/{endpoint}", {"suspend_timeout_seconds": seconds}
        world.http.patch(where, json={"endpoint": what}).raise_for_status()

    data = data_of(world, created.branch.id)
    with world.connect(created.branch.id) as connection:
        connection.execute("begin")
        sleeps_after(1)
        connection.execute("select pg_sleep(4)")  # longer than its time, and in a transaction afterwards
        assert running(data) is not None
        connection.execute("commit")
        until("it sleeps", lambda: running(data) is None)
        until("it says so", lambda: state(world, created.branch.id) == "idle")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    sleeps_after(300)
    with world.connect(created.branch.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert any(
        operation.action == "suspend_compute" and operation.endpoint_id == endpoint
        for operation in world.client.operations(world.project)
    )


def test_a_branch_is_made_of_a_sleeper_while_somebody_knocks(world: World, sleeper: CreatedBranch) -> None:
    with world.connect(sleeper.branch.id) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as n")
    world.client.suspend_endpoint(world.project, sleeper.endpoints[0].id)
    results: list[object] = []

    def knock() -> None:
        while True:
            try:
                with world.connect(sleeper.branch.id) as connection:
                    results.append(connection.execute("select count(*) from kept").fetchone())
            except psycopg.OperationalError as error:
                # Who comes just while the port changes hands is told so, and succeeds the next time (decision 0010).
                if not any(word in str(error) for word in ("refused", "starting up")):
                    raise
            else:
                return

    crowd = [threading.Thread(target=knock) for _ in range(3)]
    for thread in crowd:
        thread.start()
    child = world.client.create_branch(world.project, name="child", parent_id=sleeper.branch.id)
    for thread in crowd:
        thread.join()
    assert results == [(1000,)] * 3
    with world.connect(child.branch.id) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (1000,)
    world.client.delete_branch(world.project, child.branch.id)


def test_what_cannot_wake_sends_away_and_tries_again_later(world: World, sleeper: CreatedBranch) -> None:
    data = data_of(world, sleeper.branch.id)
    (data / "PG_VERSION").rename(data / "hidden")
    with pytest.raises(psycopg.OperationalError):
        world.connect(sleeper.branch.id)
    assert state(world, sleeper.branch.id) == "idle"
    (data / "hidden").rename(data / "PG_VERSION")
    with world.connect(sleeper.branch.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_sleeper_listens_where_it_was_asked_to(world: World) -> None:
    settings = {"pg_settings": {"listen_addresses": "127.0.0.1,127.0.0.5"}}
    created = world.client.create_branch(
        world.project, name="bridge", parent_id=world.main, endpoint_settings=settings
    )
    endpoint = created.endpoints[0].id
    uri = world.uri(created.branch.id).with_host("127.0.0.5").reveal()
    world.client.suspend_endpoint(world.project, endpoint)
    with psycopg.connect(uri) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    world.client.suspend_endpoint(world.project, endpoint)
    world.client.update_endpoint(world.project, endpoint, settings={})
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(uri)
    assert state(world, created.branch.id) == "idle"


def test_a_disabled_or_deleted_one_is_not_woken(world: World, sleeper: CreatedBranch) -> None:
    endpoint, uri = sleeper.endpoints[0].id, world.uri(sleeper.branch.id)
    for disabled in (True, False):
        world.http.patch(
            f"projects/{world.project}/endpoints/{endpoint}", json={"endpoint": {"disabled": disabled}}
        ).raise_for_status()
        if disabled:
            with pytest.raises(psycopg.OperationalError, match="refused"):
                psycopg.connect(uri.reveal())
        else:
            psycopg.connect(uri.reveal()).close()
    world.client.suspend_endpoint(world.project, endpoint)
    world.client.delete_branch(world.project, sleeper.branch.id)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(uri.reveal())


def test_status_tells_who_sleeps(world: World, sleeper: CreatedBranch) -> None:
    def shown() -> dict[str, object]:
        [project] = [each for each in status(world.running.home).projects if each["id"] == world.project]
        [branch] = [each for each in project["branches"] if each["id"] == sleeper.branch.id]
        found: dict[str, object] = branch["computes"][0]
        return found

    assert (shown()["state"], shown()["memory_bytes"]) == ("suspended", None)
    with world.connect(sleeper.branch.id):
        until("it was looked at", lambda: shown()["idle_since"] is not None)
        awake = shown()
        assert awake["state"] == "active"
        assert awake["suspends_after_seconds"] == 300
        assert 1_000_000 < awake["memory_bytes"] < 100_000_000  # type: ignore[operator]


def test_a_log_is_bounded_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neon_embedded.postmaster._LOG_LIMIT_BYTES", 100)
    log = tmp_path / "postgres.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(50):
            writer.write(f"line {number} of many\n".encode())
            bound_log(log)
    assert log.stat().st_size <= 100
    lines = ((tmp_path / "postgres.log.1").read_text() + log.read_text()).splitlines()
    assert lines[-1] == "line 49 of many"
    assert lines == [f"line {number} of many" for number in range(50 - len(lines), 50)]
    bound_log(tmp_path / "absent.log")


# What follows kills a server of its own, again and again.


class Own:
    """A server that may be killed, with a branch `sleeper` for each test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server = ensure_running(home)
        with self.client() as client:
            self.project = client.create_project(name="own").project.id
            self.main = client.default_branch(self.project).id

    def begin(self) -> None:
        self.restart()
        with self.client() as client:
            for branch in client.branches(self.project):
                if not branch.default:
                    client.delete_branch(self.project, branch.id)
            created = client.create_branch(self.project, name="sleeper", parent_id=self.main)
            self.sleeper, self.endpoint = created.branch.id, created.endpoints[0].id
            self.uri = client.connection_uri(
                self.project, branch_id=self.sleeper, database="neondb", role="neondb_owner"
            )
        self.data = self.home / "branches" / self.sleeper / "data"

    def client(self) -> NeonClient:
        return NeonClient(api_key=self.server.api_key, base_url=self.server.base_url)

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.uri.reveal(), autocommit=True, connect_timeout=30)

    def suspend(self) -> None:
        with self.client() as client:
            client.suspend_endpoint(self.project, self.endpoint)

    def restart(self) -> Running:
        self.server = ensure_running(self.home)
        return self.server


@pytest.fixture(scope="module")
def own() -> Iterator[Own]:
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    folder.chmod(0o755)
    yield Own(folder / "home")
    stop(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture
def made(own: Own) -> Own:
    """The server, running, with a fresh branch."""
    own.begin()
    return own


def test_connections_that_woke_it_outlive_the_server(made: Own) -> None:
    made.suspend()
    with made.connect() as first, made.connect() as second:
        kill(made.server.pid)
        for connection in (first, second):
            assert connection.execute("select 1").fetchone() == (1,)
        with made.connect() as third:  # awake computes are reached without any server
            assert third.execute("select 1").fetchone() == (1,)
        before = running(made.data)
        made.restart()
        assert running(made.data) == before
        for connection in (first, second):
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_sleeper_is_on_call_again_after_a_restart(made: Own) -> None:
    made.suspend()
    kill(made.server.pid)
    made.restart()
    assert running(made.data) is None
    with made.connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def binds(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_a_port_that_was_taken_while_no_server_kept_it(made: Own) -> None:
    made.suspend()
    kill(made.server.pid)
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until("the killed server's socket is gone", lambda: binds(intruder, made.uri.port))
        intruder.listen()
        made.restart()
        with made.client() as client:
            moved = client.connection_uri(
                made.project, branch_id=made.sleeper, database="neondb", role="neondb_owner"
            )
        assert moved.port != made.uri.port
        psycopg.connect(moved.reveal()).close()


@pytest.mark.parametrize("delay", [0.0, 0.015, 0.04])
def test_the_server_is_killed_while_it_wakes(made: Own, delay: float) -> None:
    """The client that waits is cut off; whatever was reached, the next server makes it right."""
    made.suspend()
    [waiting] = [pq.PGconn.connect_start(made.uri.reveal().encode())]
    time.sleep(delay)  # where the kill falls, not a synchronisation: every outcome is right
    kill(made.server.pid)
    waiting.finish()
    made.restart()
    with made.connect() as connection, made.connect() as other:
        assert connection.execute("select 1").fetchone() == other.execute("select 1").fetchone() == (1,)
    with made.client() as client:
        assert client.endpoints(made.project, made.sleeper)[0].current_state == "active"
        client.delete_branch(made.project, made.sleeper)
    assert not made.data.parent.exists()


def test_the_postmaster_is_killed_while_it_wakes(made: Own) -> None:
    made.suspend()
    waiting = pq.PGconn.connect_start(made.uri.reveal().encode())
    until("a postmaster", lambda: running(made.data) is not None)
    pid = running(made.data)
    assert pid is not None
    kill(pid)
    waiting.finish()
    with made.client() as client:
        client.start_endpoint(made.project, made.endpoint)

    def answers() -> bool:
        try:
            with made.connect() as connection:
                return connection.execute("select 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False  # in the moment in which PostgreSQL takes the port over (decision 0010)

    until("an answer", answers)


def test_what_a_dead_server_started_for_a_moment_is_ended(made: Own) -> None:
    """Postmasters on other ports than their endpoints', or of branches without one: nobody wants them."""
    made.suspend()
    with made.client() as client:
        bare = client.create_branch(made.project, name="bare", parent_id=made.main)
        client.delete_endpoint(made.project, bare.endpoints[0].id)
    kill(made.server.pid)
    orphans = []
    for branch_id in (made.sleeper, bare.branch.id):
        place = Home.at(made.home)
        postmaster = Postmaster(
            directory=place.branch_dir(branch_id),
            binaries=find_binaries(16, place.root),
            account=place.account,
            run_dir=place.run_dir,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        postmaster.start(port=port, addresses=("127.0.0.1",), durable=False)
        orphans.append(postmaster)
    assert all(each.pid() for each in orphans)
    made.restart()
    assert [each.pid() for each in orphans] == [None, None]
    with made.connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_killed_postmaster_is_on_call(made: Own) -> None:
    with made.connect() as connection:
        connection.execute("create table t as select 1 as n")
    pid = running(made.data)
    assert pid is not None
    kill(pid)
    made.restart()  # heals at once; without it, a second later
    with made.connect() as connection:
        assert connection.execute("select n from t").fetchone() == (1,)


def test_a_reboot_loses_nothing(made: Own) -> None:
    """All processes gone at once, pid files left with numbers that others have now."""
    with made.connect() as connection:
        connection.execute("create table t as select 1 as n")
    main = made.home / "branches" / made.main / "data"
    pids = [made.server.pid, running(made.data), running(main)]
    for pid in pids:
        assert pid is not None
        kill(pid)
    for data in (made.data, main):
        lines = (data / "postmaster.pid").read_text().splitlines()
        (data / "postmaster.pid").write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    (made.home / "server.lock").write_text(str(os.getppid()))
    for left in (made.home / "run").iterdir():
        left.unlink()
    (made.home / "run").rmdir()
    made.restart()
    assert running(main) is not None  # production's stand-in is awake
    with made.connect() as connection:  # others come when they are called
        assert connection.execute("select n from t").fetchone() == (1,)
    assert alive(os.getppid())
    stop(made.home)
    assert running(main) is running(made.data) is None
