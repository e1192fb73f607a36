"""The Docker runtime: a candidate is a container. Knows the engine through the docker SDK only, never its command.

What a container gets: an init process, no new privileges, the default capabilities less those that a web app has
no use for (dropping all of them breaks images whose root process chowns, binds port 80 or steps down to a user),
its limits, a bounded log, its port on 127.0.0.1 only, and `host.docker.internal` for this machine.
"""

import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import docker.errors
from docker.types import LogConfig

from preview.engine import (
    connect,
    engine_address,
    engine_errors,
    explanation,
    is_local,
    runs_in_a_machine_of_its_own,
)
from preview.errors import (
    EngineUnreachable,
    LaunchFailed,
    PortInUse,
    PreviewError,
    Unhealthy,
    UnknownCandidate,
)
from preview.health import LOOPBACK, look, wait_until_healthy
from preview.image import OURS, build_image, find_image, remove_built_image
from preview.network import ensure_network, is_missing_network, withdraw_network
from preview.ports import free_ports
from preview.spec import BuildSpec, Candidate, CandidateSpec, HostAddress, Image, fingerprint, redact

HOST_NAME = "host.docker.internal"
SPEC_LABEL = "dev.preview.runtime.spec"
PORT_LABEL = "dev.preview.runtime.port"

_DROPPED_CAPABILITIES = ["AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"]
_GRACE_SECONDS = 5
_TAIL_LINES = 40
_ATTEMPTS = 8


class DockerRuntime:
    """Runs candidates as containers; see Runtime.

    Attributes:
        kind: `docker`.
        network: the name of the network that all candidates share.
    """

    kind = "docker"

    def __init__(self, *, network: str = "preview") -> None:
        self.network = network
        self._client_once: Any = None
        self._lock = threading.Lock()

    def available(self) -> str | None:
        try:
            address, _ = engine_address()
            if not is_local(address):
                return f"the Docker engine at {address} is another machine's; unset DOCKER_HOST or change the context"
            options = self._client().info().get("SecurityOptions") or []
        except PreviewError as error:
            return f"{error.message}; {error.hint}"
        except Exception as error:  # noqa: BLE001 - the answer to "is it usable" is no, whatever went wrong
            return f"the Docker engine does not answer properly ({type(error).__name__}); look at its own log"
        if any("rootless" in option for option in options):
            return "the Docker engine is rootless: its containers cannot reach this machine; use the system's engine"
        return None

    def build(self, spec: BuildSpec, progress: Callable[[str], None]) -> Image:
        return build_image(self._client(), spec, progress)

    def image(self, reference: str) -> Image:
        return find_image(self._client(), reference)

    def remove_image(self, reference: str) -> None:
        remove_built_image(self._client(), reference)

    def host_address(self) -> HostAddress:
        client = self._client()
        with engine_errors("looking for the bridge's gateway"):
            if runs_in_a_machine_of_its_own(client):
                return HostAddress(name=HOST_NAME, bind=LOOPBACK)
            bridge = client.networks.get("bridge").attrs
        for config in (bridge.get("IPAM") or {}).get("Config") or []:
            if ":" not in config.get("Subnet", ":"):
                first = next(ipaddress.ip_network(config["Subnet"]).hosts())
                return HostAddress(name=HOST_NAME, bind=config.get("Gateway") or str(first))
        raise LaunchFailed(
            "the Docker engine's default bridge has no IPv4 gateway, so no container could reach this machine",
            hint="start dockerd without --bridge=none",
        )

    def start(self, spec: CandidateSpec) -> Candidate:
        if spec.image is None:
            raise LaunchFailed(
                f"{spec.name} has no image to run", hint="build one, or name one in the settings"
            )
        with engine_errors(f"starting {spec.name}"):
            container, port = self._ensure_running(spec)
            self._wait(spec, container, port)
            # Only now: an engine that restarts a container which ends at once would hide that it does.
            container.update(restart_policy={"Name": "unless-stopped"})
            container.reload()
            return _candidate(container)

    def observe(self, name: str) -> Candidate | None:
        with engine_errors(f"looking at {name}"):
            container = self._find(name)
            return _candidate(container) if container else None

    def logs(self, name: str, *, tail: int = 100, follow: bool = False) -> Iterator[str]:
        with engine_errors(f"reading the log of {name}"):
            container = self._find(name)
            if container is None:
                raise UnknownCandidate(f"no container of ours is named {name}")
            stream = container.logs(stream=True, follow=follow, tail=tail)
        return _lines(name, stream)

    def stop(self, name: str) -> None:
        with engine_errors(f"stopping {name}"):
            if (container := self._find(name)) is not None:
                self._remove(container)
            withdraw_network(self._client(), self.network)

    def list(self, labels: Mapping[str, str]) -> tuple[Candidate, ...]:
        wanted = [OURS, *(f"{key}={value}" for key, value in labels.items())]
        with engine_errors("listing containers"):
            # ignore_removed: one that goes away while we list it is simply not there.
            found = self._client().containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
            return tuple(sorted((_candidate(container) for container in found), key=lambda c: c.name))

    def _client(self) -> Any:
        with self._lock:
            if self._client_once is None:
                self._client_once = connect()
            return self._client_once

    def _find(self, name: str) -> Any:
        """The container of ours with this name, or None; somebody else's is an error, never touched."""
        try:
            container = self._client().containers.get(name)
        except docker.errors.NotFound:
            return None
        if container.name != name:  # the engine also takes the beginning of an id for a name
            return None
        if OURS not in container.labels:
            raise LaunchFailed(
                f"a container named {name} exists that is not ours",
                hint=f"rename or remove it: docker rm {name}",
            )
        return container

    def _ensure_running(self, spec: CandidateSpec) -> tuple[Any, int]:
        """Find or make the container and start it; several turns, because others may come in between."""
        ports = iter((spec.host_port,)) if spec.host_port is not None else free_ports(spec.name)
        wanted = fingerprint(spec)
        for _ in range(_ATTEMPTS):
            container = self._find(spec.name)
            if container is not None and (
                container.labels.get(SPEC_LABEL) != wanted
                or container.status in ("dead", "removing", "restarting")
            ):
                self._remove(container)
                container = None
            try:
                if container is None:
                    port = next(ports, None)
                    if port is None:
                        raise PortInUse(
                            f"port {spec.host_port} on 127.0.0.1 is in use, so {spec.name} cannot be published there"
                            if spec.host_port
                            else "no port between 20000 and 32767 is free on 127.0.0.1",
                            hint="end what listens there, or give another port",
                        )
                    container = self._create(spec, port)
                port = int(container.labels[PORT_LABEL])
                if container.status == "paused":
                    container.unpause()
                elif container.status != "running":
                    container.update(restart_policy={"Name": "no"})
                    container.start()
            except docker.errors.APIError as error:
                if error.status_code == 409 and container is None:
                    continue  # somebody took the name a moment ago: look again
                if container is not None:
                    self._remove(container)
                if is_missing_network(error):
                    continue
                if not _is_taken_port(error):
                    raise LaunchFailed(
                        f"the Docker engine cannot start {spec.name}: {explanation(error)}",
                        hint="see the image's CMD and the settings' command",
                    ) from error
                if spec.host_port is not None and _is_taken_port(error):
                    ports = iter(())
            else:
                return container, port
        raise LaunchFailed(
            f"{spec.name} could not be started: others keep getting in between", hint="do it again"
        )

    def _create(self, spec: CandidateSpec, port: int) -> Any:
        client = self._client()
        assert spec.image is not None  # noqa: S101 - start refuses such a spec
        environment = {"PORT": str(spec.port), "PREVIEW_URL": f"http://{LOOPBACK}:{port}", **spec.environment}
        limits: dict[str, Any] = {}
        if spec.resources.memory_bytes is not None:
            limits |= {"mem_limit": spec.resources.memory_bytes, "memswap_limit": spec.resources.memory_bytes}
        if spec.resources.cpus is not None:
            limits["nano_cpus"] = int(spec.resources.cpus * 1_000_000_000)
        if spec.resources.pids is not None:
            limits["pids_limit"] = spec.resources.pids
        if spec.command:
            limits["command"] = [word.replace("{port}", environment["PORT"]) for word in spec.command]
        if spec.working_directory is not None:
            limits["working_dir"] = str(spec.working_directory)
        try:
            return client.containers.create(
                spec.image.id,
                name=spec.name,
                environment=environment,
                labels={**spec.labels, OURS: "1", SPEC_LABEL: fingerprint(spec), PORT_LABEL: str(port)},
                network=ensure_network(client, self.network),
                ports={f"{spec.port}/tcp": (LOOPBACK, port)},
                extra_hosts={HOST_NAME: "host-gateway"},
                init=True,
                cap_drop=_DROPPED_CAPABILITIES,
                security_opt=["no-new-privileges:true"],
                log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
                **limits,
            )
        except docker.errors.ImageNotFound as error:
            raise LaunchFailed(
                f"{spec.name}'s image {spec.image.reference} is not on this machine any more",
                hint="build it again",
            ) from error

    def _wait(self, spec: CandidateSpec, container: Any, port: int) -> None:
        if look(port, spec.health).healthy and _ended(container) is None:
            return
        seen = wait_until_healthy(port, spec.health, lambda: _ended(container))
        if seen.healthy:
            return
        ended = _ended(container)
        status = ended or seen.status
        tail = container.logs(tail=_TAIL_LINES).decode(errors="replace").splitlines()
        if ended:
            message = f"{spec.name} {ended} before it was healthy"
            hint = "its last lines are in the log's tail"
            if "out of memory" in ended:
                hint = "give it more memory in the settings"
        else:
            message = (
                f"{spec.name} was not healthy within {spec.health.timeout_seconds:g} s: "
                f"GET {spec.health.path} on port {spec.port}: {status}"
            )
            hint = f"the app has to answer 2xx or 3xx there, listening on 0.0.0.0:{spec.port} inside its container"
        raise Unhealthy(message, status=status, hint=hint, log_tail=redact(tail, spec.environment))

    def _remove(self, container: Any) -> None:
        """Stop and remove, and look until it is gone."""
        with suppress(docker.errors.NotFound):
            # A container that is not running answers at once; its restart policy ends with the stop.
            container.stop(timeout=_GRACE_SECONDS)
        try:
            container.remove(v=True, force=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != 409:  # 409: somebody else is removing it just now
                raise
        with suppress(docker.errors.NotFound):
            container.wait(condition="removed", timeout=60)
        with suppress(docker.errors.NotFound):
            container.reload()
            raise EngineUnreachable(
                f"container {container.name} is still there after its removal", hint="do it again"
            )


def _candidate(container: Any) -> Candidate:
    state = container.attrs["State"]
    mine = {key: value for key, value in container.labels.items() if not key.startswith(OURS)}
    return Candidate(
        name=container.name,
        id=container.id,
        url=f"http://{LOOPBACK}:{container.labels.get(PORT_LABEL, '0')}",
        state=container.status,
        exit_code=state.get("ExitCode") if container.status in ("exited", "dead") else None,
        labels=mine,
    )


def _ended(container: Any) -> str | None:
    """How the container ended, fit for a sentence; None while it runs."""
    try:
        container.reload()
    except docker.errors.NotFound:
        return "was removed by somebody else"
    state = container.attrs["State"]
    if container.status in ("running", "created", "paused"):
        return None
    if state.get("OOMKilled"):
        return "was killed: out of memory"
    return f"exited with code {state.get('ExitCode')}"


def _is_taken_port(error: Any) -> bool:
    why = explanation(error)
    return "port is already allocated" in why or "address already in use" in why


def _lines(name: str, stream: Any) -> Iterator[str]:
    """The stream's lines; the engine cuts it into pieces anywhere."""
    rest = b""
    try:
        with engine_errors(f"reading the log of {name}"):
            for piece in stream:
                *complete, rest = (rest + piece).split(b"\n")
                for line in complete:
                    yield line.decode(errors="replace").rstrip("\r")
            if rest:
                yield rest.decode(errors="replace")
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
