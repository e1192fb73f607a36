"""What runs: `[app]`, `[runtime]`. Reads nothing."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orchestrator.sections.base import Section, checked_size, parse_size


class AppSection(Section):
    """The app: how it is built and run, and how we know that it is healthy."""

    image: str | None = Field(None, description="A ready-made image to run instead of building one.")
    context: str = Field(".", description="The folder that is sent to the image build, beside preview.toml.")
    dockerfile: str = Field("Dockerfile", description="The Dockerfile, relative to `context`.")
    target: str | None = Field(None, description="The build stage to stop at.")
    build_args: dict[str, str] = Field(default_factory=dict, description="Build arguments.")
    build_network: Literal["default", "none"] = Field(
        "default",
        description="What a `RUN` of the Dockerfile reaches: `default`, the engine's own network, for builds that "
        "fetch packages; `none`, nothing.",
    )
    command: list[str] = Field(
        default_factory=list,
        description="The command that starts the app in `context` where it runs as a local process (the `process` "
        "runtime, which needs it); `{port}` in it is replaced by the port to listen on.",
    )
    container_command: list[str] = Field(
        default_factory=list, description="Replaces the image's own command in a container."
    )
    compose: str | None = Field(
        None,
        description="A compose file, relative to preview.toml, one service of which is the app; those that it depends "
        "on become `[services]`. What preview.toml says itself is stronger.",
    )
    service: str | None = Field(None, description="With `compose`: the service that is the app.")
    compose_without: list[str] = Field(
        default_factory=list,
        description="With `compose`: services that are left out, such as the database, whose place the branch takes.",
    )
    port: int = Field(
        8000, ge=1, le=65535, description="The port that the app listens on (also given as PORT)."
    )
    health: str = Field(
        "/healthz", pattern=r"^/", description="The path that answers 2xx or 3xx when all is well."
    )
    health_timeout_seconds: float = Field(
        60, gt=0, description="How long the app may take to become healthy."
    )
    memory: Annotated[str, AfterValidator(checked_size)] = Field(
        "1g", description="The most memory it may use."
    )
    cpus: float = Field(2.0, gt=0, description="The most processors it may use.")
    pids: int = Field(512, ge=16, description="The most processes and threads it may have.")
    env: dict[str, str] = Field(
        default_factory=dict,
        description="Environment of the app, beside DATABASE_URL, PREVIEW_NAME, PREVIEW_URL and PORT.",
    )
    env_from: list[str] = Field(
        default_factory=list,
        description="Names of variables that are passed on from the environment of `preview`: for secrets.",
    )

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return parse_size(self.memory)


class RuntimeSection(Section):
    """What runs previews."""

    kind: Literal["auto", "docker", "process"] = Field(
        "auto",
        description="`docker`; `process` (a local process, no isolation); `auto` takes Docker where an engine answers.",
    )
    host_port: int | None = Field(
        None, ge=1, le=65535, description="A fixed port on 127.0.0.1; default: a free one for each preview."
    )
