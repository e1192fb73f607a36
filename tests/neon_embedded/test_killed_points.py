"""kill -9 of the server in the middle of every verb of points in time: afterwards all is old or new, never half."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from neon_client import NeonClient
from neon_embedded import Running, ensure_running
from neon_embedded.processes import alive

Verb = Callable[[httpx.Client, dict[str, str]], object]

#: Seconds after which the server is killed; the first few steps of a verb take this long on a busy machine.
DELAYS = (0.05, 0.2, 0.4, 0.7, 1.1)


def branch_at(http: httpx.Client, ids: dict[str, str]) -> object:
    body = {"branch": {"parent_lsn": ids["lsn"]}, "endpoints": [{"type": "read_write"}]}
    return http.post(f"projects/{ids['project']}/branches", json=body)


def schema_only(http: httpx.Client, ids: dict[str, str]) -> object:
    body = {"branch": {"init_source": "schema-only"}, "endpoints": [{"type": "read_write"}]}
    return http.post(f"projects/{ids['project']}/branches", json=body)


def restore(http: httpx.Client, ids: dict[str, str]) -> object:
    body = {"source_branch_id": ids["main"], "source_lsn": ids["lsn"], "preserve_under_name": "kept"}
    return http.post(f"projects/{ids['project']}/branches/{ids['main']}/restore", json=body)


def reset(http: httpx.Client, ids: dict[str, str]) -> object:
    body = {"source_branch_id": ids["main"]}
    return http.post(f"projects/{ids['project']}/branches/{ids['child']}/restore", json=body)


def snapshot(http: httpx.Client, ids: dict[str, str]) -> object:
    return http.post(f"projects/{ids['project']}/branches/{ids['main']}/snapshot", params={"lsn": ids["lsn"]})


def put_back(http: httpx.Client, ids: dict[str, str]) -> object:
    body = {"finalize_restore": True}
    return http.post(f"projects/{ids['project']}/snapshots/{ids['snapshot']}/restore", json=body)


VERBS: tuple[Verb, ...] = (branch_at, schema_only, restore, reset, snapshot, put_back)


class Killed:
    """A server to be killed, with a project: main with steps 1 and 2, an LSN between, a child, a snapshot."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()
        made = self.client.create_project(name="killed")
        self.project = made.project.id
        self.http.post("embedded/history", timeout=60).raise_for_status()
        with self.connect(made.branch.id) as connection:
            connection.execute("create table steps (n int primary key)")
            connection.execute("insert into steps values (1)")
            row = connection.execute("select pg_current_wal_lsn()::text").fetchone()
            connection.execute("insert into steps values (2)")
        assert row is not None
        self.ids = {"project": self.project, "main": made.branch.id, "lsn": str(row[0])}
        child = self.client.create_branch(self.project, name="child", parent_id=made.branch.id).branch
        self.ids["child"] = child.id
        with self.connect(child.id) as connection:
            connection.execute("insert into steps values (3)")
        self.ids["snapshot"] = self.client.create_snapshot(self.project, made.branch.id, name="s").id

    def start(self) -> None:
        self.running: Running = ensure_running(self.home)
        self.client = NeonClient(api_key=self.running.api_key, base_url=self.running.base_url)
        headers = {"Authorization": f"Bearer {self.running.api_key.reveal()}"}
        self.http = httpx.Client(base_url=self.running.base_url, headers=headers, timeout=60)

    def connect(self, branch_id: str) -> psycopg.Connection[tuple[object, ...]]:
        uri = self.client.connection_uri(
            self.project, branch_id=branch_id, database="neondb", role="neondb_owner"
        )
        return psycopg.connect(uri.reveal(), autocommit=True, connect_timeout=30)

    def steps(self, branch_id: str) -> list[object]:
        with self.connect(branch_id) as connection:
            return [row[0] for row in connection.execute("select n from steps order by n")]

    def kill_during(self, verb: Verb, delay_seconds: float) -> None:
        def ask() -> None:
            with suppress(httpx.HTTPError):
                verb(self.http, self.ids)

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(delay_seconds)
        os.kill(self.running.pid, signal.SIGKILL)
        while alive(self.running.pid):
            pass
        asking.join()
        self.client.close()
        self.http.close()
        self.start()

    def check(self) -> None:
        """Nothing half: every branch answers with a state that was one, no directory and no row is left over."""
        branches = {each.name: each for each in self.client.branches(self.project)}
        main = self.client.default_branch(self.project)
        assert main.name == "main"
        assert self.steps(main.id) in ([1, 2], [1])
        assert not {each.status for each in self.client.operations(self.project)} & {"running", "scheduling"}
        for branch in branches.values():
            assert branch.current_state == "ready"
            self.client.create_endpoint(self.project, branch.id)
            found = self.steps(branch.id)
            assert found in ([], [1], [1, 2], [1, 2, 3]), (branch, found)
            with self.connect(branch.id) as connection:
                connection.execute("create table if not exists writable ()")
        assert len(list((self.home / "branches").iterdir())) == len(branches)
        snapshots = self.client.snapshots(self.project)
        assert {each.name for each in (self.home / "snapshots").iterdir()} == {each.id for each in snapshots}
        self.http.post("embedded/history").raise_for_status()  # waits for a base that is being taken
        assert not list((self.home / "history").glob("*/half-*"))

    def clean(self) -> None:
        """Back to main, child, snapshot: main as it was."""
        for each in self.client.snapshots(self.project):
            if each.id != self.ids["snapshot"]:
                self.client.delete_snapshot(self.project, each.id)
        main = self.client.default_branch(self.project)
        kept = self.client.find_branch(self.project, "kept") or self.client.find_branch(
            self.project, "main (old)"
        )
        if kept is not None:
            self.client.set_as_default(self.project, kept.id)
            self.client.update_branch(self.project, main.id, name="gone")
            self.client.update_branch(self.project, kept.id, name="main")
            main = self.client.branch(self.project, kept.id)
        self.ids["main"] = main.id
        for each in reversed(self.client.branches(self.project)):
            if each.id not in {main.id, self.ids["child"]}:
                self.client.delete_branch(self.project, each.id)


def run(home: Path, verbs: tuple[Verb, ...], delays: tuple[float, ...]) -> None:
    world = Killed(home)
    for verb in verbs:
        for delay in delays:
            world.kill_during(verb, delay)
            world.check()
            world.clean()
            world.check()
            if verb is not reset:
                assert world.steps(world.ids["main"]) == [1, 2]


@pytest.mark.parametrize("delay", [0.4])
def test_a_restore_is_whole_or_was_not(home: Path, delay: float) -> None:
    run(home, (restore,), (delay,))


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_every_verb_is_whole_or_was_not(home: Path, verb: Verb) -> None:
    run(home, (verb,), DELAYS)
