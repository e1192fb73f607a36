"""A fresh embedded server for real clients, the ways to run them against it, and a project to compare with Neon's."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from neon_client import Branch, ConnectionURI, CreatedBranch, NeonClient, Secret
from neon_embedded import Running, ensure_running, stop

from . import fetched

CLIENTS = Path(__file__).parent / "clients"
_CLIENT_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A foreign program with the server's address in its environment, and a folder to work in."""

    program: tuple[str, ...]
    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*self.program, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_CLIENT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--output", "json").stdout)


@pytest.fixture(scope="module")
def fresh() -> Iterator[Running]:
    """A server that nobody used before."""
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    folder.chmod(0o755)
    yield ensure_running(folder / "home")
    stop(folder / "home")
    shutil.rmtree(folder)


def environment_of(running: Running, folder: Path) -> dict[str, str]:
    """No more of ours than a foreign program needs: where the API is, the key, a home of its own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "NEON_API_HOST": running.base_url,
        "NEON_API_KEY": running.api_key.reveal(),
        "NO_COLOR": "1",
        # neonctl's own psql: it is there on every machine, and speaks TLS with channel binding.
        "NEONCTL_PSQL_FALLBACK": "1",
    }


@pytest.fixture(scope="module")
def neonctl(fresh: Running, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """neonctl as npm brings it."""
    modules = fetched.npm_packages()
    folder = tmp_path_factory.mktemp("neonctl")
    program = ("node", str(modules / "neonctl/bin/cli.js"), "--no-analytics")
    return Client(program=program, folder=folder, environment=environment_of(fresh, folder))


@pytest.fixture(scope="module")
def node_script(fresh: Running, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """node, with the pinned packages' folder in $MODULES."""
    folder = tmp_path_factory.mktemp("node")
    modules = {"MODULES": str(fetched.npm_packages())}
    return Client(program=("node",), folder=folder, environment=environment_of(fresh, folder) | modules)


@pytest.fixture(scope="module")
def foreign_python(fresh: Running, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A Python that sees the fetched packages of PyPI first."""
    folder = tmp_path_factory.mktemp("python")
    packages = {"PYTHONPATH": str(fetched.pypi_packages())}
    return Client(
        program=(sys.executable,), folder=folder, environment=environment_of(fresh, folder) | packages
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neon:
    """A client with a project to work in; everything made has the run's prefix."""

    client: NeonClient
    base_url: str
    project: str
    main: Branch
    database: str
    role: str
    prefix: str

    def uri(self, branch_id: str) -> ConnectionURI:
        return self.client.connection_uri(
            self.project, branch_id=branch_id, database=self.database, role=self.role
        )

    def branch(self, name: str) -> CreatedBranch:
        return self.client.create_branch(self.project, name=self.prefix + name, parent_id=self.main.id)


def connect(uri: ConnectionURI) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(uri.reveal(), autocommit=True, connect_timeout=30)


@pytest.fixture(scope="module", params=["embedded", "neon"])
def neon(request: pytest.FixtureRequest) -> Iterator[Neon]:
    own = request.param == "embedded"
    if own:
        running: Running = request.getfixturevalue("embedded")
        key, base_url = running.api_key, running.base_url
    else:
        key, project = Secret(os.environ.get("NEON_API_KEY", "")), os.environ.get("NEON_PROJECT_ID", "")
        base_url = os.environ.get("NEON_API_HOST", "https://console.neon.tech/api/v2")
        if not key or not project:
            pytest.skip("NEON_API_KEY and NEON_PROJECT_ID are not set")
    with NeonClient(api_key=key, base_url=base_url) as client:
        if own:
            project = client.create_project(name="contract").project.id
            _await_history(running)
        main = client.default_branch(project)
        database = client.databases(project, main.id)[0]
        prefix = f"contract/{uuid.uuid4().hex[:8]}/"
        yield Neon(
            client=client,
            base_url=base_url,
            project=project,
            main=main,
            database=database.name,
            role=database.owner_name,
            prefix=prefix,
        )
        for branch in client.branches(project, search=prefix):
            client.delete_branch(project, branch.id)
        if own:
            client.delete_project(project)


def _await_history(running: Running) -> None:
    """A new project's points in time begin with its first base; on Neon they begin with the project."""
    headers = {"Authorization": f"Bearer {running.api_key.reveal()}"}
    httpx.post(f"{running.base_url}/embedded/history", headers=headers, timeout=120).raise_for_status()
