"""The background server: started once, found again, killed, healed, stopped; nothing is left."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from neon_client import NeonClient
from neon_embedded import HomeUnusable, Running, ensure_running, status, stop
from neon_embedded.processes import alive, running

from .conftest import standing

START = """
import sys
from pathlib import Path
from neon_embedded import ensure_running
print(ensure_running(Path(sys.argv[1])).pid)
"""


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while alive(pid):
        pass


def client_of(server: Running) -> NeonClient:
    return NeonClient(api_key=server.api_key, base_url=server.base_url)


def test_two_at_once_start_one_and_it_survives_them(home: Path) -> None:
    callers = [
        subprocess.Popen([sys.executable, "-c", START, home], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [caller.communicate(timeout=120)[0] for caller in callers]
    assert answers[0] == answers[1] != ""
    server = ensure_running(home)
    assert server.pid == int(answers[0])
    assert server.api_key.reveal() not in repr(server)


def test_files_are_private_and_the_key_is_asked_for(home: Path) -> None:
    server = ensure_running(home)
    for name in ("api-key", "neon.sqlite3", "server.json", "server.log", "server.out"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": server.api_key.reveal()}):
        answer = httpx.get(server.base_url + "/projects", headers=headers)
        assert answer.status_code == 401
        assert set(answer.json()) == {"request_id", "code", "message"}
    assert server.base_url.startswith("http://127.0.0.1:")


def test_killed_and_found_again(home: Path) -> None:
    """kill -9 of server, then of a postmaster, then of both: the data stays, what runs is adopted."""
    server = ensure_running(home)
    with client_of(server) as client:
        made = client.create_project(name="shop")
        sleeper = client.create_branch(made.project.id, name="sleeper", parent_id=made.branch.id)
        client.suspend_endpoint(made.project.id, sleeper.endpoints[0].id)
    uri = made.connection_uris[0].reveal()
    data = home / "branches" / made.branch.id / "data"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("create table t as select 1 as n")
        postmaster = running(data)
        kill(server.pid)
        assert connection.execute("select n from t").fetchone() == (1,)
        again = ensure_running(home)
        assert (again.base_url, again.api_key) == (server.base_url, server.api_key)
        assert again.pid != server.pid
        assert running(data) == postmaster  # adopted
        assert connection.execute("select n from t").fetchone() == (1,)
    assert postmaster is not None
    kill(postmaster)
    assert ensure_running(home) == again
    with psycopg.connect(uri) as connection:
        assert connection.execute("select n from t").fetchone() == (1,)
    postmaster = running(data)
    assert postmaster is not None
    kill(again.pid)
    kill(postmaster)
    third = ensure_running(home)
    with psycopg.connect(uri) as connection:
        assert connection.execute("select n from t").fetchone() == (1,)
    assert running(home / "branches" / sleeper.branch.id / "data") is None
    with client_of(third) as client:
        assert client.endpoints(made.project.id, sleeper.branch.id)[0].current_state == "idle"
    # Stopped after a kill: the postmasters that the server left behind end too.
    kill(third.pid)
    stop(home)
    assert running(data) is None
    assert status(home).running is None


def test_killed_in_the_middle_of_a_creation(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEON_EMBEDDED_FAULTS", "1")
    server = ensure_running(home)
    with client_of(server) as client:
        made = client.create_project(name="shop")
    headers = {"Authorization": f"Bearer {server.api_key.reveal()}"}
    with (
        httpx.Client(base_url=server.base_url, headers=headers) as http,
        standing(home / "branches" / made.branch.id),  # who copies it waits
    ):
        http.post("embedded/faults", json={"slow_operation": 1}).raise_for_status()
        answer = http.post(
            f"projects/{made.project.id}/branches",
            json={"branch": {"name": "half"}, "endpoints": [{"type": "read_write"}]},
        ).json()
        kill(server.pid)
    stranger = home / "branches" / "br-of-nobody-12345678"
    stranger.mkdir()
    with client_of(ensure_running(home)) as client:
        assert [branch.name for branch in client.branches(made.project.id)] == ["main"]
        assert [each.name for each in (home / "branches").iterdir()] == [made.branch.id]
        seen = {operation.id: operation.status for operation in client.operations(made.project.id)}
        assert {seen[operation["id"]] for operation in answer["operations"]} == {"failed"}
        client.create_branch(made.project.id, name="half", parent_id=made.branch.id)


def test_stop_and_start_keep_everything(home: Path) -> None:
    server = ensure_running(home)
    with client_of(server) as client:
        made = client.create_project(name="shop", pg_version=18, branch_name="prod", database_name="shop")
    assert made.branch.name == "prod"
    uri = made.connection_uris[0].reveal()
    with psycopg.connect(uri, autocommit=True) as connection:
        assert connection.info.server_version >= 180000
        connection.execute("create table t as select 1 as n")
    stop(home)
    assert running(home / "branches" / made.branch.id / "data") is None
    assert not (home / "run").exists()
    stop(home)
    again = ensure_running(home)
    assert again.base_url == server.base_url
    with psycopg.connect(uri) as connection:
        assert connection.execute("select n from t").fetchone() == (1,)
    [project] = status(home).projects
    assert (project["name"], project["branches"][0]["name"]) == ("shop", "prod")


def test_looking_makes_nothing(home: Path) -> None:
    assert status(home).running is None
    stop(home)
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
def test_a_home_that_postgres_cannot_enter(home: Path) -> None:
    inner = home / "inner"
    home.mkdir(mode=0o700)
    with pytest.raises(HomeUnusable, match=f"{home} cannot be entered by user") as caught:
        ensure_running(inner)
    assert "PREVIEW_HOME" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 60 + "/" + "y" * 60, "a home, 'with' \"quotes\" %s ü"])
def test_an_awkward_home_has_a_short_run_directory(home: Path, name: str) -> None:
    deep = home / name
    try:
        with client_of(ensure_running(deep)) as client:
            made = client.create_project(name="deep")
            assert (
                client.create_branch(made.project.id, name="b", parent_id=made.branch.id).branch.name == "b"
            )
        directories = {
            Path((each / "data" / "postmaster.pid").read_text().splitlines()[4])
            for each in (deep / "branches").iterdir()
        }
        (directory,) = directories
        assert directory.parent == Path("/tmp")
    finally:
        stop(deep)
    assert not directory.exists()  # others of this machine have theirs beside it


def test_the_command(home: Path) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "neon_embedded", *arguments, "--home", str(home)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert run("status").returncode == 1
    started = run("start")
    assert started.returncode == 0
    assert started.stdout.startswith("http://127.0.0.1:")
    key = (home / "api-key").read_text().strip()
    assert key not in started.stdout + started.stderr
    shown = run("status", "--json")
    assert shown.returncode == 0
    assert started.stdout.strip() in shown.stdout
    refused = run("serve")
    assert refused.returncode == 1
    assert "another embedded Neon server runs" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run("stop").returncode == 0
    assert run("stop").returncode == 0
    assert run("status").stdout.startswith("not running")


def test_a_deleted_home_ends_its_server_and_another_can_begin(home: Path) -> None:
    """Nobody could find the old one again: it must not run on beside the next."""
    first = ensure_running(home)
    with client_of(first) as neon:
        neon.create_project(name="shop", database_name="shop", role_name="shop_owner")
    shutil.rmtree(home, ignore_errors=True)
    while alive(first.pid):
        pass
    shutil.rmtree(home, ignore_errors=True)

    second = ensure_running(home)

    assert second.pid != first.pid
    with client_of(second) as neon:
        assert neon.projects() == ()
