"""What stands around a preview's app: its own network, its sidecar, its services. Touches the runtimes.

On a closed network nothing passes but what the sidecar passes on: connections to the branch, to what the settings
allow, to the mail sink, and in from the app's URL.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from neon_client.models import ConnectionURI
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import LOOPBACK
from orchestrator.errors import Refused, SettingsError, StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.mail import side_folder
from orchestrator.sections import ServiceSection
from orchestrator.settings import Settings
from orchestrator.steps.border import translating
from orchestrator.steps.safety import CHECK
from preview.ports import free_ports
from preview.runtime import Runtime
from preview.sidecar import followed
from preview.spec import CandidateSpec, HealthCheck, Image, Private, Resources
from preview.subnets import address_of, subnet_of
from preview.supervise import write_atomically
from preview.traffic import ports_on_every_address

#: Where on a closed network: services come after the app. Versions are tried when a migration command has ended.
PLACES = {"app": 2, "trial": 13, "trial-new": 14, "migrate": 14}
_HOST = "host.docker.internal"
_SECONDS = 20.0
#: So many ports the report names.
_NAMED = 8

Say = Callable[[str], None]


class Surroundings:
    """Makes, and makes again, what stands around.

    Args:
        settings: all of preview.toml.
        open_runtime: a runtime by its kind.
        home: the one directory of all local state.
    """

    def __init__(self, settings: Settings, open_runtime: Callable[[str], Runtime], home: Path) -> None:
        self._settings = settings
        self._open_runtime = open_runtime
        self._home = home

    def closed(self, runtime: Runtime) -> bool:
        """Whether a preview's containers are held to what is allowed."""
        return self._settings.safety.egress == "closed" and self._why_open(runtime) is None

    def finding(self, runtime: Runtime) -> Finding:
        """What the report says of the ways out."""
        allowed = ", ".join(self._settings.safety.allow)
        if self._settings.safety.egress == "open":
            severity, message = (
                Severity.ATTENTION,
                "open, by safety.egress: the app reaches whatever it likes",
            )
        elif why := self._why_open(runtime):
            severity, message = Severity.NOT_LOOKED_AT, f"not enforced: {why}"
        else:
            severity = Severity.OK
            message = (
                f"closed: the app reaches its branch's server{f' and {allowed}' if allowed else ' only'}"
                f"{_besides(ports_on_every_address())}"
            )
        return Finding(check=CHECK, severity=severity, subject="egress", message=message)

    def _why_open(self, runtime: Runtime) -> str | None:
        with translating("looking whether networks can be closed"):
            return runtime.can_close()

    def private(
        self, preview: Preview, runtime: Runtime, alias: str, uri: ConnectionURI | None
    ) -> Private | None:
        """The network on which this container of a preview is; None for processes."""
        if runtime.kind == "process":
            return None
        closed = self.closed(runtime)
        hosts = {host for host, _ in self._settings.safety.places}
        if uri is not None and uri.host not in LOOPBACK and uri.host != _HOST:
            hosts.add(uri.host)
        return Private(
            name=f"preview-{preview.slug}",
            alias=alias,
            place=self._place(alias),
            closed=closed,
            hosts=tuple(sorted(hosts)) if closed else (),
        )

    def _place(self, alias: str) -> int:
        return PLACES[alias] if alias in PLACES else 3 + list(self._settings.services).index(alias)

    def environment(self, preview: Preview, runtime: Runtime) -> dict[str, str]:
        """Where the mail sink and the services are, and the settings' own words for it."""
        found: dict[str, str] = {}
        local = runtime.kind == "process"
        for name, service in self._settings.services.items():
            if service.port is not None:
                word = name.upper().replace("-", "_")
                found[f"{word}_HOST"] = "127.0.0.1" if local else name
                found[f"{word}_PORT"] = str(self._port(preview, name) if local else service.port)
        given = dict(self._settings.safety.env)
        if self._settings.safety.mail:
            host = "127.0.0.1" if local else _HOST
            port = str(self._port(preview, "smtp"))
            found |= {"SMTP_HOST": host, "SMTP_PORT": port}
            given = {
                name: value.replace("{smtp_host}", host).replace("{smtp_port}", port)
                for name, value in given.items()
            }
        return found | given

    # making

    def ensure(
        self,
        preview: Preview,
        runtime: Runtime,
        alias: str,
        uri: ConnectionURI,
        detail: Say,
    ) -> None:
        """The network and the sidecar, with the ways out that this container has.

        Args:
            preview: whose.
            runtime: on which it runs.
            alias: `app`, `trial`, `trial-new` or `migrate`.
            uri: of the branch, as this machine dials it.
            detail: gets a line.
        """
        private = self.private(preview, runtime, alias, uri)
        gateway = None
        with translating(f"making what stands around {preview.name}"):
            if private is not None:
                gateway = runtime.open_network(private, labels(preview))
            if not self._settings.safety.mail and not (private and private.closed):
                return
            detail("starting the sidecar")
            rule: dict[str, Any] = {}
            if private is not None and private.closed and gateway is not None:
                rule["ways"] = self._ways(gateway, uri)
            if self._settings.safety.mail:
                binds = ["127.0.0.1"] if private is None else [self._mail_bind(runtime, private, gateway)]
                rule["mail"] = {"bind": binds, "port": self._port(preview, "smtp")}
            if private is not None and private.closed and gateway is not None:
                rule["from"] = {gateway: subnet_of(gateway)}
            self._rule(preview, alias, rule)

    def _ways(self, gateway: str, uri: ConnectionURI) -> list[dict[str, Any]]:
        """The ways out to the branch's server and to what the settings allow, one for each port.

        A server that has a name tells branches apart by it, as Neon's proxy does: no other may be asked for there.
        """
        places = [(uri.host, uri.port), *self._settings.safety.places]
        named = uri.host not in LOOPBACK and uri.host != _HOST
        return [
            {
                "bind": gateway,
                "port": port,
                "to": [[host, to] for host, to in places if to == port],
                "postgres": named and port == uri.port,
            }
            for port in sorted({port for _, port in places})
        ]

    def stand(self, preview: Preview, runtime: Runtime) -> bool:
        """Whether the sidecar runs that this preview needs."""
        if not self._settings.safety.mail and not self.closed(runtime):
            return True
        with translating(f"looking at the sidecar of {preview.name}"):
            there = self._open_runtime("process").observe(sidecar_name(preview))
        return there is not None and there.state == "running"

    def let_in(self, preview: Preview, runtime: Runtime, alias: str, url: str) -> None:
        """The way in from a container's URL, where none is published."""
        private = self.private(preview, runtime, alias, None)
        if private is None or not private.closed:
            return
        with translating(f"opening {url}"):
            gateway = runtime.open_network(private, labels(preview))
        port = urlsplit(url).port
        to = [address_of(str(gateway), private.place), self._settings.app.port]
        self._rule(preview, f"{alias}-in", {"ways": [{"bind": "127.0.0.1", "port": port, "to": [to]}]})

    def forget(self, preview: Preview, alias: str) -> None:
        """The ways of a container that is gone."""
        for name in (alias, f"{alias}-in"):
            (side_folder(self._home, preview) / "rules" / f"{name}.json").unlink(missing_ok=True)

    def start_services(
        self,
        preview: Preview,
        runtime: Runtime,
        image: Image | None,
        shared: Mapping[str, str],
        refuse: Callable[[Mapping[str, str]], None],
        detail: Say,
    ) -> None:
        """Every service in order, each healthy before the next; none before all may be.

        Args:
            preview: whose.
            runtime: on which they run.
            image: the app's own.
            shared: the app's environment, for services that run its image.
            refuse: raises Refused when an environment names a machine of production.
            detail: gets a line for each.

        Raises:
            Refused: a service's environment does; says whose.
            StepFailed: one does not start, or is not healthy in time; those after it were not started.
        """
        specs = {
            name: self._service(preview, runtime, name, service, image, shared)
            for name, service in self._settings.services.items()
        }
        for name, spec in specs.items():
            with translating(f"looking at the environment of service {name}"):
                baked = runtime.image_environment(spec.image) if spec.image else {}
            try:
                refuse({**baked, **self._settings.services[name].env})
            except Refused as refused:
                raise Refused(f"service {name}: {refused.message}", hint=refused.hint) from None
        for name, spec in specs.items():
            detail(f"starting service {name}")
            with translating(f"starting service {name}"):
                runtime.start(spec)

    def stop_services(self, preview: Preview, runtime: Runtime) -> None:
        """All of them, in reverse order; absent is fine."""
        for name in reversed(self._settings.services):
            with translating(f"stopping service {name}"):
                runtime.stop(service_name(preview, name))

    def _service(
        self,
        preview: Preview,
        runtime: Runtime,
        name: str,
        service: ServiceSection,
        image: Image | None,
        shared: Mapping[str, str],
    ) -> CandidateSpec:
        local = runtime.kind == "process"
        if local and not service.command:
            raise SettingsError(
                f"service {name} has no command, which the `process` runtime needs",
                hint=f'add command = ["..."] to [services.{name}], or start a Docker engine',
            )
        own = service.image is None
        if service.image is not None and not local:
            with translating(f"getting the image of service {name}"):
                image = runtime.image(service.image)
        return CandidateSpec(
            name=service_name(preview, name),
            image=None if local else image,
            command=tuple(service.command),
            working_directory=self._settings.path(self._settings.app.context) if local else None,
            environment={**(shared if own else {}), **service.env},
            port=service.port or 0,
            host_port=self._port(preview, name) if local and service.port else None,
            labels={**labels(preview), "dev.preview.service": name},
            health=HealthCheck(
                over="http" if service.health else "tcp" if service.port else "nothing",
                path=service.health or "/",
                timeout_seconds=service.health_timeout_seconds,
            ),
            resources=Resources(memory_bytes=service.memory_bytes, cpus=service.cpus, pids=512),
            private=self.private(preview, runtime, name, None),
            published=False,
        )

    # the sidecar

    def _mail_bind(self, runtime: Runtime, private: Private, gateway: str | None) -> str:
        return gateway if private.closed and gateway else runtime.host_address().bind

    def _port(self, preview: Preview, what: str) -> int:
        """A port that is kept for this preview: chosen once, the same ever after."""
        file = side_folder(self._home, preview) / "ports.json"
        known: dict[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if what not in known:
            taken = set(known.values())
            known[what] = next(p for p in free_ports(f"{what} {preview.slug}") if p not in taken)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(file, known)
        return known[what]

    def _rule(self, preview: Preview, owner: str, rule: Mapping[str, Any]) -> None:
        """Write a rule and wait until it is in force.

        Raises:
            StepFailed: it cannot be followed.
        """
        folder = side_folder(self._home, preview)
        (folder / "rules").mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(folder / "rules" / f"{owner}.json", rule)
        with translating(f"starting the sidecar of {preview.name}"):
            sidecar = self._open_runtime("process").start(
                CandidateSpec(
                    name=sidecar_name(preview),
                    command=("python", "-m", "preview.sidecar", str(folder)),
                    working_directory=folder,
                    port=0,
                    # One that an earlier version started, which looked at less, is replaced.
                    labels={**labels(preview), "dev.preview.sidecar": "3"},
                    health=HealthCheck(timeout_seconds=_SECONDS),
                )
            )
        refused = followed(sidecar.url, folder, seconds=_SECONDS)
        if refused:
            raise StepFailed(
                f"the sidecar of {preview.name} cannot listen everywhere: {'; '.join(refused)}",
                hint=f"end what listens there, then `preview up {preview.name}`",
            )


def _besides(ports: Sequence[int]) -> str:
    """What a closed network does not hold by itself."""
    if not ports:
        return ""
    named = ", ".join(map(str, ports[:_NAMED])) + (", ..." if len(ports) > _NAMED else "")
    return f"; and what this machine serves on all its addresses (port {named}), unless its firewall forbids that"


def sidecar_name(preview: Preview) -> str:
    """The derived name of a preview's sidecar."""
    return f"preview-{preview.slug}-side"


def service_name(preview: Preview, name: str) -> str:
    """The derived name of a service's container or process."""
    return f"preview-{preview.slug}-svc-{name}"


def labels(preview: Preview) -> dict[str, str]:
    """The labels by which a sweep finds what belongs to whom."""
    mark = {"dev.preview.store": preview.facts["store"]} if preview.facts.get("store") else {}
    return {"dev.preview.id": preview.id, "dev.preview.name": preview.name, **mark}
