"""Doors: the Neon client, the diary and the runtime, opened. All that `list` and `history` need; decides nothing."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

from neon_client import NeonClient, Secret
from neon_client.errors import NeonUnreachable
from neon_client.retry import Patience
from orchestrator import faults
from orchestrator.database import COLD_SECONDS, HOLDS_LOCKS, LOOPBACK, connect
from orchestrator.errors import SettingsError, StepFailed
from orchestrator.lifecycle.around import losing_store, whoami
from orchestrator.lifecycle.store import Store
from orchestrator.projects import STORE_PROJECT
from orchestrator.settings import Settings, home
from orchestrator.steps.border import translating
from preview.choose import Kind
from preview.runtime import Runtime

NEON_URL = "https://console.neon.tech/api/v2"
EMBEDDED = "embedded"

T = TypeVar("T")


class _ThisMachine(Patience):
    """Patience with the embedded server: no network lies between, so when nobody answers the server has ended."""

    def run(self, attempt: Callable[[], T]) -> T:
        """See Patience."""
        try:
            return super().run(attempt)
        except NeonUnreachable as error:
            error.hint = "run the same command again: it starts the embedded server and goes on"
            raise


@contextmanager
def open_neon(where: str) -> Iterator[NeonClient]:
    """A client for ``embedded`` (started when it is not running), ``neon`` or the URL of a Neon API.

    Raises:
        SettingsError: no API key is set.
        StepFailed: the embedded server cannot be started.
    """
    if where == EMBEDDED:
        url, key = _embedded()
    else:
        given = os.environ.get("NEON_API_KEY", "")
        if not given:
            raise SettingsError("$NEON_API_KEY is not set", hint="make a key in Neon's console and export it")
        url, key = (NEON_URL if where == "neon" else where), Secret(given)
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        # The key would cross the network for everybody to read.
        raise SettingsError(
            f"project.neon is {where!r}", hint="use `embedded`, `neon` or the https URL of a Neon API"
        )
    patience = _ThisMachine() if where == EMBEDDED else Patience()
    with (
        translating("opening the Neon client"),
        NeonClient(
            api_key=key,
            base_url=url,
            patience=patience,
            transport=faults.Transport() if faults.active() else None,
        ) as neon,
    ):
        yield neon


def _embedded() -> tuple[str, Secret]:
    from neon_embedded import EmbeddedError, ensure_running

    try:
        running = ensure_running(home())
    except EmbeddedError as error:
        raise StepFailed(f"the embedded Neon server: {error.message}", hint=error.hint) from error
    return running.base_url, running.api_key


@contextmanager
def open_store(settings: Settings | None) -> Iterator[Store]:
    """The diary: the database that the settings name, else an embedded one."""
    uri = store_uri(settings)
    # Whatever else speaks to PostgreSQL translates its errors itself: one that comes this far is the store's.
    with (
        losing_store(),
        connect(uri, purpose="store", patience_seconds=COLD_SECONDS, settings=HOLDS_LOCKS) as connection,
    ):
        yield Store(connection, who=whoami())


def store_uri(settings: Settings | None) -> str:
    """The URI of the store's database; holds a password."""
    name = settings.store.url_env if settings else "PREVIEW_STORE_URL"
    return os.environ.get(name) or _embedded_store_uri()


def _embedded_store_uri() -> str:
    """The embedded store's URI; its project is made on first use, once even when two commands come at once."""
    with open_neon(EMBEDDED) as neon, (home() / "store.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with translating("opening the embedded store"):
            found = [project for project in neon.projects() if project.name == STORE_PROJECT]
            project = (
                found[0]
                if found
                else neon.create_project(
                    name=STORE_PROJECT, database_name="preview", role_name="preview_owner"
                ).project
            )
            main = neon.default_branch(project.id)
            uri = neon.connection_uri(project.id, branch_id=main.id, database="preview", role="preview_owner")
    return uri.reveal()


def runtime(kind: str) -> Runtime:
    """The runtime of a kind; ``auto`` takes Docker where an engine answers."""
    return _opened(kind, home())


@cache
def _opened(kind: str, where: Path) -> Runtime:
    """One for each home: what a runtime keeps is there."""
    from preview import open_runtime

    if kind not in ("auto", "docker", "process"):
        raise SettingsError(f"there is no runtime {kind!r}", hint="auto, docker or process")
    opened = open_runtime(cast("Kind", kind), where)
    if not faults.active():
        return opened
    from preview import EngineUnreachable

    return faults.with_points(opened, EngineUnreachable)
