"""A real PostgreSQL for the shop's tests, with production's database seeded once; touches no other server."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from neon_embedded.account import postgres_account
from neon_embedded.binaries import find_binaries

SHOP = Path(__file__).parents[2] / "examples" / "shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server that listens on a socket in its own directory only."""

    directory: Path

    def uri(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.directory}"

    def execute(self, database: str, *statements: str) -> None:
        with psycopg.connect(self.uri(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="shop-pg-", dir="/tmp"))
    account = postgres_account()  # PostgreSQL refuses root
    account.own(directory)
    binaries = find_binaries(None, directory / "home").bin_dir
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}

    def run(*command: str) -> None:
        done = subprocess.run(
            command,
            **account.identity,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be inherited by the server, and never end
            stderr=subprocess.DEVNULL,
            timeout=240,
        )
        assert done.returncode == 0, f"{command[0]} failed: see {directory}"

    data = str(directory / "data")
    settings = (
        f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off -c max_connections=40"
    )
    run(str(binaries / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    pg_ctl = str(binaries / "pg_ctl")
    run(pg_ctl, "start", "-w", "-D", data, "-l", str(directory / "log"), "-o", settings)
    try:
        yield Server(directory=directory)
    finally:
        run(pg_ctl, "stop", "-w", "-m", "immediate", "-D", data)
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def production(server: Server) -> str:
    """The name of a database with version 1's schema and the whole seed; tests only read it, or copy it."""
    server.execute("postgres", "create database production")
    server.execute("production", (SHOP / "v1" / "schema.sql").read_text(), (SHOP / "seed.sql").read_text())
    return "production"


@pytest.fixture
def copy_of(server: Server) -> Iterator[Callable[[str], str]]:
    """Makes copies of a database and drops them in the end."""
    made: list[str] = []
    numbers = count(1)

    def make(database: str) -> str:
        name = f"{database}_copy_{next(numbers)}"
        server.execute("postgres", f"create database {name} template {database}")
        made.append(name)
        return name

    yield make
    for name in made:
        server.execute("postgres", f"drop database {name} with (force)")
