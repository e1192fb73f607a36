"""Production's stable address: one Caddy with one static configuration, which forwards to where a file says.

The file is read for each request, so that a change of version is the atomic replacement of a file: Caddy loads
nothing, and no connection is cut. Whoever made the change may be gone: Caddy needs nobody of ours to serve.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from preview import holding
from preview.caddy import Caddy
from preview.errors import LaunchFailed

#: A request that finds nobody listening (the app is started again just now, or visitors are held) waits for so long.
PATIENCE_SECONDS = 10.0


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
        return holding.read(self.folder)

    def point(self, target: str) -> None:
        """Send all requests that begin from now on there."""
        holding.write(self.folder, target)

    @contextmanager
    def held(self, seconds: float, rescue: Sequence[str] = ()) -> Iterator[Callable[[str], None]]:
        """Let visitors wait for the time of the block; afterwards they go where they went, or where `point` said.

        When this process dies, or the time is over, a watchdog lets them go on to where they went. It stays until the
        block ends.

        Args:
            seconds: at most; less than `PATIENCE_SECONDS`.
            rescue: a program that the watchdog runs when this process has died, before that if there is time, with
                what it was told on its standard input; not run when it was told nothing.

        Yields:
            What tells the watchdog a line.
        """
        back = self.target
        if back is None:
            yield lambda _: None
            return
        watchdog = subprocess.Popen(
            [sys.executable, holding.__file__, str(self.folder), back, str(seconds), *rescue],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert watchdog.stdin is not None  # noqa: S101 - they were asked for
        assert watchdog.stdout is not None  # noqa: S101
        try:
            if watchdog.stdout.readline() != b"ready\n":
                raise LaunchFailed("visitors cannot be held: nobody would let them go", hint="do it again")
            line = watchdog.stdin

            def tell(text: str) -> None:
                with suppress(OSError):  # somebody has ended it
                    line.write(f"{text}\n".encode())
                    line.flush()

            holding.write(self.folder, holding.NOBODY, only_if=back)
            yield tell
        finally:
            holding.write(self.folder, back, only_if=holding.NOBODY)
            with suppress(OSError):
                watchdog.stdin.write(holding.OVER)
                watchdog.stdin.close()
            watchdog.stdout.close()
            watchdog.wait()

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
            "upstreams": [{"dial": f"{{file.{self.folder / holding.UPSTREAM}}}"}],
            # A connection for each request, so that who is connected to a version is who it works for.
            "transport": {"protocol": "http", "keep_alive": {"enabled": False}},
            "load_balancing": {"try_duration": f"{PATIENCE_SECONDS:g}s", "try_interval": "10ms"},
        }
        server = {
            "listen": [f"{host}:{port}"],
            "automatic_https": {"disable": True},
            # What ends TLS in front of us is on this machine: what it says of the visitor is passed on.
            "trusted_proxies": {"source": "static", "ranges": ["127.0.0.0/8", "::1/128"]},
            "routes": [{"handle": [forward]}],
        }
        return {"apps": {"http": {"grace_period": "30s", "servers": {"production": server}}}}
