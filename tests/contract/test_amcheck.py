"""Branching under load, and then amcheck: every index against its table, every page of every table.

The wheel's PostgreSQL has no contrib, so another build of the same version looks at a copy of the sleeping branch.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from neon_client import NeonClient
from neon_embedded import Running
from neon_embedded.account import postgres_account

from . import fetched

ACCOUNTS = 2000

TABLES = f"""
create table account (id int primary key, cents bigint not null, note text not null);
create index on account (cents);
create table told (id bigserial primary key, number int not null, at timestamptz default now());
create index on told (number);
insert into account select n, 1000, repeat(md5(n::text), 20) from generate_series(0, {ACCOUNTS - 1}) n
"""
TRANSFER = """
with one as (update account set cents = cents - 1, note = md5(note) || repeat('x', id %% 3000) where id = %(one)s
             returning id),
    other as (update account set cents = cents + 1 where id = %(other)s returning id)
insert into told (number) select %(number)s from one, other
"""
#: What pg_amcheck --heapallindexed --parent-check asks (its documentation), of everything in the database.
HEAPS = """
select relation.oid::regclass::text, found.* from pg_class relation
cross join lateral verify_heapam(relation.oid, check_toast => true) found
where relation.relkind in ('r', 'm', 't') and relation.relpersistence = 'p'
"""
INDEXES = """
select count(bt_index_parent_check(index.indexrelid, heapallindexed => true, rootdescend => true))
from pg_index index join pg_class relation on relation.oid = index.indexrelid
join pg_am on pg_am.oid = relation.relam
where pg_am.amname = 'btree' and index.indisvalid and index.indisready and relation.relpersistence = 'p'
"""


@dataclass(slots=True)
class Money:
    """Transfers between accounts, by two writers, until told to rest."""

    uri: str
    over: threading.Event = field(default_factory=threading.Event)
    failures: list[Exception] = field(default_factory=list)

    def write(self, worker: int) -> None:
        try:
            with self._connected() as connection:
                number = 0
                while not self.over.is_set():
                    number += 1
                    one = (number * 7919 + worker) % (ACCOUNTS - 1)
                    connection.execute(TRANSFER, {"one": one, "other": one + 1, "number": number})
        except Exception as error:  # noqa: BLE001 - told below
            self.failures.append(error)

    def _connected(self) -> psycopg.Connection:
        """Who comes while the compute wakes may be told so, and asks again (decision 0010)."""
        until = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self.uri, autocommit=True)
            except psycopg.OperationalError as error:
                if "starting up" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        self.over.clear()
        threads = [threading.Thread(target=self.write, args=(worker,)) for worker in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        assert not self.failures


class Checker:
    """Another PostgreSQL of the same version with amcheck, where its unprivileged user may run it."""

    def __init__(self, major: int, folder: Path) -> None:
        self.folder = folder
        self.account = postgres_account()
        shutil.copytree(fetched.postgres_with_contrib(major), folder / "native", symlinks=True)
        for program in (folder / "native/bin").iterdir():
            program.chmod(0o755)

    def check(self, data: Path) -> int:
        """Look at a copy of a data directory that was shut down cleanly; how many indexes were right."""
        copy = self.folder / "data"
        shutil.copytree(data, copy)
        for path in (copy, *copy.rglob("*")):
            self.account.own(path)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "port": "1",
            "fsync": "off",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [self.folder / "native/bin/postgres", "-D", copy, *words],
                stdout=log, stderr=log, cwd="/", env={"LC_ALL": "C"}, **self.account.identity,
            )  # fmt: skip
        try:
            with self._connect(server) as connection:
                connection.execute("create extension amcheck")
                assert connection.execute(HEAPS).fetchall() == []
                row = connection.execute(INDEXES).fetchone()
                assert row is not None
                return int(row[0])
        finally:
            server.terminate()
            server.wait(60)
            shutil.rmtree(copy)

    def _connect(self, server: "subprocess.Popen[bytes]") -> psycopg.Connection[tuple[Any, ...]]:
        deadline = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(
                    host=str(self.folder), port=1, user="cloud_admin", dbname="neondb", autocommit=True
                )
            except psycopg.OperationalError:
                text = (self.folder / "log").read_text()
                assert server.poll() is None, text
                assert time.monotonic() < deadline, text


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="amcheck-", dir="/tmp"))
    made.chmod(0o755)
    postgres_account().own(made)
    yield made
    shutil.rmtree(made)


def balanced(uri: str) -> int:
    """No money is missing, by table and by index; how many transfers were told."""
    with psycopg.connect(uri) as connection:
        connection.execute("set transaction isolation level repeatable read")  # others write meanwhile
        found = []
        for seq in ("on", "off"):
            connection.execute(f"set enable_seqscan = {seq}")
            row = connection.execute(
                "select (select sum(cents) from account), (select count(*) from account where id >= 0),"
                " (select count(*) from told where id > 0)"
            ).fetchone()
            assert row is not None
            found.append(row)
    assert found[0] == found[1]
    assert found[0][:2] == (ACCOUNTS * 1000, ACCOUNTS)
    return int(found[0][2])


def branch_and_check(running: Running, folder: Path, *, major: int, rounds: int) -> None:
    """Branch ``rounds`` times, every other time of a warm spare; the parent is looked at every tenth time."""
    checker = Checker(major, folder)
    headers = {"Authorization": f"Bearer {running.api_key.reveal()}"}
    with (
        NeonClient(api_key=running.api_key, base_url=running.base_url) as client,
        httpx.Client(base_url=running.base_url, headers=headers, timeout=60) as http,
    ):
        made = client.create_project(name=f"amcheck-{major}", pg_version=major)
        project, main = made.project.id, made.branch.id

        def asleep(branch: str) -> Path:
            (endpoint,) = client.endpoints(project, branch)
            client.suspend_endpoint(project, endpoint.id)
            return running.home / "branches" / branch / "data"

        def spares(number: int) -> None:
            http.post("embedded/spares", json={"branch_id": main, "spares": number}).raise_for_status()

        def ready() -> int:
            projects = http.get("embedded/status").json()["projects"]
            branches = [each for project_ in projects for each in project_["branches"] if each["id"] == main]
            return int(branches[0]["spares"]["ready"])

        uri = made.connection_uris[0].reveal()
        with psycopg.connect(uri, autocommit=True) as connection:
            for statement in TABLES.split(";"):
                connection.execute(statement.encode())
        money, told = Money(uri), 0
        for number in range(rounds):
            with money.flowing():
                spares(number % 2)
                while ready() != number % 2:
                    time.sleep(0.05)
                branch = client.create_branch(project, name=f"b{number}", parent_id=main).branch
                child = client.connection_uri(
                    project, branch_id=branch.id, database="neondb", role="neondb_owner"
                ).reveal()
                now = balanced(child)
                assert now >= told
                told = now
                with Money(child).flowing():  # it is written to as well
                    balanced(uri)
            assert checker.check(asleep(branch.id)) > 100
            client.delete_branch(project, branch.id)
            if number % 10 == rounds % 10 or number == rounds - 1:
                balanced(uri)
                assert checker.check(asleep(main)) > 100
        client.delete_project(project)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("major", sorted(fetched.POSTGRES))
def test_parent_and_branch_pass_amcheck(fresh: Running, folder: Path, major: int) -> None:
    rounds = int(os.environ.get("PREVIEW_AMCHECK_ROUNDS", "50"))  # of each version: 100 in all
    branch_and_check(fresh, folder, major=major, rounds=rounds)
