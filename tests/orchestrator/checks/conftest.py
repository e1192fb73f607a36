"""A real PostgreSQL for the checks' tests, one empty database per test; touches no other server."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from neon_embedded.account import postgres_account
from neon_embedded.binaries import find_binaries
from orchestrator.database import Connection, connect


@contextmanager
def running(binaries: Path | None, *options: str) -> Iterator[Path]:
    """The directory of a running server's socket; its superuser is postgres, anybody local may log in."""
    directory = Path(tempfile.mkdtemp(prefix="checks-pg-", dir="/tmp"))
    account = postgres_account()  # PostgreSQL refuses root
    account.own(directory)
    binaries = binaries or find_binaries(None, directory / "home").bin_dir
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}

    def run(*command: str) -> None:
        done = subprocess.run(
            command,
            **account.identity,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
        assert done.returncode == 0, f"{command[0]} failed: see {directory}"

    data, pg_ctl = str(directory / "data"), str(binaries / "pg_ctl")
    settings = " ".join(
        (f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off", *options)
    )
    run(str(binaries / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    run(pg_ctl, "start", "-w", "-D", data, "-l", str(directory / "log"), "-o", settings)
    try:
        yield directory
    finally:
        run(pg_ctl, "stop", "-w", "-m", "immediate", "-D", data)
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def socket_directory() -> Iterator[Path]:
    """A server from the wheel."""
    with running(None, "-c autovacuum=off") as directory:
        with psycopg.connect(
            f"postgresql://postgres@/postgres?host={directory}", autocommit=True
        ) as connection:
            connection.execute("create role reader login; grant pg_read_all_data to reader")
            connection.execute("create role stranger login")
        yield directory


_numbers = count(1)


@pytest.fixture
def uri(socket_directory: Path) -> Iterator[Callable[[str], str]]:
    """A new database; called with a role, gives its URI."""
    name = f"checks_{next(_numbers)}"
    with psycopg.connect(
        f"postgresql://postgres@/postgres?host={socket_directory}", autocommit=True
    ) as connection:
        connection.execute(f"create database {name}")
        yield lambda role="postgres": f"postgresql://{role}@/{name}?host={socket_directory}"
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def branch(uri: Callable[..., str]) -> Iterator[Connection]:
    """An autocommit connection of the superuser to the new database."""
    with connect(uri(), purpose="test") as connection:
        yield connection


@pytest.fixture
def reader(uri: Callable[..., str], branch: Connection) -> Iterator[Connection]:
    """A connection of a role that can read everything and write nothing."""
    with connect(uri("reader"), purpose="test") as connection:
        yield connection


@pytest.fixture
def stranger(uri: Callable[..., str], branch: Connection) -> Iterator[Connection]:
    """A connection of a role that may not even read."""
    with connect(uri("stranger"), purpose="test") as connection:
        yield connection
