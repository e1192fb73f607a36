"""Chooses the way candidates run on this machine. Loads the docker SDK only when it is asked for."""

from pathlib import Path
from typing import Literal

from preview.process import ProcessRuntime
from preview.runtime import Runtime

Kind = Literal["auto", "docker", "process"]


def open_runtime(kind: Kind, home: Path) -> Runtime:
    """The runtime of this kind; `auto` is docker where an engine answers, else process.

    Args:
        kind: which one. A runtime asked for by name is returned even when it is not usable now: `available` tells.
        home: the folder under which the process runtime keeps `processes/`.
    """
    if kind != "process":
        # The SDK costs a fifth of a second, which a command that starts nothing should not pay.
        from preview.docker import DockerRuntime

        docker = DockerRuntime()
        if kind == "docker" or docker.available() is None:
            return docker
    return ProcessRuntime(home=home)
