"""What runs beside the app in a preview: `[services.NAME]`. Reads nothing."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from orchestrator.sections.base import Section, checked_size, parse_size

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?")


class ServiceSection(Section):
    """A container beside the app: a worker, a cache, a queue. The app reaches it by its name."""

    image: str | None = Field(
        None, description="A ready-made image; default: the app's own (as a local process: `app.context`)."
    )
    command: list[str] = Field(
        default_factory=list, description="What runs; a local process (the `process` runtime) needs one."
    )
    env: dict[str, str] = Field(
        default_factory=dict,
        description="Its environment, beside the app's where it runs the app's image (then DATABASE_URL, too).",
    )
    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Where it listens; the app gets NAME_HOST and NAME_PORT. It counts as started when a connection "
        "is taken there.",
    )
    health: str | None = Field(
        None,
        pattern=r"^/",
        description="A path that answers 2xx or 3xx when all is well, where it speaks HTTP.",
    )
    health_timeout_seconds: float = Field(60, gt=0, description="How long it may take until then.")
    depends_on: list[str] = Field(
        default_factory=list, description="Services that are started, and healthy, before it."
    )
    memory: Annotated[str, AfterValidator(checked_size)] = Field(
        "512m", description="The most memory it may use."
    )
    cpus: float = Field(1.0, gt=0, description="The most processors it may use.")

    @model_validator(mode="after")
    def _sane(self) -> "ServiceSection":
        if self.health and self.port is None:
            raise ValueError("`health` needs a `port`")
        return self

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return parse_size(self.memory)


def in_order(services: dict[str, ServiceSection]) -> tuple[str, ...]:
    """The names, each after those that it depends on.

    Raises:
        ValueError: a name or dependency cannot be, or they go round in a circle.
    """
    if len(services) > 10:
        raise ValueError(f"there are {len(services)} services; a preview may have 10")
    for name, service in services.items():
        if not _NAME.fullmatch(name) or name in {"app", "trial", "trial-new", "migrate", "side"}:
            raise ValueError(
                f"{name!r} cannot be a service's name; use lower-case letters, digits and hyphens"
            )
        for needed in service.depends_on:
            if needed not in services:
                raise ValueError(f"{name} depends on {needed!r}, which is no service")
    done: list[str] = []
    while len(done) < len(services):
        ready = [
            name for name in services if name not in done and set(services[name].depends_on) <= set(done)
        ]
        if not ready:
            left = sorted(set(services) - set(done))
            raise ValueError(f"these services wait for each other: {', '.join(left)}")
        done += ready
    return tuple(done)
