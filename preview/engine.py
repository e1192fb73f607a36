"""Reaching the Docker engine: which one, and what its errors mean. Creates nothing on it."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions
from docker.context import ContextAPI
from docker.context.config import get_current_context_name

from preview.errors import EngineUnreachable, LaunchFailed, PreviewError

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_CONNECT_SECONDS = 60
_LOCAL = re.compile(r"^(unix://|npipe://|(tcp|https?)://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:|/|$))")

START_HINT = "start Docker (in a checkout of this project: scripts/docker-engine), or use the process runtime"


def engine_address() -> tuple[str, Any]:
    """The engine to talk to and its TLS settings: DOCKER_HOST, else docker's current context, else the socket.

    `docker.from_env` knows no contexts, but Docker Desktop, colima and rootless engines are reached by nothing else.

    Raises:
        EngineUnreachable: the context that is asked for does not exist or cannot be read.
    """
    if host := os.environ.get("DOCKER_HOST"):
        return host, None
    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    hint = "see `docker context ls`, choose one with `docker context use NAME`"
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # the SDK raises bare Exception for a context file that it cannot read
        message = f"docker's current context cannot be read: {error}"
        raise EngineUnreachable(message, hint=hint) from error
    if context is None:
        raise EngineUnreachable(f"there is no docker context named {name}", hint=hint)
    return context.Host or DEFAULT_SOCKET, context.TLSConfig


def connect() -> Any:
    """A client of the engine that `engine_address` names; the API version is negotiated.

    Raises:
        EngineUnreachable: nobody answers there, or we may not ask.
    """
    address, tls = engine_address()
    try:
        if os.environ.get("DOCKER_HOST"):
            # from_env reads DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, which go with DOCKER_HOST.
            return docker.from_env(timeout=_CONNECT_SECONDS)
        return docker.DockerClient(base_url=address, tls=tls or False, timeout=_CONNECT_SECONDS)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        if "PermissionError" in str(error) or "Permission denied" in str(error):
            raise EngineUnreachable(
                f"the Docker engine at {address} does not let this user in",
                hint="sudo usermod -aG docker $USER, then log in again",
            ) from error
        raise EngineUnreachable(f"no Docker engine answers at {address}", hint=START_HINT) from error


def is_local(address: str) -> bool:
    """Whether a port that this engine publishes on 127.0.0.1 is on this machine's 127.0.0.1."""
    return _LOCAL.match(address) is not None


def runs_in_a_machine_of_its_own(client: Any) -> bool:
    """Whether the engine lives in a virtual machine (Docker Desktop, colima), which forwards to our loopback."""
    return platform.system() != "Linux" or "Docker Desktop" in str(client.info().get("OperatingSystem", ""))


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Translate what the SDK raises, once: a lost engine, or its refusal as LaunchFailed.

    Args:
        doing: what was being done to which object, for the message: `starting web-1`.
    """
    try:
        yield
    except PreviewError:
        raise
    except docker.errors.APIError as error:
        raise LaunchFailed(f"{doing}: the Docker engine says: {explanation(error)}") from error
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        docker.errors.DockerException,
        ConnectionError,
    ) as error:
        raise EngineUnreachable(
            f"{doing}: the Docker engine stopped answering",
            hint="look at the engine's own log, then do it again",
        ) from error


def explanation(error: Any) -> str:
    """The engine's own sentence in an APIError, in one line."""
    return " ".join(str(error.explanation or error).split())
