"""A command that runs once, in a container: make it, follow it to its end, remove it. See docker.py for the verbs.

Lets the SDK's errors pass; the caller translates them (`engine_errors`).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import docker.errors

from preview import container as containers
from preview.engine import explanation
from preview.errors import LaunchFailed
from preview.lines import pieces_of
from preview.network import is_missing_network
from preview.spec import TaskSpec
from preview.task import ended_after, judge, told

_ATTEMPTS = 20
_PAUSE_SECONDS = 0.1
_NO_PROGRAM = 127


def run_container(client: Any, spec: TaskSpec, network: str, say: Callable[[str], None]) -> None:
    """Run it in a container of its own; see Runtime.run.

    Raises:
        LaunchFailed: it has no image, or the engine refuses it.
        TaskFailed: it ended badly, or not in time.
    """
    if spec.image is None:
        raise LaunchFailed(
            f"{spec.name} has no image to run in", hint="build one, or name one in the settings"
        )
    try:
        container = _started(client, spec, network)
        with ended_after(spec.timeout_seconds, lambda: _kill(container)) as late:
            # From the beginning: what it said before we looked is told, too.
            stream = container.logs(stream=True, follow=True)
            try:
                tail = told(pieces_of(stream), spec.environment, say)
            finally:
                stream.close()
            code = int(container.wait()["StatusCode"])
        container.reload()
        killed = "was killed: out of memory" if container.attrs["State"].get("OOMKilled") else ""
        if code == _NO_PROGRAM and tail and "[FATAL tini" in tail[-1]:
            # The engine's init process started; it is the one that did not find the program.
            raise LaunchFailed(
                f"{spec.name}'s command cannot be run: there is no {spec.command[0]} in the image",
                hint="see the settings' command",
            )
        judge(spec, code, tail, late=late.is_set(), killed=killed)
    finally:
        _remove(client, spec.name)


def _started(client: Any, spec: TaskSpec, network: str) -> Any:
    """The container, running; tried again when the shared network goes away in between."""
    for attempt in range(_ATTEMPTS):
        _remove(client, spec.name)  # a forerunner's that was killed, or our own last try's
        try:
            container = containers.create_task(client, spec, network)
            container.start()
        except docker.errors.APIError as error:
            if is_missing_network(error) and attempt + 1 < _ATTEMPTS:
                time.sleep(_PAUSE_SECONDS)
                continue
            raise LaunchFailed(
                f"the Docker engine cannot run {spec.name}: {explanation(error)}",
                hint="the command must be a program of the image; see the settings' command",
            ) from None
        return container
    raise AssertionError("unreachable")


def _remove(client: Any, name: str) -> None:
    if (found := containers.find(client, name)) is not None:
        _kill(found)
        containers.remove(found)


def _kill(container: Any) -> None:
    with suppress(docker.errors.APIError):
        container.kill()
