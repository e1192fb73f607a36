"""Where people reach previews: `[gateway]`. Reads nothing."""

from typing import Literal, Self

from pydantic import Field, model_validator

from orchestrator.sections.base import Section

LOCAL_DOMAIN = "localhost"
LOCAL_PORT = 8400
HTTPS_PORT = 443


class GatewaySection(Section):
    """The names under which previews are reached, beside `http://127.0.0.1:PORT`; see [the gateway](gateway.md)."""

    enabled: bool = Field(
        False,
        description="Whether previews have names: their URL is then that of the gateway, where it is for a team.",
    )
    domain: str = Field(
        LOCAL_DOMAIN,
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
        description="A preview is reached as `NAME.DOMAIN`. `localhost`: on this machine only, by plain HTTP; "
        "another one: by HTTPS, with a DNS record for `*.DOMAIN`.",
    )
    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description=f"Where the gateway listens; default: {LOCAL_PORT} for `localhost`, else {HTTPS_PORT}.",
    )
    listen: str | None = Field(
        None,
        pattern=r"^[0-9a-fA-F.:]+$",
        description="The address that it listens on; default: 127.0.0.1 for `localhost`, else every one.",
    )
    tls: Literal["auto", "files", "internal", "off"] = Field(
        "auto",
        description="Certificates: `auto`: one for each name, from `authority`, on its first request; `files`: the one "
        "in `certificate`, for all names; `internal`: from an authority of the gateway's own; `off`: plain HTTP, when "
        "something in front of it speaks HTTPS. `localhost` has none.",
    )
    authority: str | None = Field(
        None,
        pattern=r"^https://[^\s@]+$",
        description="Whom `auto` asks: the URL of an ACME directory; default: Let's Encrypt's.",
    )
    authority_root: str | None = Field(
        None,
        pattern=r"^/",
        description="A PEM file with the root that `authority`'s own certificate is from, when it is none that this "
        "machine trusts.",
    )
    email: str | None = Field(
        None,
        pattern=r"^[^\s@]+@[^\s@]+$",
        description="Whom `authority` may write to about the certificates.",
    )
    certificate: str | None = Field(
        None,
        pattern=r"^/",
        description="For `files`: a PEM file with the certificate for DOMAIN and `*.DOMAIN`, and its chain. A new one "
        "in its place is taken by itself.",
    )
    key: str | None = Field(None, pattern=r"^/", description="For `files`: a PEM file with its private key.")
    access: Literal["auto", "private", "open"] = Field(
        "auto",
        description="`private`: a preview asks for a token or a share link; `open`: whoever reaches it sees it. "
        "`auto`: open on `localhost`, else private.",
    )
    session_hours: float = Field(
        12, gt=0, le=720, description="How long a browser stays logged in to a preview."
    )
    service_workers: bool = Field(
        False,
        description="Whether apps of private previews may have service workers: one of those stands before every page "
        "of its host, also before the login page, and could read the token that somebody types there.",
    )
    gate: str | None = Field(
        None,
        pattern=r"^127\.0\.0\.1:\d{1,5}$",
        description="Where the gate listens, which the gateway asks about each request; default: a socket under "
        "$PREVIEW_HOME, or 127.0.0.1:8401 where names have certificates.",
    )
    server: str = Field(
        "127.0.0.1:8600",
        pattern=r"^[a-z0-9.-]+:\d{1,5}$",
        description="Where the team's server listens: `https://DOMAIN` itself leads there.",
    )

    @model_validator(mode="after")
    def _files(self) -> Self:
        if (self.tls == "files") != bool(self.certificate and self.key):
            raise ValueError('tls = "files" goes with `certificate` and `key`, and they with it')
        return self

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.domain == LOCAL_DOMAIN

    @property
    def private(self) -> bool:
        """Whether a preview asks who comes."""
        return self.access == "private" or (self.access == "auto" and not self.local)

    @property
    def own_port(self) -> int:
        """Where it listens."""
        return self.port or (LOCAL_PORT if self.local else HTTPS_PORT)

    @property
    def certificates(self) -> bool:
        """Whether the gateway itself speaks HTTPS."""
        return not self.local and self.tls != "off"

    def url(self, name: str) -> str:
        """The URL of a preview's name."""
        return self._at(f"{name}.{self.domain}")

    @property
    def server_url(self) -> str | None:
        """The URL of the server's own pages; None where the gateway does not lead to them."""
        return None if self.local else self._at(self.domain)

    def _at(self, host: str) -> str:
        if self.local:
            return f"http://{host}:{self.own_port}"
        # Behind something that speaks HTTPS for it, the port is that one's.
        port = "" if self.own_port == HTTPS_PORT or self.tls == "off" else f":{self.own_port}"
        return f"https://{host}{port}"
