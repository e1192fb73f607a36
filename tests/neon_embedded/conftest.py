"""Servers of these tests' own: one that faults can be asked of, and homes that are gone afterwards."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from neon_client import ConnectionURI, CreatedProject, NeonClient
from neon_embedded import Running, ensure_running, stop
from neon_embedded.faults import FAULTS


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
        return psycopg.connect(self.uri(branch_id).reveal(), autocommit=True, connect_timeout=10)

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
