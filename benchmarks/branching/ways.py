"""The ways of getting a copy that answers queries: a branch, and what one would do without. Each cleans up."""

import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

import psycopg
from parent import DATABASE, Parent
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from neon_embedded.account import Account, postgres_account

FIRST_QUERY = "select balance from accounts where id = 1"
_PATIENCE_SECONDS = 60
_NAMES = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
}  # fmt: skip


class Way(ABC):
    """One way. ``run`` ends when the copy has answered its first query; ``uri`` is then the copy's.

    Attributes:
        name: for the table.
        offline: whether nobody may be connected to the parent meanwhile.
    """

    name = ""
    offline = False

    def __init__(self, parent: Parent, programs: Path, scratch: Path) -> None:
        self.parent = parent
        self.programs = programs
        self.scratch = scratch
        self.uri = ""

    @abstractmethod
    def prepare(self) -> None:
        """What may be there already when the wish for a copy comes."""

    @abstractmethod
    def run(self) -> None:
        """Make the copy and ask it the first question."""

    @abstractmethod
    def disk(self) -> int:
        """Bytes that the copy's own files take (blocks shared with the parent count where du counts them)."""

    @abstractmethod
    def remove(self) -> None:
        """Leave nothing."""


class Branch(Way):
    """Through the embedded Neon's API."""

    name = "branch"
    _id = ""

    def prepare(self) -> None:
        self.parent.ask_for_spares(0)

    def run(self) -> None:
        neon, parent = self.parent.neon, self.parent
        made = neon.create_branch(parent.project, name=f"run-{time.time_ns()}", parent_id=parent.branch)
        self._id = made.branch.id
        self.uri = parent.uri(self._id)
        ask(self.uri)

    def disk(self) -> int:
        with psycopg.connect(self.uri) as connection:
            row = connection.execute("show data_directory").fetchone()
        return used(Path(str(row[0]))) if row else 0

    def remove(self) -> None:
        self.parent.neon.delete_branch(self.parent.project, self._id)


class Spare(Branch):
    """The same, with a warm spare that is ready: it was copied before."""

    name = "warm spare"

    def prepare(self) -> None:
        self.parent.ask_for_spares(1)

    def remove(self) -> None:
        self.parent.ask_for_spares(0)
        super().remove()


class BaseBackup(Way):
    """pg_basebackup with a fast checkpoint, and a server on it; without fsync, as previews run."""

    name = "pg_basebackup"
    _server: "subprocess.Popen[bytes] | None" = None

    def prepare(self) -> None:
        self.account: Account = postgres_account()
        self.target = self.scratch / "basebackup"
        self.data = Path(self.parent.one("show data_directory"))
        self.run_dir = self.parent.one("show unix_socket_directories")
        self.port = self.parent.one("show port")
        rules = self.data / "pg_hba.conf"
        text = rules.read_text()
        if "local replication" not in text:
            rules.write_text(f"local replication cloud_admin trust\n{text}")
        with psycopg.connect(
            host=self.run_dir, port=self.port, user="cloud_admin", dbname="postgres"
        ) as admin:
            admin.execute("select pg_reload_conf()")

    def run(self) -> None:
        where = ["--host", self.run_dir, "--port", self.port, "--username", "cloud_admin", "--no-password"]
        subprocess.run(
            [
                self.programs / "pg_basebackup",
                *where,
                "--pgdata",
                self.target,
                "--checkpoint=fast",
                "--no-sync",
            ],
            check=True,
            cwd="/",
            **self.account.identity,
        )
        port = free_port()
        settings = {
            "port": port, "fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": self.scratch,
            "archive_mode": "off",
        }  # fmt: skip
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.scratch / "basebackup.log").open("wb") as log:
            self._server = subprocess.Popen(
                [self.programs / "postgres", "-D", self.target, *options],
                stdout=log,
                stderr=log,
                cwd="/",
                **self.account.identity,
            )
        self.uri = make_conninfo(self.parent.uri(), host="127.0.0.1", hostaddr="127.0.0.1", port=port)
        ask(self.uri)

    def disk(self) -> int:
        return used(self.target)

    def remove(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(60)
        shutil.rmtree(self.target, ignore_errors=True)


class Template(Way):
    """CREATE DATABASE ... TEMPLATE in the parent's own server: nobody else may be connected to the source."""

    name = "TEMPLATE"
    offline = True
    _copy = "bench_template"

    def prepare(self) -> None:
        pass

    def run(self) -> None:
        with psycopg.connect(
            make_conninfo(self.parent.uri(), dbname="postgres"), autocommit=True
        ) as connection:
            statement = sql.SQL("create database {} template {} strategy file_copy")
            connection.execute(statement.format(sql.Identifier(self._copy), sql.Identifier(DATABASE)))
        self.uri = make_conninfo(self.parent.uri(), dbname=self._copy)
        ask(self.uri)

    def disk(self) -> int:
        return int(self.parent.one(f"select pg_database_size('{self._copy}')"))

    def remove(self) -> None:
        with psycopg.connect(self.parent.uri(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(self._copy)))


class Dump(Template):
    """pg_dump | pg_restore into an empty database that is there already, uncompressed: the best case for it."""

    name = "dump|restore"
    offline = False
    _copy = "bench_restored"

    def prepare(self) -> None:
        with psycopg.connect(self.parent.uri(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(self._copy)))

    def run(self) -> None:
        self.uri = make_conninfo(self.parent.uri(), dbname=self._copy)
        bare = ["--no-owner", "--no-privileges"]
        with subprocess.Popen(
            [self.programs / "pg_dump", "--format=custom", "--compress=0", *bare],
            env=environment(self.parent.uri()),
            stdout=subprocess.PIPE,
        ) as dump:
            subprocess.run(
                [self.programs / "pg_restore", *bare, "--dbname", self._copy],
                env=environment(self.uri),
                stdin=dump.stdout,
                check=True,
            )
        if dump.returncode:
            raise SystemExit(f"pg_dump ended with {dump.returncode}")
        ask(self.uri)


WAYS: tuple[type[Way], ...] = (Branch, Spare, BaseBackup, Template, Dump)


def ask(uri: str) -> None:
    """Ask until the copy answers."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with psycopg.connect(uri, connect_timeout=5) as connection:
                connection.execute(FIRST_QUERY).fetchone()
                return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def used(directory: Path) -> int:
    """Bytes on the disk below a directory, as du counts them."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += Path(folder, name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(uri: str) -> dict[str, str]:
    """How libpq's programs learn where to go: by environment, so that no password is on a command line."""
    parts = {key: str(value) for key, value in conninfo_to_dict(uri).items()}
    known = {_NAMES[key]: value for key, value in parts.items() if key in _NAMES}
    return {"PATH": os.environ["PATH"], **known}
