"""The commands by a team's server: the same words, output and exit codes; production stays out of reach."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.acceptance.shop import ALLOW_FAX, RENAME, Shop

ANSWER = f"{RENAME}=name"


@dataclass
class Server:
    """`preview serve` on a shop, and people who use it."""

    shop: Shop
    port: int
    processes: "list[subprocess.Popen[str]]" = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *words: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            self.shop.command(*words),
            cwd=self.shop.folder,
            env=self.shop.env(),
            stdout=subprocess.PIPE,
            stderr=(self.shop.folder.parent / f"server-{len(self.processes)}.log").open("w"),
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def token(self, role: str, who: str) -> str:
        made = self.shop.preview("token", "create", "--local", "--role", role, who)
        return made.stdout.strip()

    def by(self, token: str, folder: Path) -> Shop:
        """Somebody elsewhere: their own folder and home, the token, and neither store nor key."""
        away = Shop(home=folder.parent / "nobody", folder=folder, name=self.shop.name, neon=self.shop.neon)
        away.environment = {"PREVIEW_SERVER": self.url, "PREVIEW_TOKEN": token}
        return away


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(shop: Shop, *, workers: int = 2) -> Iterator[Server]:
    shop.settings(
        lambda text: f"{text}\n[server]\nlocal_processes = true\n[access]\nauthor_may_approve = false\n"
    )
    server = Server(shop=shop, port=free_port())
    server.start("serve", "--port", str(server.port), "--workers", str(workers))
    try:
        yield server
    finally:
        for process in server.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in server.processes:
            process.wait(timeout=60)


@pytest.fixture
def server(shop: Shop) -> Iterator[Server]:
    with serving(shop) as made:
        yield made


def copy_of(shop: Shop, folder: Path) -> Path:
    """A developer's checkout: the app and a preview.toml that says something else about everything."""
    subprocess.run(["cp", "-r", str(shop.folder), str(folder)], check=True)
    text = (folder / "preview.toml").read_text()
    text = text.replace("author_may_approve = false", "author_may_approve = true")
    (folder / "preview.toml").write_text(text.replace(f'name = "{shop.name}"', 'name = "another"'))
    return folder


def test_a_team_brings_up_approves_promotes_and_nobody_reaches_production(
    server: Server, tmp_path: Path
) -> None:
    shop = server.shop
    folder = copy_of(shop, tmp_path / "checkout")
    (folder / "v2" / "mine.py").write_text("# sent by ada")
    ada, bob = (
        server.by(server.token(*each), folder) for each in (("developer", "ada"), ("approver", "bob"))
    )

    asked = ada.preview("up", "pr-1", expect=3)
    assert RENAME in asked.stderr
    up = ada.preview("up", "pr-1", "--answer", ANSWER)
    assert [line.split()[0] for line in up.stderr.splitlines()[1:4]] == ["migrate", "launch", "check"]
    url = up.stdout.strip()
    assert httpx.get(f"{url}/healthz").status_code == 200
    shown = ada.json("show", "pr-1")
    assert shown["created_by"] == "ada"
    assert ada.json("list")[0]["name"] == "pr-1"
    sources = next((shop.home / "sources").glob("*/mine.py"))
    assert sources.read_text() == "# sent by ada"

    for command, code in (("approve", 4), ("promote", 4)):
        said = ada.preview(command, "pr-1", "--allow", ALLOW_FAX, expect=code)
        assert "approver" in said.stderr
    assert "server's own machine" in ada.preview("psql", "--main", expect=2).stderr
    main = shop.uri()
    password = main.split(":")[2].split("@")[0]
    key = (shop.home / "api-key").read_text().strip() if (shop.home / "api-key").exists() else "no-such-key"
    for words in (("show", "pr-1", "--json"), ("report", "pr-1", "--html"), ("logs", "pr-1"), ("history",)):
        said = ada.preview(*words)
        assert password not in said.stdout + said.stderr
        assert key not in said.stdout + said.stderr

    before = shop.columns(main, "customers")
    assert "full_name" not in before
    bob.preview("approve", "pr-1", "--allow", ALLOW_FAX)
    promoted = bob.preview("promote", "pr-1")
    assert promoted.stdout.startswith("promoted pr-1: ")
    assert "full_name" in shop.columns(main, "customers")
    assert ada.json("list") == []
    assert {"ada", "bob"} <= {each["who"] for each in ada.json("history", "pr-1")}
    assert shop.leftovers(shown) == []
    audit = server.by(server.token("admin", "root"), folder)
    seen = httpx.get(
        f"{server.url}/api/v1/audit",
        headers={"authorization": f"Bearer {audit.environment['PREVIEW_TOKEN']}"},
    ).json()
    refused = {
        (each["who"], each["object"] or each["action"]) for each in seen if each["outcome"] == "refused"
    }
    assert ("ada", "POST /api/v1/previews/pr-1/promote") in refused


@pytest.mark.prove
def test_a_worker_that_is_killed_leaves_its_job_to_another(server: Server, tmp_path: Path) -> None:
    folder = copy_of(server.shop, tmp_path / "checkout")
    ada = server.by(server.token("developer", "ada"), folder)
    second = server.start("worker", "--jobs", "2")
    going = subprocess.Popen(
        ada.command("up", "pr-2", "--answer", ANSWER, "--json"),
        cwd=ada.folder,
        env=ada.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    token = ada.environment["PREVIEW_TOKEN"]
    until = time.monotonic() + 60
    killed = False
    while time.monotonic() < until and not killed:
        jobs = httpx.get(f"{server.url}/api/v1/jobs", headers={"authorization": f"Bearer {token}"}).json()
        if jobs and jobs[0]["state"] == "running":
            os.kill(second.pid, signal.SIGKILL)
            server.processes[0].send_signal(signal.SIGKILL)
            server.processes[0].wait()
            killed = True
    assert killed
    server.start("serve", "--port", str(server.port), "--workers", "2")
    out, err = going.communicate(timeout=180)
    assert going.returncode == 0, err
    value = json.loads(out)
    assert value["state"] == "ready"
    branches = [each.name for each in server.shop.neon.branches(server.shop.project_id)]
    assert len([name for name in branches if name.startswith("preview/pr-2")]) == 1
    ada.preview("discard", "pr-2")
    assert server.shop.leftovers(value) == []
