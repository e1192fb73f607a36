"""From settings to a controller: the only room that knows every adapter. Decides nothing about previews."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from neon_client import NeonClient, Secret
from orchestrator.controller import Controller, Hooks
from orchestrator.database import connect
from orchestrator.errors import SettingsError, StepFailed
from orchestrator.lifecycle import Engine, Observer, Preview, State, Store
from orchestrator.lifecycle.store import whoami
from orchestrator.projects import STORE_PROJECT, find_project
from orchestrator.settings import Settings, home
from orchestrator.steps.border import translating
from orchestrator.steps.branch import BranchStep
from orchestrator.steps.check import CheckStep
from orchestrator.steps.discard import DiscardStep
from orchestrator.steps.freshness import Freshness
from orchestrator.steps.goal import Goal
from orchestrator.steps.launch import Candidates, LaunchStep
from orchestrator.steps.migrate import MigrateStep
from orchestrator.steps.project import COLD_SECONDS, NeonProject
from orchestrator.steps.promote import PromoteStep
from preview.choose import Kind
from preview.runtime import Runtime

NEON_URL = "https://console.neon.tech/api/v2"
EMBEDDED = "embedded"


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Everything that a command may need, put together."""

    settings: Settings
    store: Store
    project: NeonProject
    candidates: Candidates
    goal: Goal
    controller: Controller


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
    if not url.startswith(("https://", "http://")):
        raise SettingsError(
            f"project.neon is {where!r}", hint="use `embedded`, `neon` or the https URL of a Neon API"
        )
    with translating("opening the Neon client"), NeonClient(api_key=key, base_url=url) as neon:
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
    name = settings.store.url_env if settings else "PREVIEW_STORE_URL"
    uri = os.environ.get(name) or _embedded_store_uri()
    with connect(uri, purpose="store", patience_seconds=COLD_SECONDS) as connection:
        yield Store(connection, who=whoami())


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


@contextmanager
def open_project(settings: Settings) -> Iterator[NeonProject]:
    """The settings' project on Neon."""
    wanted = settings.project
    with open_neon(wanted.neon) as neon:
        project = find_project(neon, project_id=wanted.id, name=wanted.name)
        yield NeonProject(
            neon=neon,
            id=project.id,
            key=f"{wanted.neon}/{project.id}",
            database=wanted.database,
            wanted_role=wanted.role,
        )


@cache
def runtime(kind: str) -> Runtime:
    """The runtime of a kind; ``auto`` takes Docker where an engine answers."""
    from preview import open_runtime

    if kind not in ("auto", "docker", "process"):
        raise SettingsError(f"there is no runtime {kind!r}", hint="auto, docker or process")
    return open_runtime(cast("Kind", kind), home())


@contextmanager
def assemble(
    settings: Settings, observer: Observer, *, wait: Callable[[str], bool] = lambda _holder: False
) -> Iterator[Assembly]:
    """Everything, connected; closed at the end of the block."""
    with open_project(settings) as project, open_store(settings) as store:
        candidates = Candidates(settings, runtime)
        goal = Goal(project, settings)
        engine = Engine(
            store,
            {
                State.BRANCHING: BranchStep(project, lambda preview: _endpoint_settings(settings, preview)),
                State.MIGRATING: MigrateStep(project, goal),
                State.LAUNCHING: LaunchStep(project, candidates),
                State.CHECKING: CheckStep(project),
                State.PROMOTING: PromoteStep(project),
                State.DISCARDING: DiscardStep(project, candidates),
            },
            observer,
        )
        controller = Controller(
            store=store,
            project=project.key,
            engine=engine,
            hooks=Hooks(
                prepare=candidates.prepare,
                freshness=Freshness(project, goal, candidates, observer.detail),
                runtime_kind=lambda: runtime_kind(settings),
            ),
            blocking_hazards=settings.promote.block,
            allowed=settings.promote.allow,
            wait=wait,
        )
        yield Assembly(
            settings=settings,
            store=store,
            project=project,
            candidates=candidates,
            goal=goal,
            controller=controller,
        )


def runtime_kind(settings: Settings) -> str:
    """Which runtime a new preview is begun on.

    Raises:
        StepFailed: the wanted one is not usable on this machine.
    """
    with translating("choosing the runtime"):
        chosen = runtime(settings.runtime.kind)
        reason = chosen.available()
    if reason:
        raise StepFailed(
            f"the {chosen.kind} runtime cannot be used: {reason}", hint="`preview doctor` says more"
        )
    return chosen.kind


def _endpoint_settings(settings: Settings, preview: Preview) -> Mapping[str, Any] | None:
    """Where the embedded server's compute of a preview's branch listens: also where the candidate can reach it.

    Only a preview's branch is asked to; production's compute stays on loopback. Neon itself is reached over the
    network and needs nothing.
    """
    if settings.project.neon != EMBEDDED:
        return None
    with translating("finding how the app reaches this machine"):
        bind = runtime(preview.facts["runtime"]).host_address().bind
    addresses = dict.fromkeys(("127.0.0.1", bind))
    return {"pg_settings": {"listen_addresses": ",".join(addresses)}}
