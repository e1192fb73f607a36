"""What to build, what to run and what came of it: values only. Touches no engine, file, clock or environment."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How to see that a candidate serves: any 2xx or 3xx answer to a GET; redirects are not followed.

    Attributes:
        over: `http`; `tcp`, where taking a connection is enough; `nothing`, where running is.
        path: the path asked for, with its leading slash.
        timeout_seconds: how long a candidate may take to become healthy, in seconds.
        interval_seconds: the pause between two looks, in seconds.
        steady_seconds: an HTTP answer that is not healthy and stays the same so long is final, in seconds.
    """

    over: Literal["http", "tcp", "nothing"] = "http"
    path: str = "/healthz"
    timeout_seconds: float = 60.0
    interval_seconds: float = 0.2
    steady_seconds: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits of one candidate; None means no limit. The process runtime cannot hold anybody to them.

    Attributes:
        memory_bytes: memory in bytes; swap is not given on top.
        cpus: processors, fractions allowed.
        pids: processes and threads.
    """

    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """How to make an image.

    Attributes:
        context: the folder sent to the engine, less what its .dockerignore names.
        dockerfile: relative to the context, or absolute.
        tag: the name that the image gets.
        target: the stage to stop at; None: the last.
        build_args: values for ARG lines. An image remembers them: no place for a secret.
        labels: labels of the image.
        network: the engine's network for what the build runs: `default`, or `none`.
    """

    context: Path
    tag: str
    dockerfile: str = "Dockerfile"
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: Literal["default", "none"] = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A thing to run, known by its content.

    Attributes:
        reference: the name a person knows it by.
        id: `sha256:` and the content's hash: the image's configuration for Docker, the source tree for processes.
    """

    reference: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """A network of a preview's own, where containers reach each other by name. Processes have none.

    Attributes:
        name: the network's name.
        alias: by which the others on it reach this container.
        place: its place on a closed network, 2 to 14.
        closed: nothing leads out of it or into it but what somebody passes on at its gateway's address.
        hosts: names that lead to that address.
    """

    name: str
    alias: str
    place: int = 2
    closed: bool = False
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSpec:
    """How to run a candidate. Two equal specs are the same candidate; see `fingerprint`.

    The runtime adds `PORT` (where the app has to listen) and `PREVIEW_URL` (where the world reaches it) to the
    environment, unless the spec gives them.

    Attributes:
        name: the container's or process's name, unique on this machine.
        image: what to run; the process runtime runs `command` and takes the image's id only as part of the spec.
        command: the program and its arguments; empty: the image's own. A literal `{port}` is replaced by PORT.
        working_directory: where the command runs; None: the image's own (processes need one).
        environment: the app's variables. Values are secrets: in no repr, error or log.
        port: where the app listens inside its container. A process listens on its host port instead.
        host_port: the port on 127.0.0.1; None: one is chosen below 32768, out of the ephemeral range's way.
        labels: by which `Runtime.list` finds the candidate again.
        health: when it counts as serving.
        resources: its limits.
        host_network: a container shares this machine's own network, to reach what listens on 127.0.0.1 only; then the
            app has to listen on PORT, as a process does.
        private: the preview's own network; None: the one that all share, on which nobody reaches another.
        published: whether it has a port on 127.0.0.1. On a closed network none is published either: its URL is that
            of a port that is kept for it, on which somebody has to pass on what comes.
    """

    name: str
    port: int
    image: Image | None = None
    command: tuple[str, ...] = ()
    working_directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    host_port: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    health: HealthCheck = field(default_factory=HealthCheck)
    resources: Resources = field(default_factory=Resources)
    host_network: bool = False
    private: Private | None = None
    published: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """A command that runs once, to its end, where a candidate would run: the same image, network and limits.

    Attributes:
        name: the container's name, unique on this machine.
        command: the program and its arguments; replaces the image's own entry point, too.
        image: what it runs in; the process runtime runs `command` in `working_directory`.
        working_directory: where the command runs; None: the image's own (processes need one).
        environment: its variables. Values are secrets: in no repr, error, line or log.
        labels: by which its container is found again.
        resources: its limits.
        timeout_seconds: how long it may take, in seconds; then it is ended.
        host_network: a container shares this machine's own network, to reach what listens on 127.0.0.1 only.
        private: see CandidateSpec.
    """

    name: str
    command: tuple[str, ...]
    image: Image | None = None
    working_directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    timeout_seconds: float = 600.0
    host_network: bool = False
    private: Private | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A started candidate as last seen.

    Attributes:
        name: its spec's name.
        id: the container's id, or the process's number.
        url: `http://127.0.0.1:PORT`.
        state: `running`, `exited`, `created`, `paused`, `restarting`.
        exit_code: how it ended; None while it runs or when nobody could see.
        labels: its spec's labels; a container also shows those of its image.
    """

    name: str
    id: str
    url: str
    state: str
    exit_code: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAddress:
    """How a candidate reaches a server on this machine.

    Attributes:
        name: the host name that the candidate dials.
        bind: the address on which the server has to listen to be reached so.
    """

    name: str
    bind: str


def fingerprint(spec: CandidateSpec) -> str:
    """The hash that tells whether a running candidate is the one wanted.

    How long to wait for health is left out: asking with more patience must not replace what runs.
    """
    parts = {
        "name": spec.name,
        "image": spec.image.id if spec.image else None,
        "command": list(spec.command),
        "working_directory": str(spec.working_directory) if spec.working_directory else None,
        "environment": dict(spec.environment),
        "port": spec.port,
        "host_port": spec.host_port,
        "labels": dict(spec.labels),
        "resources": [spec.resources.memory_bytes, spec.resources.cpus, spec.resources.pids],
        # Only where it is so: what was started by earlier versions stays equal.
        **({"host_network": True} if spec.host_network else {}),
        **({"private": asdict(spec.private)} if spec.private else {}),
        **({} if spec.published else {"published": False}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


SHORTEST_SECRET = 8
"""Values shorter than this are left readable: replacing every `1` or `true` would only make a log unreadable."""


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be readable of these values, longest first.

    Of each value: the whole, each of its lines (a log is read line by line, a PEM key has many), and the password
    inside a URL, as written and percent-decoded; all of them only from SHORTEST_SECRET characters on.
    """
    secrets: set[str] = set()
    for value in environment.values():
        secrets.add(value)
        # Both ways of cutting: readers of logs end a line at "\n", str.splitlines at eight more characters.
        for line in (*value.split("\n"), *value.splitlines()):
            secrets |= {line, line.strip()}
            password = _password(line)
            secrets |= {password, unquote(password)}
    return tuple(sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=lambda s: (-len(s), s)))


def _password(text: str) -> str:
    """The password of a URL, as written; empty when there is none."""
    credentials, at, _ = text.partition("://")[2].rpartition("@")
    return credentials.partition(":")[2] if at else ""


def redact(lines: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The lines with every environment value, each line of it, and a URL's password replaced by `***`."""
    passwords = {_password(line) for value in environment.values() for line in value.splitlines()} - {""}
    secrets = secrets_of(environment)
    redacted = []
    for line in lines:
        # In its place in a URL a password is hidden however short it is.
        for password in passwords:
            line = line.replace(f":{password}@", ":***@")  # noqa: PLW2901 - folded over the passwords
        for secret in secrets:
            line = line.replace(secret, "***")  # noqa: PLW2901 - folded over the secrets
        redacted.append(line)
    return tuple(redacted)
