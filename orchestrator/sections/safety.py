"""What keeps a preview from doing anything real: `[safety]`. Reads nothing."""

import re
from typing import Literal

from pydantic import Field, field_validator

from orchestrator.sections.base import Section


class VerifySection(Section):
    """A query on the scrubbed branch that must find nothing; else the preview fails and no app starts."""

    name: str = Field(min_length=3, description="What must not be there any more, in a few words.")
    sql: str = Field(
        min_length=3, description="One query; a row of it is a person, a token, an address left."
    )


class SafetySection(Section):
    """What keeps a preview from doing anything real, though it has production's rows."""

    env: dict[str, str] = Field(
        default_factory=dict,
        description="Environment of previews only, stronger than `app.env` and `app.env_from`: other endpoints and "
        "keys for mail, payment and webhooks.",
    )
    egress: Literal["closed", "open"] = Field(
        "closed",
        description="`closed`: containers of a preview reach its branch, each other, and what `allow` names; nothing "
        "else. A local process, or an engine in a virtual machine, cannot be held to it: the report says so.",
    )
    allow: list[str] = Field(
        default_factory=list,
        description="What a closed preview reaches all the same, as `HOST:PORT`: `api.example.com:443`.",
    )
    mail: bool = Field(
        True,
        description="Whether a mail sink stands beside each preview: SMTP_HOST and SMTP_PORT lead to it, and `preview "
        "mail` shows what it was given. `{smtp_host}` and `{smtp_port}` in `env` become its place.",
    )
    scrub: list[str] = Field(
        default_factory=list,
        description="Files of SQL, relative to preview.toml, that are run on a branch of main before anything else "
        "sees it: they mask people, and empty what would send something.",
    )
    verify: list[VerifySection] = Field(
        default_factory=list, description="What must be true then, as `[[safety.verify]]`; see below."
    )
    production_hosts: list[str] = Field(
        default_factory=list,
        description="Names of production's machines, beside its database, that the environment of a preview must not "
        "hold: no app is started then.",
    )
    production_allowed: list[str] = Field(
        default_factory=list, description="Names of variables that may hold one of them all the same."
    )

    @field_validator("allow")
    @classmethod
    def _places(cls, allow: list[str]) -> list[str]:
        for place in allow:
            host, _, port = place.rpartition(":")
            if not re.fullmatch(r"[A-Za-z0-9.-]+", host) or not port.isdigit() or not 1 <= int(port) <= 65535:
                raise ValueError(f"{place!r} is no place; write HOST:PORT, for example api.example.com:443")
        return allow

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """`allow` as hosts and ports."""
        return tuple(
            (host.lower(), int(port)) for host, _, port in (each.rpartition(":") for each in self.allow)
        )
