"""Branching through the embedded Neon against pg_dump | pg_restore, side by side in one run, on the same data.

Makes a home of its own below the given directory and removes it; touches no other server. Prints a table whose
last column is the ratio: seconds of this machine say little about another one, the ratio says more.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from neon_client import NeonClient
from neon_embedded import ensure_running, find_binaries, stop

DATABASE, ROLE = "bench", "bench_owner"

#: Rows of about 1 kB, like pgbench's padding: a table, its key and one more index.
FILL = """
create table accounts (
    id bigint primary key, customer int not null, balance numeric(12, 2) not null, filler text not null
);
insert into accounts
select i, i %% 9973, i %% 100000, repeat(md5(i::text), 28) from generate_series(1, %s) as i;
create index accounts_customer on accounts (customer);
"""
ROWS_PER_MB = 1000


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,100", help="megabytes, comma separated (default %(default)s)")
    parser.add_argument(
        "--runs", type=int, default=3, help="of each, interleaved; the median counts (default %(default)s)"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()), help="where the data lives"
    )
    chosen = parser.parse_args(arguments)
    home = Path(tempfile.mkdtemp(prefix="bench-branching-", dir=chosen.directory))
    home.chmod(0o755)  # the user who runs PostgreSQL must be able to enter
    try:
        running = ensure_running(home)
        with NeonClient(api_key=running.api_key, base_url=running.base_url) as neon:
            print(
                f"{'data':>9}  {'branch':>9}  {'dump|restore':>12}  {'ratio':>7}  (medians of {chosen.runs})"
            )
            for size in (int(each) for each in chosen.sizes.split(",")):
                branch, copy, bytes_ = measure(neon, find_binaries(None, home).bin_dir, size, chosen.runs)
                print(
                    f"{bytes_ / 1e6:>6.0f} MB  {branch:>7.2f} s  {copy:>10.2f} s  {copy / branch:>6.1f}x",
                    flush=True,
                )
    finally:
        stop(home)
        shutil.rmtree(home)
    return 0


def measure(neon: NeonClient, programs: Path, megabytes: int, runs: int) -> tuple[float, float, int]:
    """Medians in seconds of a branch and of a copy, each until the child's first right answer; and the data's bytes."""
    project = neon.create_project(
        name=f"bench-{megabytes}", database_name=DATABASE, role_name=ROLE
    ).project.id
    main_id = neon.default_branch(project).id

    def uri(branch_id: str) -> str:
        return neon.connection_uri(project, branch_id=branch_id, database=DATABASE, role=ROLE).reveal()

    source = uri(main_id)
    rows = megabytes * ROWS_PER_MB
    with psycopg.connect(source, autocommit=True) as connection:
        for statement in filter(str.strip, FILL.split(";")):
            with_rows = "%s" in statement
            connection.execute(statement.encode(), (rows,) if with_rows else None)
        connection.execute("vacuum analyze accounts")
        connection.execute("checkpoint") if _may_checkpoint(connection) else None
        row = connection.execute("select pg_database_size(current_database())").fetchone()
    assert row is not None
    branches, copies = [], []
    for run in range(runs):
        begun = time.perf_counter()
        made = neon.create_branch(project, name=f"run-{run}", parent_id=main_id).branch
        _assert_complete(uri(made.id), rows)
        branches.append(time.perf_counter() - begun)
        neon.delete_branch(project, made.id)

        name = f"copy_{run}"
        with psycopg.connect(source, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        target = make_conninfo(source, dbname=name)
        begun = time.perf_counter()
        _copy(programs, source, target)
        _assert_complete(target, rows)
        copies.append(time.perf_counter() - begun)
        with psycopg.connect(source, autocommit=True) as connection:
            connection.execute(f"drop database {name}".encode())
    neon.delete_project(project)
    return statistics.median(branches), statistics.median(copies), int(row[0])


def _may_checkpoint(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    row = connection.execute("select pg_has_role(current_user, 'pg_checkpoint', 'member')").fetchone()
    return bool(row and row[0])


def _copy(programs: Path, source: str, target: str) -> None:
    """pg_dump | pg_restore, as one would type it: custom format, uncompressed, since it goes through a pipe."""
    with subprocess.Popen(
        [programs / "pg_dump", "--format=custom", "--compress=0", "--no-owner", "--no-privileges"],
        env=_environment(source),
        stdout=subprocess.PIPE,
    ) as dump:
        subprocess.run(
            [
                programs / "pg_restore",
                "--no-owner",
                "--no-privileges",
                "--dbname",
                str(conninfo_to_dict(target)["dbname"]),
            ],
            env=_environment(target),
            stdin=dump.stdout,
            check=True,
        )
    if dump.returncode:
        raise SystemExit(f"pg_dump ended with {dump.returncode}")


def _environment(uri: str) -> dict[str, str]:
    """How libpq's programs learn where to go: by environment, so that no password is on a command line."""
    parts = {key: str(value) for key, value in conninfo_to_dict(uri).items()}
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    names |= {"sslmode": "PGSSLMODE"}
    return {"PATH": os.environ["PATH"]} | {names[key]: value for key, value in parts.items() if key in names}


def _assert_complete(uri: str, rows: int) -> None:
    """Ask until the child answers, and be sure that it has everything."""
    with _patiently(lambda: psycopg.connect(uri, connect_timeout=5)) as connection:
        row = connection.execute("select count(*) from accounts").fetchone()
    if row != (rows,):
        raise SystemExit(f"the copy has {row} rows, expected {rows}")


def _patiently(
    connect: Callable[[], "psycopg.Connection[tuple[object, ...]]"],
) -> "psycopg.Connection[tuple[object, ...]]":
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
