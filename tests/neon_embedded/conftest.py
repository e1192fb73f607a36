"""Servers of these tests' own: one that faults can be asked of, and homes that are gone afterwards."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from neon_client import ConnectionURI, CreatedProject, NeonClient
from neon_embedded import Running, ensure_running, stop
from neon_embedded.branches import create_project, default_branch
from neon_embedded.computes import postmaster_of
from neon_embedded.faults import FAULTS, Faults
from neon_embedded.history import bases_of, care_for_history
from neon_embedded.home import Home
from neon_embedded.plane import Plane
from neon_embedded.postmaster import Postmaster
from neon_embedded.processes import running
from neon_embedded.rows import BaseRow, BranchRow
from neon_embedded.store import Store


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for one test; its server is stopped and nothing stays."""
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    folder.chmod(0o755)
    yield folder / "home"
    for log in folder.rglob("*.log"):  # shown by pytest when the test failed
        print(log, log.read_text(), sep="\n")
    stop(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def faulty() -> Iterator[Running]:
    """A server that takes wishes for faults."""
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    folder.chmod(0o755)
    os.environ["NEON_EMBEDDED_FAULTS"] = "1"
    try:
        running = ensure_running(folder / "home")
    finally:
        del os.environ["NEON_EMBEDDED_FAULTS"]
    yield running
    stop(folder / "home")
    shutil.rmtree(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A project on the faulty server, and the ways to it."""

    running: Running
    client: NeonClient
    http: httpx.Client
    made: CreatedProject

    @property
    def project(self) -> str:
        return self.made.project.id

    @property
    def main(self) -> str:
        return self.made.branch.id

    def arm(self, **faults: int) -> None:
        self.http.post("embedded/faults", json=faults).raise_for_status()

    def uri(self, branch_id: str) -> ConnectionURI:
        return self.client.connection_uri(
            self.project, branch_id=branch_id, database="neondb", role="neondb_owner"
        )

    def connect(self, branch_id: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.uri(branch_id).reveal(), autocommit=True, connect_timeout=60)

    def settle(self) -> None:
        """An answer comes before its operations ended when they take long, on a busy machine."""
        self.client.wait(self.project, self.client.pending(self.project, None))

    def directories(self) -> set[str]:
        return {each.name for each in (self.running.home / "branches").iterdir()}


@pytest.fixture(scope="session")
def shared(faulty: Running) -> Iterator[World]:
    headers = {"Authorization": f"Bearer {faulty.api_key.reveal()}"}
    with (
        NeonClient(api_key=faulty.api_key, base_url=faulty.base_url) as client,
        httpx.Client(base_url=faulty.base_url, headers=headers, timeout=30) as http,
    ):
        yield World(running=faulty, client=client, http=http, made=client.create_project(name="world"))


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """The shared project; every branch but main is gone afterwards, no fault is left."""
    yield shared
    shared.arm(**dict.fromkeys(FAULTS, 0))
    branches = [each for each in shared.client.branches(shared.project) if not each.default]
    for branch in reversed(branches):
        shared.client.delete_branch(shared.project, branch.id)
    assert shared.directories() == {shared.main}


@pytest.fixture
def embedded_http_without_faults(embedded: Running) -> int:
    """The status with which the run's ordinary server answers a wish for faults."""
    headers = {"Authorization": f"Bearer {embedded.api_key.reveal()}"}
    return httpx.post(f"{embedded.base_url}/embedded/faults", json={"locked": 1}, headers=headers).status_code


@contextmanager
def standing(branch: Path) -> Iterator[None]:
    """The compute in a branch's directory stands still: it takes no new session, and changes nothing."""
    pid = running(branch / "data")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Past:
    """A project of these tests' own whose main has a history, with counted moments in it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def post(self, where: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self.world.http.post(f"projects/{self.world.project}/{where}", json=body or {})

    def get(self, where: str, **query: str) -> httpx.Response:
        return self.world.http.get(f"projects/{self.world.project}/{where}", params=query)

    def bases(self) -> list[dict[str, str]]:
        answer = self.world.http.post("embedded/history", timeout=60)
        answer.raise_for_status()
        found: list[dict[str, str]] = answer.json()["bases"][self.world.main]
        return found

    def branch_at(self, **point: str) -> httpx.Response:
        body = {"branch": {"parent_id": self.world.main, **point}, "endpoints": [{"type": "read_write"}]}
        return self.post("branches", body)

    def done_delete(self, what: str) -> None:
        where = f"projects/{self.world.project}/branches/{self.world.main}/{what}"
        self.ended(self.world.http.delete(where))

    def done(self, answer: httpx.Response) -> str:
        """The branch of an answer, when all its operations ended well."""
        return str(self.ended(answer)["branch"]["id"])

    def ended(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code in {200, 201, 202}, answer.text
        body: dict[str, Any] = answer.json()
        for each in body["operations"]:
            while True:
                row = self.get(f"operations/{each['id']}").json()["operation"]
                if row["status"] not in {"running", "scheduling"}:
                    break
            assert row["status"] == "finished", row
        return body

    def snapshot(self, branch: str, **query: str) -> str:
        where = f"projects/{self.world.project}/branches/{branch}/snapshot"
        return str(self.ended(self.world.http.post(where, params=query))["snapshot"]["id"])

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def past(shared: World) -> Iterator[Past]:
    """A project of one module's own."""
    made = shared.client.create_project(name="past")
    yield Past(World(running=shared.running, client=shared.client, http=shared.http, made=made))
    shared.client.delete_project(made.project.id)


def step(connection: psycopg.Connection[Any], number: int) -> tuple[str, str]:
    """Commit a row; the LSN and the time at which it is in, and the next one is not."""
    connection.execute("insert into steps values (%s)", (number,))
    row = connection.execute("select pg_current_wal_lsn()::text, clock_timestamp()").fetchone()
    assert row is not None
    return str(row[0]), row[1].astimezone(UTC).isoformat()


def steps(past: Past, branch: str) -> list[int]:
    with past.world.connect(branch) as connection:
        return [row[0] for row in connection.execute("select n from steps order by n")]  # type: ignore[misc]


class Kept:
    """A plane in this process, with a project whose main writes when told."""

    def __init__(self, home: Path, *, pg_version: int = 16) -> None:
        place = Home.at(home)
        place.make()
        self.plane = Plane(place, Store(place.rows), faults=Faults(), patience_seconds=60)
        project, _ = create_project(self.plane, {"project": {"name": "kept", "pg_version": pg_version}})
        self.project_id = project.id
        self.port = self.postmaster.port() or 0

    @property
    def main(self) -> BranchRow:
        return default_branch(self.plane, self.project_id)

    @property
    def postmaster(self) -> Postmaster:
        return postmaster_of(self.plane, self.main)

    def sql(self, statement: str) -> object:
        with self.postmaster.superuser() as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def write(self, segments: int = 2) -> None:
        for _ in range(segments):
            self.sql("select pg_logical_emit_message(true, 'x', repeat('x', 1000))")
            self.sql("select pg_switch_wal()")
        self.sql("checkpoint")

    def care(self) -> list[BaseRow]:
        care_for_history(self.plane)
        return bases_of(self.plane, self.main)

    def wal_files(self) -> int:
        return len([each for each in (self.postmaster.data / "pg_wal").iterdir() if len(each.name) == 24])
