"""A team's server as processes that can be killed: servers and workers on a PostgreSQL of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from neon_embedded import find_binaries
from orchestrator import opening
from orchestrator.access import Role, Tokens
from orchestrator.api.site import Site
from orchestrator.database import connect
from orchestrator.jobs.book import Book, Job
from orchestrator.lifecycle import Preview, Store
from orchestrator.settings import load
from tests.acceptance.shop import Shop


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server of a test's own, for a store; its URI. It is gone afterwards."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    binaries = find_binaries(16, folder)
    who: dict[str, object] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subprocess.run(  # type: ignore[call-overload]
        [binaries.initdb, "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
        check=True, capture_output=True, **who,
    )  # fmt: skip
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(  # type: ignore[call-overload]
            [
                *(binaries.postgres, "-D", folder / "data", "-k", folder, "-p", str(port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"),
            ],
            stdout=log, stderr=log, **who,
        )  # fmt: skip
    uri = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    try:
        connect(uri, purpose="test", patience_seconds=60).close()
        yield uri
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait()


@dataclass(frozen=True)
class Outcome:
    """What has become of a job."""

    act: str
    ended: bool
    error: dict[str, Any] | None


@dataclass
class Crew:
    """Servers and workers on one shop and one store, each a forked process that does what its command does.

    Attributes:
        shop: its folder is the server's.
        uri: of the store.
        ports: of each server, by its name.
        pids: of each that runs, by its name.
    """

    shop: Shop
    uri: str
    ports: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    def serve(self, name: str, *, workers: int = 0) -> None:
        """`preview serve`; begun again under its name it has its port again."""
        if name not in self.ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports[name] = probe.getsockname()[1]
        port = self.ports[name]

        def run() -> None:
            from orchestrator.server import serve

            serve(
                load(self.shop.folder / "preview.toml"),
                host="127.0.0.1",
                port=port,
                workers=workers,
                say=lambda _url: None,
            )

        self._fork(name, run)

    def work(self, name: str, *, jobs: int = 2) -> None:
        """`preview worker`."""

        def run() -> None:
            from orchestrator.server import work

            work(load(self.shop.folder / "preview.toml"), jobs=jobs, say=lambda _text: None)

        self._fork(name, run)

    def _fork(self, name: str, act: Callable[[], None]) -> None:
        child = os.fork()
        if child:
            self.pids[name] = child
            return
        try:
            for each in [each for each in os.environ if each.startswith(("PREVIEW_", "NEON_", "PG"))]:
                del os.environ[each]
            os.environ.update(
                {"PREVIEW_HOME": str(self.shop.home), "PREVIEW_STORE_URL": self.uri, **self.shop.environment}
            )
            opening._opened.cache_clear()
            os.setsid()
            os.chdir(self.shop.folder)
            with (self.shop.folder.parent / f"{name}.log").open("a") as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.stdout = sys.stderr = said
                try:
                    act()
                except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
                    traceback.print_exc(file=said)
        finally:
            os._exit(0)

    def kill(self, name: str) -> None:
        """kill -9."""
        pid = self.pids.pop(name)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def end(self) -> None:
        """As Ctrl-C does."""
        running = [self.pids[name] for name in self.pids if self.runs(name)]
        for pid in running:
            os.kill(pid, signal.SIGTERM)
        for pid in running:
            os.waitpid(pid, 0)
        self.pids.clear()

    def logs(self) -> str:
        """What was logged as an error, by anybody."""
        lines = [
            f"{path.name}: {line}"
            for path in self.shop.folder.parent.glob("*.log")
            for line in path.read_text(errors="replace").splitlines()
            if '"level": "error"' in line or "Traceback" in line
        ]
        return "\n".join(lines[-20:])

    # what the store holds, whoever of them lives

    def token(self, role: Role, who: str) -> str:
        """A token's text."""
        with self.store() as store:
            return Tokens(store.connection).create(who=who, role=role, by="test")[1].reveal()

    @contextmanager
    def store(self) -> Iterator[Store]:
        with connect(self.uri, purpose="test", patience_seconds=30) as connection:
            yield Store(connection, who="test")

    def prepare(self) -> None:
        """The store's and the queue's tables."""
        os.environ["PREVIEW_STORE_URL"] = self.uri
        try:
            Site(load(self.shop.folder / "preview.toml"), project="embedded/none").close()
        finally:
            del os.environ["PREVIEW_STORE_URL"]

    def jobs(self) -> tuple[Job, ...]:
        """All of them, newest first."""
        with self.store() as store:
            return Book(store.connection).of_project(self.project, limit=100_000)

    def look(self) -> tuple[dict[str, Outcome], set[str]]:
        """Every job's end, and the names of live previews; cheap."""
        with connect(self.uri, purpose="test", patience_seconds=30) as connection:
            jobs = connection.execute(
                "select id, act, ended_at is not null, error from preview_control.job"
            ).fetchall()
            live = connection.execute(
                "select name from preview_control.preview where state <> 'closed' and not shadow"
            ).fetchall()
        return {row[0]: Outcome(*row[1:]) for row in jobs}, {name for (name,) in live}

    def rows(self) -> tuple[Preview, ...]:
        with self.store() as store:
            return store.live(closed=True)

    @property
    def project(self) -> str:
        return f"embedded/{self.shop.project_id}"

    def runs(self, name: str) -> bool:
        """Whether it has not ended by itself."""
        return os.waitpid(self.pids[name], os.WNOHANG) == (0, 0)

    def answers(self, name: str) -> bool:
        """Whether a server does."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[name]}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def open_crew(make_small_shop: Callable[..., Shop], folder: Path) -> Iterator[Crew]:
    """A small shop's crew, nobody of it begun yet, on a store of its own; all of them have ended afterwards."""
    shop = make_small_shop(more="[server]\nlocal_processes = true\n")
    with postgres(folder / f"store-of-{shop.name}") as uri:
        shop.environment["PREVIEW_STORE_URL"] = uri
        made = Crew(shop, uri)
        try:
            made.prepare()
            yield made
        finally:
            del shop.environment["PREVIEW_STORE_URL"]
            made.end()
