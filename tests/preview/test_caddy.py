"""One Caddy in its folder: started once, found again, given configs without a cut, ended. Real processes."""

import http.client
import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from preview.caddy import Caddy, CaddyMissing, CaddyRefused, find_caddy
from preview.errors import LaunchFailed, PortInUse
from preview.ports import free_ports
from preview.supervise import birth


@pytest.fixture
def port() -> int:
    return next(free_ports(f"caddy-{os.getpid()}-{threading.get_ident()}"))


@pytest.fixture
def caddy(enterable, request):
    made = Caddy(enterable / f"caddy-{os.getpid()}-{abs(hash(request.node.name)) % 10**6}")
    yield made
    made.remove()
    assert not made.folder.exists()


def saying(port: int, text: str) -> dict:
    route = {"handle": [{"handler": "static_response", "body": text}]}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [route],
    }
    return {"apps": {"http": {"servers": {"only": server}}}}


def said(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def process(caddy: Caddy) -> list:
    return json.loads((caddy.folder / "running.json").read_text())["app"]


def test_it_is_started_once_takes_a_new_config_and_ends(caddy, port):
    assert not caddy.runs()
    assert caddy.config() is None
    assert caddy.ensure(saying(port, "one"))
    first = process(caddy)
    assert said(port) == "one"
    assert not caddy.ensure(saying(port, "one"))
    assert not caddy.ensure(saying(port, "two"))
    assert (said(port), process(caddy)) == ("two", first)
    caddy.stop()
    caddy.stop()
    assert birth(first[0]) != first[1]
    assert caddy.config()["apps"] == saying(port, "two")["apps"]


def test_another_object_of_the_folder_finds_it(caddy, port):
    caddy.ensure(saying(port, "one"))
    other = Caddy(caddy.folder)
    assert other.runs()
    other.stop()
    assert not caddy.runs()


def test_after_a_kill_it_is_started_again(caddy, port):
    caddy.ensure(saying(port, "one"))
    killed = process(caddy)
    os.kill(killed[0], signal.SIGKILL)
    while caddy.runs():
        pass
    assert caddy.ensure(saying(port, "one"))
    assert said(port) == "one"
    assert process(caddy) != killed


def test_eight_at_once_start_one(caddy, port):
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: Caddy(caddy.folder).ensure(saying(port, "one")), range(8)))
    assert started.count(True) == 1
    assert said(port) == "one"


def test_a_config_that_it_refuses_changes_nothing(caddy, port):
    caddy.ensure(saying(port, "one"))
    broken = saying(port, "two")
    broken["apps"]["http"]["servers"]["only"]["routes"][0]["handle"][0]["handler"] = "nonsense"
    with pytest.raises(CaddyRefused, match="nonsense"):
        caddy.ensure(broken)
    assert said(port) == "one"
    assert caddy.config()["apps"] == saying(port, "one")["apps"]
    assert not caddy.ensure(saying(port, "three"))
    assert said(port) == "three"


def test_it_does_not_start_with_a_config_that_it_refuses(caddy):
    with pytest.raises(CaddyRefused, match="nonsense"):
        caddy.ensure({"apps": {"nonsense": {}}})
    assert not caddy.runs()


def test_a_port_in_use_is_named(caddy, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(PortInUse, match=f"127.0.0.1:{port}"):
            caddy.ensure(saying(port, "one"))
    assert not caddy.runs()
    assert caddy.ensure(saying(port, "one"))


def test_a_binary_that_cannot_be_run_is_named(enterable, port):
    caddy = Caddy(enterable / "no-caddy", Path("/nonexistent/caddy"))
    with pytest.raises(CaddyRefused, match="No such file or directory"):
        caddy.ensure(saying(port, "one"))
    caddy.remove()


def test_without_a_caddy_both_ways_to_get_it_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(CaddyMissing) as caught:
        find_caddy()
    assert "caddyserver.com" in caught.value.hint
    assert "[gateway]" in caught.value.hint


def test_a_folder_that_is_too_deep_for_a_socket_is_refused(tmp_path):
    with pytest.raises(LaunchFailed, match="too long"):
        Caddy(tmp_path / ("deep" * 30)).ensure({})


def test_its_admin_socket_is_for_this_user_only_and_nothing_is_kept_elsewhere(caddy, port):
    caddy.ensure(saying(port, "one"))
    assert caddy.folder.stat().st_mode & 0o077 == 0
    assert (caddy.folder / "admin.sock").is_socket()
    environment = Path(f"/proc/{process(caddy)[0]}/environ").read_text().split("\0")
    assert f"HOME={caddy.folder}/home" in environment
