"""A shop for the acceptance tests: a project, its folder, and `preview` as a subprocess."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from neon_client import NeonClient
from preview.supervise import birth
from tests.acceptance import warm

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop"
RENAME = "rename:column:public.customers.full_name"
ALLOW_FAX = "deletes_data:public.customers.fax"

#: The commands that this run has started, and whether by a server.
_STARTED: set[tuple[str, bool]] = set()


@dataclass
class Shop:
    """A project of its own on the run's embedded Neon, with preview.toml in a folder of its own."""

    home: Path
    folder: Path
    name: str
    neon: NeonClient
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "orchestrator", *words]

    def env(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREVIEW_", "NEON_", "PG"))}
        return {**kept, "PREVIEW_HOME": str(self.home), **self.environment, **more}

    def preview(self, *words: str, expect: int | None = 0, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run a command without a terminal; fails the test on another exit code."""
        done = self._run(words, self.env(**env))
        if expect is not None:
            assert done.returncode == expect, (
                f"{words} ended with {done.returncode}\n{done.stderr}\n{done.stdout}"
            )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def _run(self, words: tuple[str, ...], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        """The first of each command starts as a user's does, here and by a server; those that follow are warm."""
        kind = (words[0], "PREVIEW_SERVER" in env)
        if warm.POSSIBLE and kind in _STARTED:
            return warm.run(words, cwd=self.folder, env=env)
        _STARTED.add(kind)
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *words: str, expect: int | None = 0) -> Any:
        return json.loads(self.preview(*words, "--json", expect=expect).stdout)

    def log(self, words: str, *command: str) -> str:
        """What `logs` says once these words are in it: what an app says comes to its log by way of another process."""
        until = time.monotonic() + 120
        while words not in (said := self.preview("logs", *command).stdout):
            assert time.monotonic() < until, said
            time.sleep(0.05)
        return said

    @property
    def project_id(self) -> str:
        return next(project.id for project in self.neon.projects() if project.name == self.name)

    def uri(self, branch: str | None = None) -> str:
        """The URI of main, or of a branch by name."""
        project = self.project_id
        found = self.neon.find_branch(project, branch) if branch else self.neon.default_branch(project)
        assert found is not None
        return self.neon.connection_uri(
            project, branch_id=found.id, database="shop", role="shop_owner"
        ).reveal()

    def main(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query on production."""
        return self.on(self.uri(), sql)

    def on(self, uri: str, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(uri, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def columns(self, uri: str, table: str) -> set[str]:
        """Without those that a promotion has set aside."""
        query = (
            f"select column_name from information_schema.columns where table_name = '{table}'"
            " and column_name !~ '^preview_kept_'"
        )
        return {name for (name,) in self.on(uri, query)}

    def settings(self, change: Callable[[str], str]) -> None:
        file = self.folder / "preview.toml"
        file.write_text(change(file.read_text()))

    def processes(self, url: str) -> list[int]:
        """The processes that were given this PREVIEW_URL: the app as a local process, and its supervisor."""
        return processes_with(f"PREVIEW_URL={url}")

    def leftovers(self, preview: dict[str, Any]) -> list[str]:
        """Everything on this machine that is the preview's, looked for behind the product's back."""
        preview_id = preview["id"]
        found = [f"path {path}" for path in self.home.rglob(f"*{preview_id}*")]
        found += [
            f"branch {each.name}"
            for each in self.neon.branches(self.project_id)
            # A restore point is the promotion's, and is kept.
            if preview_id in each.name and not each.name.startswith("restore/")
        ]
        if preview["url"]:
            found += [f"process {pid}" for pid in self.processes(preview["url"])]
        found += orphaned_postgres(self.home)
        return [*found, *(name for name in docker_names() if preview_id in name)]


def docker_names() -> list[str]:
    """Whatever the engine has a name for: containers, images, networks, volumes; nothing without an engine."""
    if not shutil.which("docker"):
        return []
    found: list[str] = []
    for what in (
        "ps --all --format {{.Names}}",
        "images --format {{.Repository}}:{{.Tag}}",
        "network ls --format {{.Name}}",
        "volume ls --format {{.Name}}",
    ):
        asked = subprocess.run(["docker", *what.split()], capture_output=True, text=True, check=False)
        found += asked.stdout.splitlines()
    return found


def orphaned_postgres(home: Path) -> list[str]:
    """The postmasters of a home whose data directory is gone, of whichever branch."""
    found = []
    for pid, words in _of_all_processes("cmdline"):
        place = re.search(rb"-D\0([^\0]+)", words)
        if place and place[1].startswith(bytes(home)) and not Path(os.fsdecode(place[1])).exists():
            found.append(f"postgres {pid} on {os.fsdecode(place[1])}")
    return found


def end(pids: list[int]) -> None:
    """kill -9, and wait until they are gone: one may end with another, and none has ended as soon as it is told to."""
    those = {pid: birth(pid) for pid in pids}
    for pid in those:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(born is not None and birth(pid) == born for pid, born in those.items()):
        time.sleep(0.01)


def processes_with(variable: str) -> list[int]:
    """The processes that have this in their environment: NAME=VALUE."""
    return [
        pid
        for pid, environment in _of_all_processes("environ")
        if variable.encode() in environment.split(b"\0")
    ]


def processes_running(words: str) -> list[int]:
    """The processes that have these words in their command line, a zero byte between two."""
    return [pid for pid, line in _of_all_processes("cmdline") if words.encode() in line]


def _of_all_processes(file: str) -> list[tuple[int, bytes]]:
    """What /proc tells of every process, as far as it can be read."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        try:
            found.append((int(path.parent.name), path.read_bytes()))
        except OSError:
            continue
    return found
