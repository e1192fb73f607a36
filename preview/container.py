"""One container of ours: find, make, start, remove, and how it ended. Waits for no health; see docker.py for the verbs.

What a container gets: an init process, no new privileges, the default capabilities less those that a web app has
no use for (dropping all of them breaks images whose root process chowns, binds port 80 or steps down to a user),
its limits, a bounded log, its port on 127.0.0.1 only, and `host.docker.internal` for this machine.

Functions here let the SDK's errors pass; the caller translates them (`engine_errors`).
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import docker.errors
from docker.types import LogConfig

from preview.engine import explanation
from preview.errors import EngineUnreachable, LaunchFailed, PortInUse
from preview.health import LOOPBACK
from preview.image import OURS
from preview.network import ensure_network, is_missing_network
from preview.ports import FIRST, LAST, free_ports
from preview.private_network import ensure_private
from preview.spec import Candidate, CandidateSpec, HealthCheck, Private, TaskSpec, fingerprint
from preview.subnets import address_of

HOST_NAME = "host.docker.internal"
SPEC_LABEL = "dev.preview.runtime.spec"
"""Marks a container as ours. OURS would not do: a container inherits its image's labels, whoever starts it."""
PORT_LABEL = "dev.preview.runtime.port"

_DROPPED_CAPABILITIES = ["AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"]
_GRACE_SECONDS = 5
_ATTEMPTS = 60
_PAUSE_SECONDS = 0.1


def find(client: Any, name: str) -> Any:
    """The container of ours with this name, or None.

    Raises:
        LaunchFailed: the name is somebody else's container, which is never touched.
    """
    try:
        container = client.containers.get(name)
    except docker.errors.NotFound:
        return None
    if container.name != name:  # the engine also takes the beginning of an id for a name
        return None
    if SPEC_LABEL not in container.labels:
        raise LaunchFailed(
            f"a container named {name} exists that is not ours", hint=f"rename or remove it: docker rm {name}"
        )
    return container


def ensure_running(client: Any, spec: CandidateSpec, network: str) -> Any:
    """Find or make the spec's container and start it; it need not be healthy.

    Takes several turns, because others may come in between: take its port, take its name, remove its network.

    Raises:
        PortInUse: the spec's port is taken, or no port at all is free.
        LaunchFailed: the engine refuses; nothing is left of it.
    """
    wanted = fingerprint(spec)
    ports = iter((spec.host_port,)) if spec.host_port is not None else free_ports(spec.name)
    for _ in range(_ATTEMPTS):
        container = find(client, spec.name)
        if container is not None and not _may_be_kept(container, wanted):
            remove(container)
            container = None
        try:
            if container is None:
                container = _create(client, spec, _next_port(spec, ports), network)
            _set_going(container)
        except docker.errors.APIError as error:
            if container is not None:
                remove(container)
            _unless_worth_another_turn(spec, error)
            # A name is taken a moment before its container can be looked at.
            time.sleep(_PAUSE_SECONDS)
        else:
            return container
    raise LaunchFailed(
        f"{spec.name} could not be started: others keep getting in between", hint="do it again"
    )


def published_port(container: Any) -> int:
    """Its port on 127.0.0.1."""
    return int(container.labels[PORT_LABEL])


def candidate(container: Any) -> Candidate:
    """The container as a value, as it was when last loaded."""
    return Candidate(
        name=container.name,
        id=container.id,
        url=f"http://{LOOPBACK}:{published_port(container)}",
        state=container.status,
        exit_code=container.attrs["State"].get("ExitCode")
        if container.status in ("exited", "dead")
        else None,
        labels={key: value for key, value in container.labels.items() if not key.startswith(OURS)},
    )


def ended(container: Any) -> str | None:
    """How the container ended, fit for a sentence; None while it runs. Looks anew."""
    try:
        container.reload()
    except docker.errors.NotFound:
        return "was removed by somebody else"
    if container.status in ("running", "created", "paused"):
        return None
    state = container.attrs["State"]
    return (
        "was killed: out of memory" if state.get("OOMKilled") else f"exited with code {state.get('ExitCode')}"
    )


def end(container: Any) -> None:
    """Stop it (SIGTERM, SIGKILL after 5 s) and keep it; one that does not run or is gone is fine."""
    with suppress(docker.errors.NotFound):
        # A container that is not running answers at once; its restart policy ends with the stop.
        container.stop(timeout=_GRACE_SECONDS)


def start_again(container: Any) -> bool:
    """Start a container as it is; whether that can be done. It cannot when its port is somebody else's by now."""
    if container.status in ("dead", "removing"):
        return False
    try:
        _set_going(container)
    except docker.errors.NotFound:
        return False
    except docker.errors.APIError as error:
        why = explanation(error)
        if "port is already allocated" in why or "address already in use" in why or is_missing_network(error):
            return False
        raise
    return True


def spec_of(container: Any, health: HealthCheck) -> CandidateSpec:
    """What a container of ours says about itself, as far as waiting for its health needs it."""
    config = container.attrs["Config"]
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    environment = {name: value for name, _, value in pairs}
    return CandidateSpec(
        name=container.name, port=int(environment.get("PORT") or 0), environment=environment, health=health
    )


def remove(container: Any) -> None:
    """Stop it (SIGTERM, SIGKILL after 5 s), remove it with its anonymous volumes, and look until it is gone.

    Raises:
        EngineUnreachable: it is still there.
    """
    end(container)
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


def _may_be_kept(container: Any, wanted: str) -> bool:
    return container.labels.get(SPEC_LABEL) == wanted and container.status not in (
        "dead",
        "removing",
        "restarting",
    )


def _set_going(container: Any) -> None:
    if container.status == "paused":
        container.unpause()
    elif container.status != "running":
        # Until it is healthy: an engine that restarts what ends at once would hide that it ends.
        container.update(restart_policy={"Name": "no"})
        container.start()


def _next_port(spec: CandidateSpec, ports: Iterator[int]) -> int:
    port = next(ports, None)
    if port is not None:
        return port
    if spec.host_port is not None:
        raise PortInUse(
            f"port {spec.host_port} on 127.0.0.1 is in use, so {spec.name} cannot be published there",
            hint="end what listens there, or give another port",
        )
    raise PortInUse(f"no port from {FIRST} to {LAST} is free on 127.0.0.1", hint="end what listens there")


def _unless_worth_another_turn(spec: CandidateSpec, error: Any) -> None:
    """Raise the engine's refusal as ours, unless only somebody came in between."""
    why = explanation(error)
    name_taken = error.status_code == 409 and "already in use by container" in why
    port_taken = "port is already allocated" in why or "address already in use" in why
    if name_taken or port_taken or is_missing_network(error):
        return
    if isinstance(error, docker.errors.ImageNotFound):
        reference = spec.image.reference if spec.image else ""
        raise LaunchFailed(
            f"{spec.name}'s image {reference} is not on this machine any more", hint="build it again"
        ) from error
    raise LaunchFailed(
        f"the Docker engine cannot start {spec.name}: {why}",
        hint="see the image's CMD and the settings' command",
    ) from error


def _create(client: Any, spec: CandidateSpec, port: int, network: str) -> Any:
    inside = port if spec.host_network else spec.port
    environment = {"PORT": str(inside), "PREVIEW_URL": f"http://{LOOPBACK}:{port}", **spec.environment}
    asked: dict[str, Any] = {}
    labels = {**spec.labels, OURS: "1", SPEC_LABEL: fingerprint(spec), PORT_LABEL: str(port)}
    if not spec.published:
        labels[PORT_LABEL] = "0"
    elif not spec.host_network and not (spec.private and spec.private.closed):
        asked["ports"] = {f"{spec.port}/tcp": (LOOPBACK, port)}
    if spec.command:
        asked["command"] = [word.replace("{port}", environment["PORT"]) for word in spec.command]
    return client.containers.create(
        spec.image.id if spec.image else None,
        environment=environment,
        labels=labels,
        **asked,
        **_confined(client, spec, network),
    )


def _on_private(client: Any, private: Private, labels: Mapping[str, str]) -> dict[str, Any]:
    gateway = ensure_private(client, private, labels)
    place: dict[str, Any] = {"ipv4_address": address_of(gateway, private.place)} if private.closed else {}
    endpoint = client.api.create_endpoint_config(aliases=[private.alias], **place)
    asked: dict[str, Any] = {"network": private.name, "networking_config": {private.name: endpoint}}
    if private.closed:
        # Names are resolved by the engine, which would ask the world's servers: a way out for whoever encodes well.
        return asked | {"dns": [LOOPBACK], "extra_hosts": dict.fromkeys((HOST_NAME, *private.hosts), gateway)}
    return asked | {"extra_hosts": {HOST_NAME: "host-gateway"}}


def reached_at(container: Any) -> tuple[str, int] | None:
    """Where this machine reaches what is not published, its own port left out (0); None: on its published port."""
    if (
        container.attrs["HostConfig"].get("PortBindings")
        or container.attrs["HostConfig"]["NetworkMode"] == "host"
    ):
        return None
    for network in container.attrs["NetworkSettings"]["Networks"].values():
        if address := network.get("IPAddress"):
            environment = dict(
                line.partition("=")[::2] for line in container.attrs["Config"].get("Env") or []
            )
            return str(address), int(environment.get("PORT") or 0)
    return None


def create_task(client: Any, spec: TaskSpec, network: str) -> Any:
    """A container for a command that runs once: a candidate's network and limits, no port, the command alone."""
    program, *arguments = spec.command
    return client.containers.create(
        spec.image.id if spec.image else None,
        # The image's own entry point may start servers or migrate by itself: exactly this command is wanted.
        entrypoint=[program],
        command=arguments,
        environment=dict(spec.environment),
        labels={**spec.labels, OURS: "1", SPEC_LABEL: "task", PORT_LABEL: "0"},
        **_confined(client, spec, network),
    )


def _confined(client: Any, spec: CandidateSpec | TaskSpec, network: str) -> dict[str, Any]:
    """What every container of ours is made with: name, network, limits, few rights, a bounded log."""
    asked: dict[str, Any] = {}
    if spec.resources.memory_bytes is not None:
        asked |= {"mem_limit": spec.resources.memory_bytes, "memswap_limit": spec.resources.memory_bytes}
    if spec.resources.cpus is not None:
        asked["nano_cpus"] = int(spec.resources.cpus * 1_000_000_000)
    if spec.resources.pids is not None:
        asked["pids_limit"] = spec.resources.pids
    if spec.working_directory is not None:
        asked["working_dir"] = str(spec.working_directory)
    if spec.host_network:
        asked["network_mode"] = "host"
    elif spec.private is not None:
        asked |= _on_private(client, spec.private, spec.labels)
    else:
        asked |= {"network": ensure_network(client, network), "extra_hosts": {HOST_NAME: "host-gateway"}}
    return {
        **asked,
        "name": spec.name,
        "init": True,
        "cap_drop": _DROPPED_CAPABILITIES,
        "security_opt": ["no-new-privileges:true"],
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
    }
