"""Production's stable address: one Caddy with one static configuration, which forwards to where a file says.

The file is read for each request, so that a change of version is the atomic replacement of a file: Caddy loads
nothing, and no connection is cut. Whoever made the change may be gone: Caddy needs nobody of ours to serve.
"""

import os
from pathlib import Path
from typing import Any

from preview.caddy import Caddy

_UPSTREAM = "upstream"
#: Connections to the app that wait for a next request are closed after so long: they are what draining waits for.
_IDLE = "2s"
#: A request that finds nobody listening (the app is started again just now) is held for so long, not refused.
_PATIENCE = "5s"


class Edge:
    """One stable address on this machine.

    Attributes:
        folder: holds the file that says where to, and Caddy's own folder `edge`.
        address: `HOST:PORT`.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address

    @property
    def target(self) -> str | None:
        """Where requests go, `127.0.0.1:PORT`; None before the first version."""
        try:
            return (self.folder / _UPSTREAM).read_text(encoding="ascii") or None
        except FileNotFoundError:
            return None

    def point(self, target: str) -> None:
        """Send all requests that begin from now on there."""
        new = self.folder / f"{_UPSTREAM}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(target)  # no line end: it would become part of the address
            file.flush()
            os.fsync(descriptor)
        new.replace(self.folder / _UPSTREAM)

    def ensure(self) -> None:
        """Make sure that Caddy listens on the address; one that does is left alone.

        Raises:
            CaddyMissing: there is no Caddy on this machine; names the ways to get one.
            PortInUse: somebody else listens there.
            LaunchFailed, CaddyRefused: it does not start.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._caddy.ensure(self.configuration())

    @property
    def alive(self) -> bool:
        """Whether Caddy runs."""
        return self._caddy.runs()

    def stop(self) -> None:
        """End Caddy after the requests that it has begun; one that does not run is fine."""
        self._caddy.stop()

    @property
    def _caddy(self) -> Caddy:
        return Caddy(self.folder / "edge")

    def configuration(self) -> dict[str, Any]:
        """What Caddy is given: values only, without its admin part, which Caddy's keeper adds."""
        host, _, port = self.address.rpartition(":")
        forward = {
            "handler": "reverse_proxy",
            "upstreams": [{"dial": f"{{file.{self.folder / _UPSTREAM}}}"}],
            "transport": {"protocol": "http", "keep_alive": {"idle_timeout": _IDLE}},
            "load_balancing": {"try_duration": _PATIENCE, "try_interval": "100ms"},
        }
        server = {
            "listen": [f"{host}:{port}"],
            "automatic_https": {"disable": True},
            # What ends TLS in front of us is on this machine: what it says of the visitor is passed on.
            "trusted_proxies": {"source": "static", "ranges": ["127.0.0.0/8", "::1/128"]},
            "routes": [{"handle": [forward]}],
        }
        return {"apps": {"http": {"grace_period": "30s", "servers": {"production": server}}}}
