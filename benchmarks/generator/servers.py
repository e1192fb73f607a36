"""Two PostgreSQL servers of this run's own, on loopback, without fsync; they are gone afterwards."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from neon_embedded import find_binaries
from neon_embedded.account import postgres_account

_CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
max_wal_size = 4GB
max_locks_per_transaction = 2048
shared_buffers = 256MB
"""


@contextmanager
def two_servers(version: int, directory: Path) -> Iterator[tuple[str, str]]:
    """The URLs of two running servers (without a database's name).

    Args:
        version: the major version.
        directory: where their data lives meanwhile.
    """
    home = Path(tempfile.mkdtemp(prefix="bench-generator-", dir=directory))
    home.chmod(0o755)  # the user who runs PostgreSQL must be able to enter
    try:
        with ExitStack() as stack:
            first, second = (stack.enter_context(_server(version, home, side)) for side in ("from", "to"))
            yield first, second
    finally:
        shutil.rmtree(home)


@contextmanager
def _server(version: int, home: Path, side: str) -> Iterator[str]:
    binaries = find_binaries(version, home / "home")
    account = postgres_account()
    above = home / side
    above.mkdir(mode=0o700)
    account.own(above)
    data, log = above / "data", above / "log"
    run = {"cwd": above, "stdout": subprocess.DEVNULL, **account.identity}
    subprocess.run(
        [binaries.initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        check=True,
        **run,
    )
    with (data / "postgresql.conf").open("a") as file:
        file.write(_CONFIGURATION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pg_ctl = [binaries.bin_dir / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*pg_ctl, "-l", log, "-o", f"-p {port}", "start"], check=True, **run)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        subprocess.run([*pg_ctl, "-m", "immediate", "stop"], check=True, **run)


def load(server: str, database: str, ddl: str) -> str:
    """Make a database and run DDL in it, in one transaction; gives its URL."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
    url = f"{server}/{database}"
    with psycopg.connect(url) as connection:
        connection.execute(ddl.encode())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    return url
