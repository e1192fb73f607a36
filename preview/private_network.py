"""The network of one preview's containers, which reach each other by name; closed, it has no way out. Starts nothing.

A closed one is Docker's `internal`: the engine forwards nothing out of it, and publishes nothing into it. What is
allowed to pass is passed on by a process of ours (sidecar.py), which listens on the network's own gateway address and
reaches containers by theirs. So both are known beforehand: a small subnet of our own for each.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import docker.errors
from docker.types import IPAMConfig, IPAMPool

from preview.engine import explanation
from preview.errors import LaunchFailed
from preview.image import OURS
from preview.spec import Private
from preview.subnets import POOL, PREFIX

_ATTEMPTS = 200


def ensure_private(client: Any, private: Private, labels: Mapping[str, str]) -> str:
    """The gateway's address on the network, which is made when it is not there.

    Raises:
        LaunchFailed: a network of this name is somebody else's, is of the other sort and in use, or none can be made.
    """
    for network in client.networks.list(names=[private.name]):
        if network.name != private.name:
            continue
        if OURS not in (network.attrs.get("Labels") or {}):
            raise LaunchFailed(
                f"a Docker network named {private.name} exists that is not ours",
                hint=f"rename or remove it: docker network rm {private.name}",
            )
        if bool(network.attrs.get("Internal")) == private.closed:
            return str(network.attrs["IPAM"]["Config"][0]["Gateway"])
        try:
            network.remove()
        except docker.errors.APIError as error:
            raise LaunchFailed(
                f"the network {private.name} cannot be made anew: {explanation(error)}",
                hint="discard the preview and bring it up again",
            ) from error
    subnets = list(POOL.subnets(new_prefix=PREFIX))
    start = int.from_bytes(hashlib.sha256(private.name.encode()).digest()[:4])
    refusal = ""
    for step in range(_ATTEMPTS):
        subnet = subnets[(start + step) % len(subnets)]
        gateway = str(subnet[1])
        pool = IPAMPool(subnet=str(subnet), gateway=gateway)
        try:
            client.networks.create(
                private.name,
                driver="bridge",
                internal=private.closed,
                ipam=IPAMConfig(pool_configs=[pool]),
                options={"com.docker.network.bridge.name": _bridge(private.name)},
                labels={**labels, OURS: "1"},
                check_duplicate=True,
            )
        except docker.errors.APIError as error:
            refusal = explanation(error)
            if "already exists" in refusal or "same bridge name" in refusal:
                return ensure_private(client, private, labels)
            if "overlaps" not in refusal:
                raise
        else:
            return gateway
    raise LaunchFailed(
        f"the Docker network {private.name} cannot be made: {refusal}", hint="discard old previews"
    )


def _bridge(name: str) -> str:
    """An interface's name has 15 letters at most; Docker gives each only once, which makes the network single."""
    return "pp-" + hashlib.sha256(name.encode()).hexdigest()[:10]
