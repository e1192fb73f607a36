"""The team's server: `[server]`. Reads nothing."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.sections.base import Section, checked_size, parse_size


def _is_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no address and no network; write for example 127.0.0.1 or 10.0.0.0/8"
        ) from None
    return text


class ServerSection(Section):
    """What `preview serve` allows."""

    requests_per_minute: int = Field(
        1200, ge=1, le=1_000_000, description="How often one token may ask, for each server process."
    )
    failures_per_minute: int = Field(
        30, ge=1, le=100_000, description="How often one address may come with a token that is not good."
    )
    largest_request: Annotated[str, AfterValidator(checked_size)] = Field(
        "1m", description="The most that a request may hold, uploads of sources excepted."
    )
    largest_upload: Annotated[str, AfterValidator(checked_size)] = Field(
        "100m", description="The most that the sources of an app may take, packed."
    )

    proxies: list[Annotated[str, AfterValidator(_is_network)]] = Field(
        default_factory=list,
        description="Addresses or networks of the gateway in front of this server, such as `127.0.0.1`: what it says "
        "in `X-Forwarded-For` is taken for where a request comes from. Nobody else is believed.",
    )

    local_processes: bool = Field(
        False,
        description="Whether what clients send may run as a local process, where nothing keeps it from this server's "
        "own secrets. Only for a team in which everybody may have those; otherwise Docker is needed.",
    )

    @property
    def request_bytes(self) -> int:
        """`largest_request` in bytes."""
        return parse_size(self.largest_request)

    @property
    def upload_bytes(self) -> int:
        """`largest_upload` in bytes."""
        return parse_size(self.largest_upload)
