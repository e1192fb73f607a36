"""A fresh embedded server for real clients, and the ways to run them against it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
