"""launching -> checking: the new app on the migrated branch, healthy behind a URL. Touches the runtime."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from neon_client.models import ConnectionURI
from orchestrator.checks.report import Finding
from orchestrator.database import LOOPBACK
from orchestrator.errors import SettingsError, StepFailed
from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.settings import Settings
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject
from orchestrator.steps.safety import NO_PRODUCTION, refuse_production, scan
from orchestrator.steps.surroundings import Surroundings, labels, service_name
from preview.errors import LaunchFailed, PreviewError, Unhealthy
from preview.runtime import Runtime
from preview.spec import BuildSpec, CandidateSpec, HealthCheck, Image, Private, Resources

#: What a version that is tried is called on the preview's network.
_TRIALS = {"current": "trial", "new": "trial-new"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of the app.

    Attributes:
        image: what a container runs; None for a local process.
        command: the program and its arguments; empty: the image's own.
        folder: where a local process runs.
    """

    image: Image | None = None
    command: tuple[str, ...] = ()
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a version is waited for, seconds: until it is healthy, and while it keeps saying that it is not."""

    seconds: float
    steady: float = float("inf")


class Candidates:
    """What we ask of the runtime for a preview: its image, its container or process, their removal."""

    def __init__(
        self,
        settings: Settings,
        open_runtime: Callable[[str], Runtime],
        production: Callable[[], tuple[str, ...]],
        surroundings: Surroundings,
    ) -> None:
        self._surroundings = surroundings
        self._settings = settings
        self._production = production
        self._open_runtime = open_runtime
        self._builds: dict[str, _Build] = {}

    def runtime(self, preview: Preview) -> Runtime:
        """The runtime that this preview was begun on; it does not change while it lives."""
        with translating("opening the runtime"):
            return self._open_runtime(preview.facts["runtime"])

    def prepare(self, preview: Preview) -> None:
        """Start building the image beside everything else; `image` waits for it."""
        if preview.id not in self._builds:
            runtime = self.runtime(preview)
            self._builds[preview.id] = _Build(lambda say: self._make_image(runtime, preview, say))

    def image(self, preview: Preview, detail: Callable[[str], None]) -> Image | None:
        """The image of this preview, when it is there; None for a local process that has none.

        Raises:
            StepFailed: it cannot be built or found.
        """
        self.prepare(preview)
        with translating("getting the image"):
            return self._builds[preview.id].result(detail)

    def rely_on(self, preview: Preview, image: Image) -> None:
        """Take this image for the preview's, instead of building one."""
        self._builds[preview.id] = _Build(lambda _say: image)

    def _make_image(self, runtime: Runtime, preview: Preview, say: Callable[[str], None]) -> Image | None:
        app = self._settings.app
        if app.image and runtime.kind != "process":
            return runtime.image(app.image)
        return self.build(
            runtime, self._settings.path(app.context), image_tag(preview), say, labels=labels(preview)
        )

    def build(
        self,
        runtime: Runtime,
        context: Path,
        tag: str,
        say: Callable[[str], None],
        *,
        labels: Mapping[str, str] | None = None,
    ) -> Image:
        """Build a folder as the settings say; the errors are the runtime's."""
        app = self._settings.app
        return runtime.build(
            BuildSpec(
                context=context,
                dockerfile=app.dockerfile,
                tag=tag,
                target=app.target,
                build_args=app.build_args,
                network=app.build_network,
                labels=labels or {},
            ),
            say,
        )

    def start(
        self, preview: Preview, uri: ConnectionURI, image: Image | None, detail: Callable[[str], None]
    ) -> str:
        """Bring the candidate up and return its URL, ``http://127.0.0.1:PORT``.

        Raises:
            StepFailed: it does not start, does not get healthy, or the wanted port is in use.
        """
        runtime = self.runtime(preview)
        spec = self._around(preview, uri, image, detail)
        detail(f"starting {spec.name} and waiting until {self._settings.app.health} is healthy")
        with translating(f"starting {spec.name}"):
            url = runtime.start(spec).url
        self._surroundings.let_in(preview, runtime, "app", url)
        return url

    def _around(
        self, preview: Preview, uri: ConnectionURI, image: Image | None, detail: Callable[[str], None]
    ) -> CandidateSpec:
        """Make what stands around the candidate; returns how it runs."""
        runtime = self.runtime(preview)
        self._surroundings.ensure(preview, runtime, "app", uri, detail)
        spec = self._candidate(preview, uri, image)
        self._surroundings.start_services(preview, runtime, image, spec.environment, self._refuse, detail)
        return spec

    def _candidate(self, preview: Preview, uri: ConnectionURI, image: Image | None) -> CandidateSpec:
        """What runs for a preview."""
        runtime, app = self.runtime(preview), self._settings.app
        if runtime.kind == "process" and not app.command:
            raise SettingsError(
                "the `process` runtime needs app.command in preview.toml",
                hint='for example command = ["python", "app.py"]; or start a Docker engine',
            )
        local = runtime.kind == "process"
        version = Version(
            image=image,
            command=tuple(app.command if local else app.container_command),
            folder=self._settings.path(app.context) if local else None,
        )
        return replace(
            self._spec(preview, uri, version, candidate_name(preview), "app"),
            host_port=self._settings.runtime.host_port,
        )

    def start_trial(
        self, preview: Preview, uri: ConnectionURI, which: str, version: "Version", health: "Patience"
    ) -> str:
        """Bring a version up beside the candidate, under a name of its own, and return its URL.

        Args:
            preview: whose.
            uri: of the branch that it is tried on.
            which: `current` or `new`.
            version: how that is run.
            health: how long it is waited for.

        Raises:
            LaunchFailed, Unhealthy: as the runtime says it: that is what a trial is for.
            StepFailed: the runtime does not answer.
        """
        alias = _TRIALS[which]
        spec = self._spec(preview, uri, version, trial_candidate(preview, which), alias)
        waits = replace(spec.health, timeout_seconds=health.seconds, steady_seconds=health.steady)
        spec = replace(spec, health=waits)
        runtime = self.runtime(preview)
        self._surroundings.ensure(preview, runtime, alias, uri, lambda _text: None)
        try:
            url = runtime.start(spec).url
        except (LaunchFailed, Unhealthy):
            raise
        except PreviewError as error:
            raise StepFailed(f"starting {spec.name}: {error.message}", hint=error.hint) from error
        self._surroundings.let_in(preview, runtime, alias, url)
        return url

    def trial_log(self, preview: Preview, which: str, lines: int) -> tuple[str, ...]:
        """The last lines of a version that is tried."""
        name = trial_candidate(preview, which)
        with translating(f"reading the log of {name}"):
            return tuple(self.runtime(preview).logs(name, tail=lines))

    def stop_trial(self, preview: Preview, which: str) -> None:
        """Stop a version that is tried; absent is fine."""
        name = trial_candidate(preview, which)
        with translating(f"stopping {name}"):
            self.runtime(preview).stop(name)
        self._surroundings.forget(preview, _TRIALS[which])

    def _spec(
        self, preview: Preview, uri: ConnectionURI, version: "Version", name: str, alias: str
    ) -> CandidateSpec:
        app = self._settings.app
        return CandidateSpec(
            name=name,
            image=version.image,
            command=version.command,
            working_directory=version.folder,
            # The runtime adds PORT, and PREVIEW_URL where there is no gateway: it is the one that chooses the port.
            environment={
                **self.environment(preview),
                "DATABASE_URL": self.reachable(self.runtime(preview), uri).reveal(),
                "PREVIEW_NAME": preview.name,
                **({"PREVIEW_URL": url} if (url := self.public_url(preview)) else {}),
            },
            port=app.port,
            labels=labels(preview),
            health=HealthCheck(path=app.health, timeout_seconds=app.health_timeout_seconds),
            resources=Resources(memory_bytes=app.memory_bytes, cpus=app.cpus, pids=app.pids),
            private=self.private(preview, alias, uri),
        )

    def private(self, preview: Preview, alias: str, uri: ConnectionURI) -> Private | None:
        """The network of a preview on which this container of it is."""
        return self._surroundings.private(preview, self.runtime(preview), alias, uri)

    def surround(
        self, preview: Preview, alias: str, uri: ConnectionURI, detail: Callable[[str], None]
    ) -> None:
        """The network and the ways out of a container that is no candidate; `leave` takes them back."""
        self._surroundings.ensure(preview, self.runtime(preview), alias, uri, detail)

    def leave(self, preview: Preview, alias: str) -> None:
        """See surround."""
        self._surroundings.forget(preview, alias)

    def egress(self, preview: Preview) -> Finding:
        """What the report says of the ways out."""
        return self._surroundings.finding(self.runtime(preview))

    def public_url(self, preview: Preview) -> str | None:
        """The URL of this preview's name, where there is a gateway."""
        gateway = self._settings.gateway
        return gateway.url(preview.name) if gateway.enabled else None

    def sleep(self, preview: Preview) -> None:
        """End the candidate and keep what waking needs; absent is fine."""
        with translating(f"putting {candidate_name(preview)} to sleep"):
            self.runtime(preview).sleep(candidate_name(preview))
            for name in self._settings.services:
                self.runtime(preview).sleep(service_name(preview, name))

    def wake(self, preview: Preview, uri: Callable[[], ConnectionURI], detail: Callable[[str], None]) -> str:
        """Start the candidate that sleeps, and return its URL.

        Raises:
            StepFailed: it does not get healthy again, or cannot be started.
        """
        runtime, app = self.runtime(preview), self._settings.app
        health = HealthCheck(path=app.health, timeout_seconds=app.health_timeout_seconds)

        def make() -> CandidateSpec:
            kept = preview.facts.get("image")
            image = Image(reference=kept["reference"], id=kept["id"]) if kept else None
            return self._candidate(preview, uri(), image)

        if self._settings.services or not self._surroundings.stand(preview, runtime):
            kept = preview.facts.get("image")
            image = Image(reference=kept["reference"], id=kept["id"]) if kept else None
            self._around(preview, uri(), image, detail)
        detail(f"waking {candidate_name(preview)} and waiting until {app.health} is healthy")
        with translating(f"waking {candidate_name(preview)}"):
            url = runtime.wake(candidate_name(preview), health, make).url
        self._surroundings.let_in(preview, runtime, "app", url)
        return url

    def stands(self, preview: Preview) -> bool:
        """Whether what a preview's app is reached by, and reaches others by, is there."""
        return self._surroundings.stand(preview, self.runtime(preview))

    def open_again(self, preview: Preview, uri: ConnectionURI, detail: Callable[[str], None]) -> None:
        """Bring that back beside an app that runs on; its services stay as they are.

        Raises:
            StepFailed: it cannot be had.
        """
        runtime = self.runtime(preview)
        self._surroundings.ensure(preview, runtime, "app", uri, detail)
        self._surroundings.let_in(preview, runtime, "app", preview.facts["url"])

    def reachable(self, runtime: Runtime, uri: ConnectionURI) -> ConnectionURI:
        """The URI as a candidate has to dial it."""
        with translating(f"reaching this machine from the {runtime.kind} runtime"):
            return uri.with_host(runtime.host_address().name) if uri.host in LOOPBACK else uri

    def environment(self, preview: Preview) -> dict[str, str]:
        """What the settings give to everything of the app that runs for a preview; never to production's.

        Raises:
            Refused: it names a machine of production.
        """
        around = self._surroundings.environment(preview, self.runtime(preview))
        given = {**self._settings.app.env, **self.passed_on(), **around}
        refuse_production(self.scanned(given))
        return given

    def scanned(self, environment: Mapping[str, str]) -> tuple[Finding, ...]:
        """Which of these variables name a machine of production."""
        return scan(environment, self._production(), self._settings.safety.production_allowed)

    def _refuse(self, environment: Mapping[str, str]) -> None:
        refuse_production(self.scanned(environment))

    def passed_on(self) -> dict[str, str]:
        """The variables that the settings pass on from our own environment.

        Raises:
            SettingsError: one is not set.
        """
        return passed_on("app.env_from", self._settings.app.env_from)

    def withdraw(self, preview: Preview) -> None:
        """Stop the candidate and keep its image; absent is fine."""
        with translating(f"stopping {candidate_name(preview)}"):
            self.runtime(preview).stop(candidate_name(preview))
        self._surroundings.stop_services(preview, self.runtime(preview))


class LaunchStep:
    """Gets the image, wires it to the branch, waits until it is healthy."""

    def __init__(self, project: NeonProject, candidates: Candidates) -> None:
        self._project = project
        self._candidates = candidates

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Bring the candidate up."""
        image = self._candidates.image(preview, detail)
        uri = self._project.uri(preview.facts["branch"]["id"])
        runtime = self._candidates.runtime(preview)
        detail("looking for production's machines in the environment")
        baked = runtime.image_environment(image) if image else {}
        found = self._candidates.scanned({**baked, **self._candidates.environment(preview)})
        refuse_production(found)
        egress = self._candidates.egress(preview)
        url = self._candidates.start(preview, uri, image, detail)
        kind = runtime.kind
        how = "local process, no isolation" if kind == "process" else (image.reference if image else "")
        return Advance(
            to=State.CHECKING,
            note=f"{url} ({how})",
            facts={
                "url": url,
                "public_url": self._candidates.public_url(preview),
                "sleeping_since": None,
                "image": {"reference": image.reference, "id": image.id} if image else None,
                "safety": [finding.to_json() for finding in (*(found or (NO_PRODUCTION,)), egress)],
            },
        )


class _Build:
    """An image build in a thread of its own; its lines reach whoever waits for it."""

    def __init__(self, make: Callable[[Callable[[str], None]], Image | None]) -> None:
        self._say: Callable[[str], None] = lambda _text: None
        self._image: Image | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(make,), name="image build", daemon=True)
        self._thread.start()

    def _run(self, make: Callable[[Callable[[str], None]], Image | None]) -> None:
        try:
            self._image = make(self._tell)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error

    def _tell(self, text: str) -> None:
        # Looked up anew for each line: nobody listens until somebody waits for the result.
        self._say(text)

    def result(self, detail: Callable[[str], None]) -> Image | None:
        self._say = detail
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._image


def passed_on(setting: str, names: Iterable[str]) -> dict[str, str]:
    """Variables that a setting passes on from our own environment.

    Raises:
        SettingsError: one is not set.
    """
    wanted = tuple(names)
    missing = [name for name in wanted if name not in os.environ]
    if missing:
        raise SettingsError(
            f"{setting} names variables that are not set: {', '.join(missing)}",
            hint="export them, or take them out of preview.toml",
        )
    return {name: os.environ[name] for name in wanted}


def candidate_name(preview: Preview) -> str:
    """The derived name of a preview's container or process."""
    return f"preview-{preview.slug}"


def task_name(preview: Preview) -> str:
    """The derived name of the container in which a preview's migration command runs."""
    return f"{candidate_name(preview)}-migrate"


def trial_candidate(preview: Preview, which: str) -> str:
    """The derived name of the container or process in which a version of the app is tried, `current` or `new`."""
    return f"{candidate_name(preview)}-{_TRIALS[which]}"


def image_tag(preview: Preview) -> str:
    """The derived tag of a preview's image."""
    return f"preview-candidate:{preview.slug}"
