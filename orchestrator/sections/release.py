"""What putting the image into production means: `[release]`. Reads nothing."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.sections.base import Section

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})")


class ReleaseSection(Section):
    """What putting the previewed image into production means; it happens after what adds and before what takes away."""

    kind: Literal["none", "command", "webhook", "container"] = Field(
        "none",
        description="`none`: somebody else does it; `command` or `webhook`: it is told the image; `container`: "
        "`preview` runs the app itself (with the `process` runtime as a local process) behind `address`.",
    )
    command: str | list[str] | None = Field(
        None,
        description="For `command`: told by RELEASE_* variables; its end with 0 says that the new version serves. A "
        "string is given to `sh -c`, a list runs as it is; in preview.toml's folder.",
    )
    url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="For `webhook`: gets a POST of JSON. 2xx: the new version serves; 202, 429 and 5xx: asked again.",
    )
    secret_env: str | None = Field(
        None,
        description="For `webhook`: the environment variable that holds the secret which signs it (HMAC-SHA256 in "
        "`Preview-Signature`).",
    )
    timeout_seconds: float = Field(
        600, gt=0, description="How long a command or a webhook may take until the new version serves."
    )
    health_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="For `command` and `webhook`: must answer 2xx or 3xx within `app.health_timeout_seconds` "
        "afterwards; else the earlier version is asked for again.",
    )
    address: str | None = Field(
        None, description="For `container`: where production is reached, `HOST:PORT` on this machine."
    )
    drain_seconds: float = Field(
        30,
        ge=0,
        description="For `container`: how long requests and connections to the earlier version may go on before it is "
        "stopped.",
    )
    env: dict[str, str] = Field(
        default_factory=dict,
        description="For `container`: environment of production's app, beside `app.env`, DATABASE_URL and PORT.",
    )
    env_from: list[str] = Field(
        default_factory=list,
        description="Names of variables from the environment of `preview`: production's app gets them (`container`), "
        "or a `command` has them, and they are hidden in its lines.",
    )

    @field_validator("address")
    @classmethod
    def _an_address(cls, text: str | None) -> str | None:
        match = _ADDRESS.fullmatch(text) if text is not None else None
        if text is not None and not (match and 1 <= int(match[1]) <= 65535):
            raise ValueError(f"{text!r} is no address; write HOST:PORT, for example 127.0.0.1:8080")
        return text

    @model_validator(mode="after")
    def _whole(self) -> "ReleaseSection":
        needed = {"command": "command", "webhook": "url", "container": "address"}.get(self.kind)
        if needed and not getattr(self, needed):
            raise ValueError(f"`kind` is `{self.kind}`, and there is no `{needed}`")
        return self

    @property
    def argv(self) -> tuple[str, ...]:
        """The command as a program and its arguments; empty when there is none."""
        if isinstance(self.command, str):
            return ("/bin/sh", "-c", self.command)
        return tuple(self.command or ())
