"""Names for previews, as a person uses them: `preview gateway`, sleep, the first request, a restart, a share link."""

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from neon_client import NeonClient
from preview.caddy import Caddy
from preview.docker import DockerRuntime
from preview.ports import free_ports
from tests.acceptance.shop import RENAME, Shop, end, processes_running


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param == "docker" and DockerRuntime().available() is not None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Docker engine answers")
        pytest.skip("no Docker engine answers")
    return str(request.param)


@contextmanager
def running_gateway(shop: Shop, *, ends_by: signal.Signals) -> Iterator["subprocess.Popen[str]"]:
    """`preview gateway`, ready; ended by this signal."""
    process = subprocess.Popen(
        shop.command("gateway"),
        cwd=shop.folder,
        env=shop.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("http://NAME.localhost:"), said + (
            process.stderr.read() if process.stderr else ""
        )
        yield process
    finally:
        process.send_signal(ends_by)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors, errors


def ask(port: int, name: str, path: str = "/", **headers: str) -> httpx.Response:
    return httpx.get(
        f"http://127.0.0.1:{port}{path}",
        headers={"Host": f"{name}.localhost:{port}", **headers},
        trust_env=False,
        timeout=60,
    )


def sidecar_of(shop: Shop, up: dict[str, Any]) -> list[int]:
    return processes_running(f"preview.sidecar\0{shop.home}/sides/preview-pr-1-{up['id']}")


def test_a_preview_has_a_name_sleeps_and_wakes_on_the_first_request(
    make_shop: Callable[..., Shop], runtime: str
) -> None:
    shop = make_shop(orders=100, runtime=runtime)
    port = next(free_ports(f"acceptance-{uuid.uuid4().hex}"))
    shop.settings(lambda text: f"{text}\n[gateway]\nenabled = true\nport = {port}\n")
    caddy = Caddy(shop.home / "gateway" / "caddy")
    up = shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    assert up["public_url"] == f"http://pr-1.localhost:{port}"
    assert up["url"].startswith("http://127.0.0.1:")
    assert shop.processes(up["public_url"]) or runtime == "docker"

    try:
        with running_gateway(shop, ends_by=signal.SIGKILL):
            assert "pr-1" in ask(port, "pr-1").text
            assert ask(port, "other").status_code == 404
            # A second gate is told about the first.
            assert "a gate runs already" in shop.preview("gateway", expect=1).stderr

        # Killed: the next one finds Caddy as it was.
        before = caddy.config()
        assert caddy.runs()
        with running_gateway(shop, ends_by=signal.SIGTERM):
            assert caddy.config() == before
            assert shop.preview("sleep", "pr-1").stdout == "pr-1 sleeps\n"
            with pytest.raises(httpx.TransportError):
                httpx.get(up["url"], trust_env=False)
            assert shop.json("list")[0]["sleeping_since"]
            assert "ready, asleep" in shop.preview("list").stdout
            # As after a restart of the machine: what stands beside it is gone, too.
            sidecar = sidecar_of(shop, up)
            assert sidecar
            end(sidecar)
            with ThreadPoolExecutor(20) as pool:
                answers = list(pool.map(lambda _: ask(port, "pr-1"), range(20)))
            assert {answer.status_code for answer in answers} == {200}
            events = [event["kind"] for event in shop.json("history", "pr-1")]
            assert (events.count("asleep"), events.count("awake")) == (1, 1)
            woken = shop.json("show", "pr-1")
            assert (woken["state"], woken["sleeping_since"], woken["url"]) == ("ready", None, up["url"])
            assert httpx.get(up["url"], trust_env=False).status_code == 200
            # Awake, only what stands beside it is brought back.
            end(sidecar_of(shop, up))
            assert "started its sidecar again" in shop.preview("reconcile", "pr-1").stdout
            assert sidecar_of(shop, up)
            assert ask(port, "pr-1").status_code == 200
            assert shop.json("show", "pr-1")["url"] == up["url"]
        assert caddy.runs()

        # `up` and `wake` without a gateway.
        shop.preview("sleep", "pr-1")
        assert shop.preview("wake", "pr-1").stdout.strip() == up["url"]
        shop.preview("sleep", "pr-1")
        assert shop.preview("up", "pr-1").stdout.strip() == up["url"]
        assert not shop.json("show", "pr-1")["sleeping_since"]
        shop.preview("sleep", "pr-1")

        with running_gateway(shop, ends_by=signal.SIGINT):
            pass
        assert not caddy.runs()
        assert shop.preview("gateway", "--stop").stdout == "no gateway runs\n"
    finally:
        caddy.remove()

    # Discarded in its sleep, nothing is left.
    gone = shop.json("discard", "pr-1")
    assert shop.leftovers({**gone, "url": up["public_url"]}) == []


def test_share_links_are_made_listed_and_revoked(make_shop: Callable[..., Shop], neon: NeonClient) -> None:
    shop = make_shop(orders=10)
    assert "no preview 'pr-1'" in shop.preview("share", "pr-1", expect=2).stderr
    shop.preview("up", "pr-1", expect=3)
    assert "not enabled" in shop.preview("share", "pr-1", expect=2).stderr
    shop.settings(lambda text: f'{text}\n[gateway]\nenabled = true\ndomain = "preview.example.com"\n')
    for wrong in ("0d", "91d", "13w", "soon", "-1d"):
        assert shop.preview("share", "pr-1", f"--for={wrong}", expect=2)
    made = shop.json("share", "pr-1", "--for", "12h", "--note", "Grace")
    assert made["url"].startswith(f"https://pr-1.preview.example.com/.preview/share/share_{made['id']}_")
    listed = shop.preview("share", "pr-1", "--list").stdout
    assert listed.startswith(f"{made['id']}  good")
    assert made["url"].rpartition("_")[2] not in listed
    assert shop.preview("share", "pr-1", "--revoke", made["id"]).stdout == f"revoked {made['id']}\n"
    assert shop.json("share", "pr-1", "--list")[0]["state"] == "revoked"
    assert "no link" in shop.preview("share", "pr-1", "--revoke", "nonsense", expect=2).stderr
    config = json.loads(shop.preview("gateway", "--show-config").stdout)
    assert config["admin"] == {"disabled": True}
    assert config["apps"]["http"]["servers"]["gateway"]["listen"] == [":443"]
