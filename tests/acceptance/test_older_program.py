"""A server and a worker of an earlier version on one store with those of this one: both go on, none does harm."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.database import connect
from orchestrator.lifecycle import State
from tests.acceptance.crew import Crew, postgres
from tests.acceptance.shop import Shop
from tests.acceptance.test_many_servers import asking, followed

#: Of 2026-11-28, with a store two versions older; the next release takes this one's place.
EARLIER = "70310f0"
PACKAGES = ("orchestrator", "preview", "neon_client", "neon_embedded")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The packages of the earlier version, as the history has them."""
    packed = subprocess.run(
        ["git", "-C", REPOSITORY, "archive", EARLIER, *PACKAGES], capture_output=True, check=False
    )
    if packed.returncode:
        pytest.skip(f"the history here does not go back to {EARLIER}: {packed.stderr.decode().strip()}")
    folder = tmp_path / "earlier"
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return folder


@dataclass
class Old:
    """Commands of the earlier version on a shop."""

    shop: Shop
    code: Path
    log: Path

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        env = self.shop.env(PYTHONPATH=str(self.code))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.shop.command(*words), cwd=self.shop.folder, env=env, stdout=log, stderr=log
            )

    @contextmanager
    def running(self, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
        process = self.start(*words)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def said(self, *words: str) -> str:
        env = self.shop.env(PYTHONPATH=str(self.code))
        return subprocess.run(
            self.shop.command(*words),
            cwd=self.shop.folder,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def assert_it_is_that_one(self) -> None:
        said = subprocess.run(
            [sys.executable, "-c", "import orchestrator; print(orchestrator.__file__)"],
            cwd=self.shop.folder,
            env=self.shop.env(PYTHONPATH=str(self.code)),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert said.stdout.startswith(str(self.code))


@pytest.mark.prove
def test_an_earlier_version_goes_on_beside_this_one(
    make_small_shop: Callable[..., Shop], enterable: Path, earlier: Path, tmp_path: Path
) -> None:
    shop = make_small_shop(more="[server]\nlocal_processes = true\n")
    old = Old(shop, earlier, tmp_path / "old.log")
    old.assert_it_is_that_one()
    with postgres(enterable / f"store-of-{shop.name}") as uri:
        shop.environment["PREVIEW_STORE_URL"] = uri
        crew = Crew(shop, uri)
        port = 18600 + os.getpid() % 1000
        crew.ports["old"] = port
        try:
            with old.running("serve", "--port", str(port), "--workers", "1") as server:
                while not crew.answers("old"):
                    assert server.poll() is None, old.log.read_text()
                token = old.said("token", "create", "--local", "--role", "admin", "ada").strip()
                with asking(crew, "old", token) as before:
                    done(before, "pr-1", "up")
                    version = _version(crew)
                    crew.serve("serve")
                    while not crew.answers("serve"):
                        assert crew.runs("serve"), crew.logs()
                    crew.work("worker")
                    assert _version(crew) > version, "this version has brought the store up to date"
                    with asking(crew, "serve", token) as now, old.running("worker", "--jobs", "2"):
                        for name, client in (
                            ("pr-2", before),
                            ("pr-3", now),
                            ("pr-4", before),
                            ("pr-5", now),
                        ):
                            done(client, name, "up")
                        done(now, "pr-1", "promote")
                        done(before, "pr-2", "discard")
                        done(now, "pr-3", "discard")
                        _both_say_the_same(before, now)
                        crew.kill("worker")  # the earlier one alone works now, on this one's store
                        done(now, "pr-6", "up")
                        done(before, "pr-4", "discard")
            live = {row.name: row.state for row in crew.rows() if row.state is not State.CLOSED}
            assert live == {"pr-5": State.READY, "pr-6": State.READY}
            assert all(job.error is None for job in crew.jobs())
        finally:
            del shop.environment["PREVIEW_STORE_URL"]
            crew.end()
    assert "Traceback" not in old.log.read_text()


def done(client: httpx.Client, name: str, act: str) -> None:
    job: dict[str, Any] = client.post(f"/api/v1/previews/{name}/{act}", json={}).raise_for_status().json()
    ended = followed(client, job["id"])[0]
    assert ended["state"] == "done", ended


def _version(crew: Crew) -> int:
    with connect(crew.uri, purpose="test") as connection:
        row = connection.execute("select version from preview_control.version").fetchone()
    assert row is not None
    return int(row[0])


def _both_say_the_same(one: httpx.Client, other: httpx.Client) -> None:
    first, second = (client.get("/api/v1/previews").json() for client in (one, other))
    names = [[(each["name"], each["state"], each["url"]) for each in listed] for listed in (first, second)]
    assert names[0] == names[1]
