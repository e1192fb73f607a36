"""The database that is branched: made through the API, filled, written to all the time. Knows no way of copying."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psycopg

from neon_client import NeonClient
from neon_embedded import Running

DATABASE, ROLE = "bench", "bench_owner"
ROWS_PER_MB = 1000
START_BALANCE = 1000

#: Rows of about 1 kB, like pgbench's padding: a table, its key and one more index.
FILL = """
create table accounts (
    id bigint primary key, customer int not null, balance bigint not null, filler text not null
);
insert into accounts
select i, i % 9973, {balance}, repeat(md5(i::text), 28) from generate_series(1, {rows}) as i;
create index accounts_customer on accounts (customer);
create table transfers (id bigserial primary key, at timestamptz not null default now(), amount int not null);
vacuum analyze accounts
"""
TRANSFER = (
    "update accounts set balance = balance - 1 where id = %(a)s",
    "update accounts set balance = balance + 1 where id = %(b)s",
    "insert into transfers (amount) values (1)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A project's main branch with ``rows`` accounts."""

    running: Running
    neon: NeonClient
    project: str
    branch: str
    rows: int

    def uri(self, branch: str | None = None) -> str:
        return self.neon.connection_uri(
            self.project, branch_id=branch or self.branch, database=DATABASE, role=ROLE
        ).reveal()

    def one(self, statement: str) -> str:
        with psycopg.connect(self.uri(), autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        return str(row[0]) if row else ""

    def ask_for_spares(self, number: int) -> None:
        """Keep so many warm spares of the branch, and wait until they are ready, or gone."""
        headers = {"Authorization": f"Bearer {self.running.api_key.reveal()}"}
        with httpx.Client(base_url=self.running.base_url, headers=headers, timeout=120) as http:
            body = {"branch_id": self.branch, "spares": number}
            http.post("embedded/spares", json=body).raise_for_status()
            while True:
                projects = http.get("embedded/status").json()["projects"]
                (spares,) = [
                    each["spares"]
                    for project in projects
                    for each in project["branches"]
                    if each["id"] == self.branch
                ]
                if (spares["ready"], spares["copying"]) == (number, 0):
                    return
                if spares["trouble"]:
                    raise SystemExit(f"no warm spare: {spares['trouble']}")
                time.sleep(0.2)

    def checkpoint(self) -> None:
        """An ordinary checkpoint, at once, as the server's superuser."""
        where = {"host": self.one("show unix_socket_directories"), "port": self.one("show port")}
        with psycopg.connect(user="cloud_admin", dbname="postgres", autocommit=True, **where) as admin:
            admin.execute("checkpoint")


@contextmanager
def made(running: Running, neon: NeonClient, megabytes: int) -> Iterator[Parent]:
    """A project of about this size, gone afterwards."""
    rows = megabytes * ROWS_PER_MB
    project = neon.create_project(
        name=f"bench-{megabytes}", database_name=DATABASE, role_name=ROLE
    ).project.id
    try:
        parent = Parent(
            running=running, neon=neon, project=project, branch=neon.default_branch(project).id, rows=rows
        )
        with psycopg.connect(parent.uri(), autocommit=True) as connection:
            for statement in FILL.split(";"):
                connection.execute(statement.format(rows=rows, balance=START_BALANCE).encode())
        yield parent
    finally:
        neon.delete_project(project)


class Writer:
    """Transfers money between accounts at a steady rate, and remembers how long each transfer took."""

    def __init__(self, parent: Parent, *, per_second: int) -> None:
        self._parent = parent
        self._pause = 1 / per_second
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._done: list[tuple[float, float]] = []
        self._failure: Exception | None = None

    def __enter__(self) -> "Writer":
        self._thread.start()
        while not self._done and self._failure is None:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def longest_stall(self, since: float, until: float) -> float:
        """The longest transfer, in seconds, of those that were under way in a span of `time.perf_counter`."""
        while self._failure is None and self._done[-1][1] < until:
            time.sleep(0.01)
        touching = [end - begin for begin, end in list(self._done) if end >= since and begin <= until]
        return max(touching, default=0.0)

    def _write(self) -> None:
        try:
            with psycopg.connect(self._parent.uri(), autocommit=True) as connection:
                number = 0
                while not self._over.is_set():
                    number += 1
                    pair = {
                        "a": number * 7919 % self._parent.rows + 1,
                        "b": number * 104729 % self._parent.rows + 1,
                    }
                    begin = time.perf_counter()
                    with connection.transaction():
                        for statement in TRANSFER:
                            connection.execute(statement, pair if "%" in statement else None)
                    end = time.perf_counter()
                    self._done.append((begin, end))
                    self._over.wait(max(0.0, self._pause - (end - begin)))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits for us
            self._failure = error


def assert_whole(uri: str, rows: int) -> None:
    """All accounts are there and no money is missing: the copy is one moment of the parent."""
    with psycopg.connect(uri, autocommit=True) as connection:
        found = connection.execute("select count(*), sum(balance) from accounts").fetchone()
    if found is None or (found[0], int(found[1])) != (rows, rows * START_BALANCE):
        raise SystemExit(f"the copy is not whole: {found}, expected {rows} rows of {START_BALANCE}")
