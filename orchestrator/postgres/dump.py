"""A second look at a schema, through pg_dump: it shares no query with inspect. Only reads; decides nothing."""

import functools
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from neon_embedded.binaries import places
from orchestrator.database import Connection
from orchestrator.schema.dumped import Seen, entries
from orchestrator.schema.names import KEPT_PREFIX

#: How long pg_dump may wait for a lock, and take in all: milliseconds, seconds.
LOCK_WAIT_MS = 5_000
LONGEST_SECONDS = 300

#: Schemas of this product's own, which inspect leaves out too.
_OURS = ("preview_internal", f"{KEPT_PREFIX}*")


def see(connection: Connection) -> Seen:
    """Look at a connection's database through pg_dump; whatever stands in its way becomes the reason.

    Owners and privileges are left out. Takes ACCESS SHARE on every table for a moment, as every pg_dump does.

    Args:
        connection: says where; pg_dump opens one of its own, its password goes by the environment.
    """
    server = connection.info.server_version // 10_000
    programs = [path for version, path in _installed() if version >= server]
    if not programs:
        there = ", ".join(str(version) for version, _ in _installed()) or "none"
        return Seen(server=server, reason=f"there is no pg_dump for PostgreSQL {server} (found: {there})")
    reasons = []
    for program in programs:
        done = _run(program, connection)
        if not isinstance(done, str):
            return Seen(server=server, entries=entries(done.stdout))
        reasons.append(done)
        if "SSL support" not in done:
            break  # only a build without TLS is worth another try with the next one
    return Seen(server=server, reason=f"pg_dump refused: {reasons[-1]}")


def _run(program: Path, connection: Connection) -> "subprocess.CompletedProcess[str] | str":
    """One pg_dump; its output, or why there is none."""
    info = connection.info
    where = {
        name: value
        for name, value in info.get_parameters().items()
        if name not in {"password", "application_name", "connect_timeout", "dbname"}
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if info.password:
        environment["PGPASSWORD"] = info.password
    command = [
        str(program), "--schema-only", "--no-owner", "--no-privileges", "--no-password",
        f"--lock-wait-timeout={LOCK_WAIT_MS}", *(f"--exclude-schema={each}" for each in _OURS),
        f"--dbname={_conninfo({**where, 'dbname': info.dbname, 'application_name': 'preview: second look'})}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False,
            stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it took longer than {LONGEST_SECONDS} s"
    except OSError as error:
        return f"{program} cannot be run: {error.strerror}"
    if done.returncode == 0:
        return done
    said = [line for line in done.stderr.strip().splitlines() if line] or [f"exit status {done.returncode}"]
    return said[0].removeprefix("pg_dump: ").removeprefix("error: ")


def _conninfo(words: Mapping[str, str]) -> str:
    escaped = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in words.items()}
    return " ".join(f"{name}='{value}'" for name, value in escaped.items())


@functools.cache
def _installed() -> tuple[tuple[int, Path], ...]:
    """Every pg_dump of this machine with its major version, the oldest version first."""
    found: list[tuple[int, Path]] = []
    for folder in places():
        program = folder / "pg_dump"
        try:
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=30, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        if number := re.search(r"\) (\d+)", said):
            found.append((int(number[1]), program))
    return tuple(sorted(found, key=lambda each: each[0]))
