"""The Docker runtime: a candidate is a container. Knows the engine through the docker SDK only, never its command."""

import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import docker.errors

from preview import container as containers
from preview.belongings import Belonging
from preview.container import HOST_NAME, SPEC_LABEL
from preview.container_task import run_container
from preview.ending import Ending
from preview.engine import connect, engine_address, engine_errors, is_local, runs_in_a_machine_of_its_own
from preview.errors import LaunchFailed, PreviewError, Unhealthy, UnknownCandidate
from preview.excerpt import last_heads, tail_of
from preview.health import LOOPBACK, wait_until_healthy
from preview.image import build_image, find_image, image_environment, keep_image, let_go, remove_built_image
from preview.lines import pieces_of
from preview.network import withdraw_network
from preview.on_engine import on_engine, remove_volume
from preview.private_network import ensure_private
from preview.spec import (
    BuildSpec,
    Candidate,
    CandidateSpec,
    HealthCheck,
    HostAddress,
    Image,
    Private,
    TaskSpec,
)


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
        """See Runtime.available; a rootless or remote engine is no use, because 127.0.0.1 is not the same there."""
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
        """See Runtime.build; BuildKit where the engine has it."""
        return build_image(self._client(), spec, progress)

    def image(self, reference: str) -> Image:
        """See Runtime.image."""
        return find_image(self._client(), reference)

    def remove_image(self, reference: str) -> None:
        """See Runtime.remove_image."""
        remove_built_image(self._client(), reference)

    def keep_image(self, image: Image, reference: str, *, named: bool) -> Image:
        """See Runtime.keep_image."""
        return keep_image(self._client(), image, reference, named=named)

    def let_go(self, reference: str) -> None:
        """See Runtime.let_go."""
        let_go(self._client(), reference)

    def image_environment(self, image: Image) -> Mapping[str, str]:
        """See Runtime.image_environment."""
        return image_environment(self._client(), image)

    def host_address(self) -> HostAddress:
        """See Runtime.host_address: the default bridge's gateway, which every container reaches."""
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
        """See Runtime.start."""
        if spec.image is None:
            raise LaunchFailed(
                f"{spec.name} has no image to run", hint="build one, or name one in the settings"
            )
        with engine_errors(f"starting {spec.name}"):
            container = containers.ensure_running(self._client(), spec, self.network)
            return self._serve(spec, container)

    def _serve(self, spec: CandidateSpec, container: Any) -> Candidate:
        """Wait until it is healthy, and let the engine restart it from then on."""
        self._wait(spec, container)
        # Only now: an engine that restarts what ends at once would hide that it ends.
        container.update(restart_policy={"Name": "unless-stopped"})
        container.reload()
        return containers.candidate(container)

    def open_network(self, private: Private, labels: Mapping[str, str]) -> str | None:
        """See Runtime.open_network."""
        with engine_errors(f"making network {private.name}"):
            return ensure_private(self._client(), private, labels)

    def can_close(self) -> str | None:
        """See Runtime.can_close."""
        with engine_errors("looking at the engine"):
            if runs_in_a_machine_of_its_own(self._client()):
                return (
                    "the Docker engine runs in a virtual machine, whose networks this machine does not reach"
                )
        return None

    def sleep(self, name: str) -> None:
        """See Runtime.sleep: a container that is stopped holds no memory, and its file system stays."""
        with engine_errors(f"putting {name} to sleep"):
            if (container := containers.find(self._client(), name)) is not None:
                containers.end(container)

    def wake(self, name: str, health: HealthCheck, make: Callable[[], CandidateSpec]) -> Candidate:
        """See Runtime.wake; the container is asked for nothing that it does not know itself."""
        with engine_errors(f"waking {name}"):
            container = containers.find(self._client(), name)
            if container is None or not containers.start_again(container):
                return self.start(make())
            return self._serve(containers.spec_of(container, health), container)

    def run(self, spec: TaskSpec, say: Callable[[str], None]) -> None:
        """See Runtime.run."""
        with engine_errors(f"running {spec.name}"):
            try:
                run_container(self._client(), spec, self.network, say)
            finally:
                withdraw_network(self._client(), self.network)

    def observe(self, name: str) -> Candidate | None:
        """See Runtime.observe."""
        with engine_errors(f"looking at {name}"):
            container = containers.find(self._client(), name)
            return containers.candidate(container) if container else None

    def logs(
        self, name: str, *, tail: int = 100, follow: bool = False, ending: Ending | None = None
    ) -> Iterator[str]:
        """See Runtime.logs."""
        with engine_errors(f"reading the log of {name}"):
            container = containers.find(self._client(), name)
            if container is None:
                raise UnknownCandidate(f"no container of ours is named {name}")
        return self._log(container, tail=tail, follow=follow, ending=ending)

    def stop(self, name: str) -> None:
        """See Runtime.stop; the shared network goes with its last container."""
        with engine_errors(f"stopping {name}"):
            if (container := containers.find(self._client(), name)) is not None:
                containers.remove(container)
            withdraw_network(self._client(), self.network)

    def list(self, labels: Mapping[str, str]) -> tuple[Candidate, ...]:
        """See Runtime.list."""
        wanted = [SPEC_LABEL, *(f"{key}={value}" for key, value in labels.items())]
        with engine_errors("listing containers"):
            # ignore_removed: one that goes away while we list it is simply not there.
            found = self._client().containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
            return tuple(
                sorted((containers.candidate(container) for container in found), key=lambda c: c.name)
            )

    def belongings(self) -> tuple[Belonging, ...]:
        """See Runtime.belongings."""
        with engine_errors("looking for what is ours"):
            return tuple(on_engine(self._client()))

    def remove_belonging(self, thing: Belonging) -> None:
        """See Runtime.remove_belonging."""
        if thing.what == "container":
            self.stop(thing.name)
        elif thing.what == "image":
            self.remove_image(thing.name)
        else:
            with engine_errors(f"removing {thing.what} {thing.name}"):
                if thing.what == "network":
                    withdraw_network(self._client(), thing.name)
                else:
                    remove_volume(self._client(), thing.name)

    def _client(self) -> Any:
        with self._lock:
            if self._client_once is None:
                self._client_once = connect()
            return self._client_once

    @staticmethod
    def _log(container: Any, *, tail: int, follow: bool, ending: Ending | None) -> Iterator[str]:
        with engine_errors(f"reading the log of {container.name}"):
            stream = container.logs(stream=True, follow=follow, tail=tail)

            def close() -> None:
                with suppress(OSError):  # it was closed already
                    stream.close()

            if ending is not None:
                ending.by(close)
            try:
                for piece in pieces_of(stream):
                    yield piece.text
            finally:
                close()
            if ending is not None and ending.over:
                return
            # The SDK ends the stream without a word when the engine goes away; asking anything tells.
            with suppress(docker.errors.NotFound):
                container.reload()

    @staticmethod
    def _wait(spec: CandidateSpec, container: Any) -> None:
        container.reload()
        host, port = containers.reached_at(container) or (LOOPBACK, containers.published_port(container))
        seen = wait_until_healthy(port, spec.health, lambda: containers.ended(container), host=host)
        if seen.healthy:
            return
        ended = containers.ended(container)
        status = ended or seen.status
        # All of it (the log is bounded): the engine counts a long line as many, so its tail may begin in the middle
        # of a line, even of a secret, which nobody would know for one then.
        stream = container.logs(stream=True, follow=False)
        try:
            tail = tail_of(last_heads(pieces_of(stream)), spec.environment)
        finally:
            stream.close()
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
            hint = (
                "it answers, but not with 2xx or 3xx: its last lines, in the log's tail, may say why"
                if status.startswith("HTTP ")
                else f"the app has to listen on 0.0.0.0:{spec.port} inside its container (PORT says so, too)"
            )
        raise Unhealthy(message, status=status, hint=hint, log_tail=tail)
