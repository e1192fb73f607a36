"""The one network that all candidates share, on which they do not reach each other. Starts no container.

Inter-container communication is off (`com.docker.network.bridge.enable_icc=false`): a candidate reaches this
machine's bridge gateway and the world, and is reached through its published port, but not by its neighbours
(measured on engine 20.10). A network for each candidate would cost 0.2 s each and end at about 30 of them, when the
engine's address pools are used up.
"""

import hashlib
import time
from typing import Any

import docker.errors

from preview.engine import explanation
from preview.errors import LaunchFailed
from preview.image import OURS

_ICC = "com.docker.network.bridge.enable_icc"
_BRIDGE_NAME = "com.docker.network.bridge.name"
_ATTEMPTS = 40
_PAUSE_SECONDS = 0.05


def ensure_network(client: Any, name: str) -> str:
    """The network's id; made when it is not there.

    Docker lets two racing creators both make a network of one name, which is ambiguous from then on and cannot be
    mended once containers run on both. A bridge's name it gives only once: that is what makes ours single.

    Raises:
        LaunchFailed: a network of this name exists that we did not make.
    """
    bridge = (
        "pv-" + hashlib.sha256(name.encode()).hexdigest()[:10]
    )  # an interface's name has 15 letters at most
    refusal = ""
    for _ in range(_ATTEMPTS):
        if found := _named(client, name):
            if not _is_ours(found[0]):
                raise LaunchFailed(
                    f"a Docker network named {name} exists that is not ours",
                    hint=f"rename or remove it: docker network rm {name}",
                )
            return str(found[0].id)
        try:
            client.networks.create(
                name,
                driver="bridge",
                options={_ICC: "false", _BRIDGE_NAME: bridge},
                labels={OURS: "1"},
                check_duplicate=True,
            )
        except docker.errors.APIError as error:
            refusal = explanation(error)
            if "already exists" not in refusal and "same bridge name" not in refusal:
                raise
            # The one who came first is still at it; its network is listed in a moment.
            time.sleep(_PAUSE_SECONDS)
    raise LaunchFailed(f"the Docker network {name} cannot be made: {refusal}", hint="do it again")


def withdraw_network(client: Any, name: str) -> None:
    """Remove the network when nobody uses it any more.

    A candidate that is being started at this moment finds its network gone and makes it again, see
    `is_missing_network`; so the race costs time, not a preview.
    """
    for network in _named(client, name):
        if not _is_ours(network):
            continue
        # A container that is created or stopped has no endpoint, so the engine would let us pull the network away.
        if not client.containers.list(all=True, filters={"network": str(network.id)}):
            _remove(network)


def is_missing_network(error: Any) -> bool:
    """Whether the engine refused because a network is gone."""
    why = str(error.explanation or error)
    return "network" in why and "not found" in why


def _is_ours(network: Any) -> bool:
    return OURS in (network.attrs.get("Labels") or {})


def _named(client: Any, name: str) -> list[Any]:
    # The engine's name filter matches parts of names.
    return [network for network in client.networks.list(names=[name]) if network.name == name]


def _remove(network: Any) -> None:
    try:
        network.remove()
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code not in (403, 409):  # it has active endpoints: somebody came in between
            raise
