"""The commands by a team's server: the same words, output and exit codes; production stays out of reach."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from neon_embedded import ensure_running
from tests.acceptance.shop import ALLOW_FAX, RENAME, Shop, end

ANSWER = f"{RENAME}=name"


@dataclass
class Server:
    """`preview serve` on a shop, and people who use it."""

    shop: Shop
    port: int = 0
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
        said = process.stdout.readline()
        assert said
        if words[0] == "serve":  # which chose its port by itself, the first time
            self.port = int(said.strip().rpartition(":")[2])
        return process

    def token(self, role: str, who: str) -> str:
        made = self.shop.preview("token", "create", "--local", "--role", role, who)
        return made.stdout.strip()

    def by(self, token: str, folder: Path) -> Shop:
        """Somebody elsewhere: their own folder and home, the token, and neither store nor key."""
        away = Shop(home=folder.parent / "nobody", folder=folder, name=self.shop.name, neon=self.shop.neon)
        away.environment = {"PREVIEW_SERVER": self.url, "PREVIEW_TOKEN": token}
        return away


@contextmanager
def serving(shop: Shop, *, workers: int = 2) -> Iterator[Server]:
    shop.settings(
        lambda text: f"{text}\n[server]\nlocal_processes = true\n[access]\nauthor_may_approve = false\n"
    )
    server = Server(shop=shop)
    server.start("serve", "--port", "0", "--workers", str(workers))
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


def secrets_of(shop: Shop) -> list[str]:
    """What a developer must never see: production's password, the store's, the key of the Neon API."""
    store = next(each for each in shop.neon.projects() if each.name == "preview-store")
    branch = shop.neon.default_branch(store.id)
    uri = shop.neon.connection_uri(store.id, branch_id=branch.id, database="preview", role="preview_owner")
    passwords = [urlsplit(each).password or "" for each in (shop.uri(), uri.reveal())]
    return [*passwords, ensure_running(shop.home).api_key.reveal()]


def asks(
    server: Server, who: Shop, method: str, path: str, body: "dict[str, object] | None" = None
) -> httpx.Response:
    shown = {"authorization": f"Bearer {who.environment['PREVIEW_TOKEN']}"}
    return httpx.request(method, f"{server.url}/api/v1/{path}", headers=shown, json=body, timeout=60)


def everything_that_can_be_read(server: Server, who: Shop, name: str) -> dict[str, str]:
    """Every answer of every GET route that somebody's token gets, what is refused included."""
    jobs = asks(server, who, "GET", "jobs").json()
    paths = httpx.get(f"{server.url}/api/v1/openapi.json").json()["paths"]
    filled = {
        "name": name,
        "job_id": jobs[0]["id"],
        "digest": "0" * 64,
        "preview_id": "0" * 8,
        "mail_id": "1",
    }
    answers = {}
    for path in (each for each, verbs in paths.items() if "get" in verbs and each.startswith("/api/v1/")):
        for part in re.findall(r"\{(\w+)\}", path):
            filled.setdefault(part, "0" * 8)
        answer = asks(server, who, "GET", path.removeprefix("/api/v1/").format(**filled))
        assert answer.status_code != 500, (path, answer.text)  # 502: what it asks for is not there any more
        answers[path] = answer.text
    for job in jobs:
        answers[job["id"]] = asks(server, who, "GET", f"jobs/{job['id']}?row=true").text
    return answers


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
    secrets = secrets_of(shop)
    for words in (("show", "pr-1", "--json"), ("report", "pr-1", "--html"), ("logs", "pr-1"), ("history",)):
        said = ada.preview(*words)
        assert not [each for each in secrets if each in said.stdout + said.stderr], words
    answers = everything_that_can_be_read(server, ada, "pr-1")
    assert not [path for path, text in answers.items() for each in secrets if each in text]
    for path in ("previews/pr-1/promote", "previews/pr-1/approve", "project/sweep", "tokens"):
        assert asks(server, ada, "POST", path, {}).status_code in (403, 422), path

    root = server.by(server.token("admin", "root"), folder)
    assert (
        ada.json("reconcile")
        == shop.json("reconcile")
        == [{"name": "pr-1", "done": [], "cannot": [], "left": []}]
    )
    assert ada.preview("reconcile", "pr-1").stderr == shop.preview("reconcile", "pr-1").stderr
    by_server, here = root.json("sweep"), shop.json("sweep")
    assert by_server.keys() == here.keys()
    # What is others' on the engine may change between the two looks.
    assert {**by_server, "strangers": None} == {**here, "strangers": None}
    assert "admin" in ada.preview("sweep", expect=4).stderr
    assert ada.json("mail", "pr-1") == []
    end(shop.processes(url))
    assert "started the app again" in ada.json("reconcile", "pr-1")[0]["done"][-1]
    assert httpx.get(f"{ada.json('show', 'pr-1')['url']}/healthz").status_code == 200
    found = {each["subject"]: each["status"] for each in root.json("doctor", "--server", expect=None)}
    assert (found["server"], found["token"], found["workers"]) == ("ok", "ok", "ok")

    before = shop.columns(main, "customers")
    assert "full_name" not in before
    bob.preview("approve", "pr-1", "--allow", ALLOW_FAX)
    promoted = bob.preview("promote", "pr-1")
    assert promoted.stdout.startswith("promoted pr-1: ")
    assert "full_name" in shop.columns(main, "customers")
    assert ada.json("list") == []
    assert {"ada", "bob"} <= {each["who"] for each in ada.json("history", "pr-1")}
    assert shop.leftovers(shown) == []
    seen = asks(server, root, "GET", "audit?limit=1000").json()
    refused = {
        (each["who"], each["object"] or each["action"]) for each in seen if each["outcome"] == "refused"
    }
    assert ("ada", "POST /api/v1/previews/pr-1/promote") in refused

    # The way back, by the same words: everybody who works here may look, an approver acts.
    (promotion,) = (each["id"] for each in ada.json("history", "promotions"))
    shop.main("vacuum analyze")  # else autovacuum may do it between two looks, and the sizes said differ
    assert ada.json("revert", "--dry-run") == shop.json("revert", "--dry-run")
    assert f"preview revert {promotion} --yes" in bob.preview("revert", expect=3).stderr
    assert "approver" in ada.preview("revert", "--yes", expect=4).stderr
    shop.main("update customers set full_name = 'later' where id = 1")
    done = bob.json("revert", "--yes")
    assert (done["state"], done["reverts"], done["who"]) == ("done", promotion, "bob")
    assert {each["who"] for each in done["events"]} == {"bob"}
    assert shop.columns(main, "customers") == before
    assert shop.main("select name from customers where id = 1") == [("later",)]
    assert "is reverted already" in ada.preview("revert", promotion, "--dry-run", expect=4).stderr
    shown = ada.json("history", "show", done["id"])
    assert {name: shown[name] for name in done} == done
    assert "\napproval\n  by: bob\n" in ada.preview("history", "show", promotion).stdout


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
