"""Puts a version of the app into production's place: started beside the earlier one, healthy, swapped, drained.

Every act is look-then-create, so that a rollout that died anywhere is simply begun again. What runs in production is
written down after it was seen to serve through the address.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from preview.changeover import Change, ChangeOver, Held
from preview.draining import drained
from preview.edge import Edge
from preview.errors import PreviewError, Unhealthy
from preview.health import LOOPBACK, look
from preview.released import Release, Released
from preview.runtime import Runtime
from preview.spec import Candidate, CandidateSpec

LABEL = "dev.preview.release"
"""Marks what runs in production, with the key of whose it is."""
_EVERYWHERE = ("0.0.0.0", "[::]", "localhost")  # noqa: S104 - compared with, not listened on


class Rollout:
    """What runs in production under one key, behind one stable address.

    Attributes:
        key: whose production; part of names and labels.
        released: what was put there.
        edge: the stable address.
        held: how long visitors waited during the last `put`; None when they did not have to.
    """

    held: Held | None = None

    def __init__(
        self, *, key: str, released: Released, runtime: Runtime, edge: Edge, drain_seconds: float
    ) -> None:
        self.key = key
        self.released = released
        self.edge = edge
        self._runtime = runtime
        self._drain_seconds = drain_seconds

    def name(self, release: Release) -> str:
        """The derived name of its container or process."""
        return f"preview-release-{self.key}-{release.id}"

    def put(
        self,
        release: Release,
        spec: CandidateSpec,
        say: Callable[[str], None],
        change: Change | None = None,
    ) -> Candidate:
        """Put a version into production's place; the earlier one serves until the new one does.

        Args:
            release: which.
            spec: how it runs; its name and the label that finds it are given by us.
            say: gets a line for each act.
            change: what must happen between the two versions, because neither fits both sides of it.

        Raises:
            CaddyMissing, PortInUse, LaunchFailed: there is no address to put it behind; nothing was changed.
            Unhealthy, LaunchFailed: it does not serve; it was removed, and the earlier version goes on serving.
        """
        spec = replace(spec, name=self.name(release), labels={**spec.labels, LABEL: self.key})
        self.edge.ensure()
        before = self.released.live
        say(f"starting {spec.name} beside production and waiting until {spec.health.path} is healthy")
        try:
            earlier = self._runtime.observe(self.name(before)) if before and before.id != release.id else None
            if change is not None:
                over = ChangeOver(self._runtime, self.edge, spec, change)
                candidate = over.between(earlier, say)
                self.held = over.held
            else:
                candidate = self._runtime.start(spec)
            self.edge.point(urlsplit(candidate.url).netloc)
            self._ask(spec)
        except (
            Exception
        ):  # also what a change of the ground raises: then the later version has nothing to do here
            if before is None or before.id != release.id:
                if change is not None:
                    change.undo()  # the earlier version is sent visitors only on the ground that it stands on
                self._take_back(before, spec.name, say)
            raise
        self.released.went_live(release)
        say(f"{self.edge.address} goes to {spec.name}")
        self._end_others(spec.name, say)
        return candidate

    def stop(self) -> None:
        """Take production down: nobody answers on the address any more. What ran is remembered."""
        self.edge.stop()
        for candidate in self.running():
            self._runtime.stop(candidate.name)

    def running(self) -> tuple[Candidate, ...]:
        """Everything of ours under this key that runs, or should."""
        return self._runtime.list({LABEL: self.key})

    def _ask(self, spec: CandidateSpec) -> None:
        """Ask through the stable address: it is what visitors do."""
        host, _, port = self.edge.address.rpartition(":")
        seen = look(int(port), spec.health, host=LOOPBACK if host in _EVERYWHERE else host.strip("[]"))
        if not seen.healthy:
            raise Unhealthy(
                f"{spec.name} is healthy, but not through {self.edge.address}: {seen.status}",
                status=seen.status,
                hint=f"see {self.edge.folder / 'edge' / 'log'}",
            )

    def _take_back(self, before: Release | None, name: str, say: Callable[[str], None]) -> None:
        """Let the earlier version go on serving, and remove the one that does not."""
        earlier = self._runtime.observe(self.name(before)) if before else None
        if earlier is not None:
            self.edge.point(urlsplit(earlier.url).netloc)
        say(f"removing {name}" + ("; the earlier version goes on serving" if earlier else ""))
        # What was wrong is the error that is on its way; that this fails too would hide it.
        with suppress(PreviewError):
            self._runtime.stop(name)

    def _end_others(self, name: str, say: Callable[[str], None]) -> None:
        """Stop whatever else runs under the key, each after its last request."""
        for other in self.running():
            if other.name == name:
                continue
            if other.state == "running":
                say(f"waiting for the last requests to {other.name}")
                left = drained(int(other.url.rpartition(":")[2]), self._drain_seconds)
                if left:
                    say(f"{left} connection{'s' * (left != 1)} to {other.name} outlived the wait")
            self._runtime.stop(other.name)
