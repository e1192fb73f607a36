"""What of ours a Docker engine has, and how each sort is removed. Lets the SDK's errors pass; see docker.py."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import docker.errors

from preview import container as containers
from preview.belongings import Belonging, moment
from preview.container import SPEC_LABEL
from preview.image import OURS, images


def on_engine(client: Any) -> Iterator[Belonging]:
    """Everything of ours on the engine."""
    # ignore_removed: one that goes away while we list it is simply not there.
    for each in client.containers.list(all=True, filters={"label": SPEC_LABEL}, ignore_removed=True):
        yield Belonging(
            what="container",
            name=each.name,
            labels=containers.candidate(each).labels,
            created_at=moment(each.attrs.get("Created")),
            state=each.status,
        )
    for image in images(client, {"label": OURS}):
        for reference in image.tags or [image.id]:
            yield Belonging(
                what="image",
                name=reference,
                labels=dict(image.labels or {}),
                created_at=moment(image.attrs.get("Created")),
                size_bytes=image.attrs.get("Size"),
            )
    for network in client.networks.list(filters={"label": OURS}):
        yield Belonging(
            what="network",
            name=network.name,
            labels=dict(network.attrs.get("Labels") or {}),
            created_at=moment(network.attrs.get("Created")),
        )
    for volume in client.volumes.list(filters={"label": OURS}):
        yield Belonging(
            what="volume",
            name=volume.name,
            labels=dict(volume.attrs.get("Labels") or {}),
            created_at=moment(volume.attrs.get("CreatedAt")),
        )


def remove_volume(client: Any, name: str) -> None:
    """Remove a volume of ours; others and absent ones are left alone."""
    with suppress(docker.errors.NotFound):
        volume = client.volumes.get(name)
        if OURS in (volume.attrs.get("Labels") or {}):
            volume.remove()
