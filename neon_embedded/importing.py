"""Bringing one's own data: a project made of any Postgres or dump, by pg_dump and pg_restore. Prints nothing.

It works through the server's own API and as the project's owner, who is no superuser: what Neon would refuse is
refused here. The project has another name until it is whole, by which the next import finds what a death left.
"""

import http.client
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from neon_client.models import ConnectionURI
from neon_embedded.background import Running, ensure_running
from neon_embedded.binaries import DEFAULT_VERSION, NEWEST, Binaries, find_binaries
from neon_embedded.errors import ImportFailed, NoPostgres
from neon_embedded.home import locked

Say = Callable[[str], None]

#: What a dump must not bring: owners, grants, and what belongs to a cluster rather than to its data.
_LEAVE: Final = ("--no-owner", "--no-acl", "--no-publications", "--no-subscriptions", "--no-tablespaces")
#: A dump that waits for a lock is in everybody's way who comes after it.
_LOCK_WAIT: Final = "--lock-wait-timeout=30s"
_TABLES: Final = (
    "select count(*), pg_database_size(current_database()) from pg_class c join pg_namespace n on n.oid = relnamespace"
    " where relkind = 'r' and nspname !~ '^pg_' and nspname <> 'information_schema'"
)
_REQUEST_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A project that was made.

    Attributes:
        project_id: its id.
        branch_id: its default branch.
        uri: how to connect as its owner; hidden in ``repr``.
        pg_version: its PostgreSQL's major version.
    """

    project_id: str
    branch_id: str
    uri: ConnectionURI = field(repr=False)
    pg_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where the data comes from: ``conninfo`` without any secret, or a ``path``."""

    database: str
    version: int
    tables: int
    conninfo: str = ""
    password: str = field(default="", repr=False)
    path: Path | None = None
    plain: bool = False


def import_database(home: Path, *, source: str, name: str, say: Say) -> Imported:
    """Make a project named ``name`` of a database.

    Args:
        home: the embedded server's home; the server is started when it does not run.
        source: a ``postgresql://`` URI (without a password PGPASSWORD or the password file serves), or a dump's
            path: custom, directory or tar format, or plain SQL.
        name: of the new project; no project may have it.
        say: told a line per step of progress.

    Raises:
        ImportFailed: nothing of the project is left.
        EmbeddedError: the server or a PostgreSQL is not to be had.
    """
    if not name:
        raise ImportFailed("the new project has no name", hint="give one with --name")
    server = _Server(ensure_running(home))
    with locked(home / "import.lock", wait=False) as alone:
        if not alone:
            raise ImportFailed(f"another import into {home} runs", hint="wait until it has ended")
        return _import(server, home, source, name, say)


def _import(server: "_Server", home: Path, source: str, name: str, say: Say) -> Imported:
    projects = server.projects()
    if name in projects:
        raise ImportFailed(
            f"there is a project {name!r} already ({projects[name]})",
            hint="choose another --name, or delete it",
        )
    unfinished = f"{name} (import not finished)"
    if unfinished in projects:
        say(f"removing what an earlier import of {name!r} left")
        server.call("DELETE", f"/projects/{projects[unfinished]}")
    is_uri = re.match(r"postgres(ql)?://", source) is not None
    found = _of_uri(source) if is_uri else _of_file(Path(source), home)
    binaries = _binaries(found.version, home)
    say(f"PostgreSQL {found.version}, {found.tables or 'some'} tables, into PostgreSQL {binaries.version}")
    made = server.create(unfinished, binaries.version, found.database)
    try:
        uri = ConnectionURI(made["connection_uris"][0]["connection_uri"]).bare()
        _copy(found, binaries, uri, say)
        say("analyzing")
        with psycopg.connect(uri.reveal(), autocommit=True) as connection:
            connection.execute("analyze")
        server.call("PATCH", f"/projects/{made['project']['id']}", {"project": {"name": name}})
    except BaseException:
        server.call("DELETE", f"/projects/{made['project']['id']}")
        raise
    return Imported(
        project_id=made["project"]["id"], branch_id=made["branch"]["id"], uri=uri, pg_version=binaries.version
    )


class _Server:
    """The few calls of the API that an import needs."""

    def __init__(self, running: Running) -> None:
        self._running: Final = running

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        address, _, prefix = self._running.base_url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(address, timeout=_REQUEST_SECONDS)
        headers = {"Authorization": f"Bearer {self._running.api_key.reveal()}"}
        try:
            connection.request(method, f"/{prefix}{path}", json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ImportFailed(f"the embedded server did not answer {method} {path}: {error}") from None
        finally:
            connection.close()
        if answer.status >= 300:
            raise ImportFailed(f"the embedded server refused {method} {path}: {found.get('message')}")
        return self._ended(found)

    def projects(self) -> dict[str, str]:
        """Ids by name."""
        found = self.call("GET", "/projects?limit=400")["projects"]
        return {each["name"]: each["id"] for each in found}

    def create(self, name: str, version: int, database: str) -> dict[str, Any]:
        """Make a project; the database has its source's name where that is allowed."""
        allowed = database not in {"", "postgres", "template0", "template1"} and len(database.encode()) <= 50
        branch = {"database_name": database} if allowed else {}
        wanted = {"name": name, "pg_version": version, "branch": branch}
        return self.call("POST", "/projects", {"project": wanted})

    def _ended(self, body: dict[str, Any]) -> dict[str, Any]:
        for each in body.get("operations") or ():
            while each["status"] in {"scheduling", "running"}:
                time.sleep(0.1)
                where = f"/projects/{each['project_id']}/operations/{each['id']}"
                each = self.call("GET", where)["operation"]  # noqa: PLW2901 - the same one, later
            if each["status"] == "failed":
                raise ImportFailed(f"{each['action']} failed: {each.get('error')}")
        return body


def _of_uri(uri: str) -> _Source:
    try:
        values = {key: str(value) for key, value in conninfo_to_dict(uri).items() if value is not None}
    except psycopg.ProgrammingError:
        raise ImportFailed(
            "the source is not a URI that PostgreSQL can read", hint="postgresql://role@host:5432/database"
        ) from None
    password = values.pop("password", "") or os.environ.get("PGPASSWORD", "")
    if "sslpassword" in values:
        raise ImportFailed("sslpassword is not supported", hint="use a key without a passphrase")
    shown = f"{values.get('host', 'localhost')}/{values.get('dbname', '')}"
    try:
        with psycopg.connect(
            make_conninfo(**values, **({"password": password} if password else {})), connect_timeout=15
        ) as connection:
            row = connection.execute(_TABLES).fetchone()
            version = connection.info.server_version // 10_000
            database = connection.info.dbname
    except psycopg.Error as error:
        text = " ".join(str(error).split())
        raise ImportFailed(f"{shown} cannot be read: {text}", hint="check the URI and the network") from None
    values.setdefault("dbname", database)
    return _Source(
        database=database,
        version=version,
        tables=int(row[0]) if row else 0,
        conninfo=make_conninfo(**values),
        password=password,
    )


def _of_file(path: Path, home: Path) -> _Source:
    if not path.exists():
        raise ImportFailed(f"{path} does not exist", hint="a postgresql:// URI, or the path of a dump")
    plain = path.is_file() and path.open("rb").read(5) != b"PGDMP" and not _is_tar(path)
    if plain:
        with path.open(errors="replace") as file:
            head = "".join(line for line, _ in zip(file, range(50), strict=False))
        tables = 0
    else:
        newest = _binaries(0, home, newest=True)
        done = subprocess.run(
            [newest.pg_restore, "--list", path], capture_output=True, text=True, check=False, env=_clean()
        )
        if done.returncode:
            raise ImportFailed(f"{path} is not a dump: {_last(done.stderr)}")
        head, tables = done.stdout, done.stdout.count(" TABLE DATA ")
    found = re.search(r"[Dd]umped from database version:? (\d+)", head)
    name = re.search(r"^;\s+dbname: (.+)$", head, re.MULTILINE)
    return _Source(
        database=name[1].strip() if name else "",
        version=int(found[1]) if found else DEFAULT_VERSION,
        tables=tables,
        path=path,
        plain=plain,
    )


def _is_tar(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"


def _binaries(version: int, home: Path, *, newest: bool = False) -> Binaries:
    """The oldest PostgreSQL that is not older than the source, so that its pg_dump may read it."""
    numbers = range(max(version, DEFAULT_VERSION), NEWEST + 1)
    for number in reversed(numbers) if newest else numbers:
        try:
            return find_binaries(number, home)
        except NoPostgres:
            continue
    raise NoPostgres(
        f"no PostgreSQL of version {version} or later is installed",
        hint="install it, or import from an older server",
    )


def _copy(source: _Source, binaries: Binaries, uri: ConnectionURI, say: Say) -> None:
    target = conninfo_to_dict(uri.reveal())
    secret = str(target.pop("password", ""))
    to = f"--dbname={make_conninfo(**{key: str(value) for key, value in target.items()})}"
    with _password_file(secret) as theirs:
        if source.plain and source.path is not None:
            _run_plain([str(binaries.psql), to, "--no-psqlrc", "--quiet", f"--file={source.path}"], theirs)
            return
        restore = [
            str(binaries.pg_restore), to, *_LEAVE, "--exit-on-error", "--no-password", "--verbose",
            "--single-transaction",
        ]  # fmt: skip
        progress = _Progress(source.tables, say)
        if source.path is not None:
            with subprocess.Popen(
                [*restore, str(source.path)], stderr=subprocess.PIPE, text=True, errors="replace", env=theirs
            ) as process:
                failed = progress.follow(process, "processing data for table")
            if failed:
                raise _explained("pg_restore", failed)
            return
        with _password_file(source.password) as ours:
            _stream(source, binaries, restore, theirs, ours, progress)


def _stream(
    source: _Source,
    binaries: Binaries,
    restore: list[str],
    theirs: dict[str, str],
    ours: dict[str, str],
    progress: "_Progress",
) -> None:
    """pg_dump into pg_restore; nothing is written in between."""
    dump = [
        str(binaries.pg_dump), f"--dbname={source.conninfo}", "--format=custom", "--compress=0", "--no-password",
        _LOCK_WAIT, *_LEAVE, "--verbose",
    ]  # fmt: skip
    with (
        subprocess.Popen(
            dump, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", env=ours
        ) as giving,
        subprocess.Popen(
            restore, stdin=giving.stdout, stderr=subprocess.PIPE, text=True, errors="replace", env=theirs
        ) as taking,
    ):
        try:
            if giving.stdout is not None:
                giving.stdout.close()  # so that pg_dump learns when pg_restore ends
            quiet = _Progress(0, lambda _: None)
            failures: list[str] = []
            reader = threading.Thread(target=lambda: failures.append(quiet.follow(taking, "")))
            reader.start()
            failed = progress.follow(giving, "dumping contents of table")
            reader.join()
        except BaseException:
            giving.kill()
            taking.kill()
            raise
    if failures[0]:
        raise _explained("pg_restore", failures[0])
    if failed:
        raise _explained("pg_dump", failed)


def _run_plain(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=environment
    )
    # Owners and grants of roles that are not here are left out, as for other formats; the rest must be right.
    errors = [
        line
        for line in done.stderr.splitlines()
        if "ERROR:" in line and not re.search(r'role ".*" does not', line)
    ]
    if errors or done.returncode:
        raise _explained("psql", " | ".join(errors[:3]) or _last(done.stderr))


class _Progress:
    """Counts tables as the tools name them, and tells."""

    def __init__(self, tables: int, say: Say) -> None:
        self._tables: Final = tables
        self._say: Final = say

    def follow(self, process: "subprocess.Popen[str]", mark: str) -> str:
        """Read its standard error to the end; the answer is why it failed, or empty."""
        last: list[str] = []
        number = 0
        for line in process.stderr or ():
            last = [*last[-7:], line.strip()]
            if mark and mark in line:
                number += 1
                table = line.partition(mark)[2].strip(' "\n')
                self._say(f"table {number}{f' of {self._tables}' if self._tables else ''}: {table}")
        wrong = [line for line in last if "error:" in line or "ERROR" in line or "DETAIL" in line]
        return (" | ".join(wrong) or _last("\n".join(last))) if process.wait() else ""


def _explained(program: str, text: str) -> ImportFailed:
    hint = "see the message; nothing of the project was left"
    if "extension" in text:
        hint = (
            "the embedded PostgreSQL has not this extension: dump without it, or use a PostgreSQL that has it"
        )
    elif "lock" in text:
        hint = "somebody holds a lock on the source; try again when it is gone"
    return ImportFailed(f"{program} failed: {text}", hint=hint)


@contextmanager
def _password_file(password: str) -> Iterator[dict[str, str]]:
    """An environment by which libpq finds the password: neither in argv nor in the environment itself."""
    environment = _clean()
    if not password:
        if "PGPASSFILE" in os.environ:
            environment["PGPASSFILE"] = os.environ["PGPASSFILE"]
        yield environment
        return
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    # Where a file can be read without a name it has none: however we end, nothing is left.
    nameless = Path("/proc/self/fd").is_dir()
    with tempfile.TemporaryFile("w") if nameless else tempfile.NamedTemporaryFile("w") as file:
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        environment["PGPASSFILE"] = f"/proc/{os.getpid()}/fd/{file.fileno()}" if nameless else str(file.name)
        yield environment


def _clean() -> dict[str, str]:
    kept = {"PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "SSL_CERT_FILE"}
    return {"LC_ALL": "C", **{name: value for name, value in os.environ.items() if name in kept}}


def _last(text: str) -> str:
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-3:]) or "no message"
