"""The moment between two versions that fit no common ground: visitors wait, the ground is changed, they go on.

The later version runs already, though it cannot be healthy yet; what is changed takes milliseconds, and is taken back
when the later version does not get healthy on it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from preview.draining import connections_to
from preview.edge import PATIENCE_SECONDS, Edge
from preview.errors import PreviewError, Unhealthy
from preview.health import Look, look
from preview.runtime import Runtime
from preview.spec import Candidate, CandidateSpec, HealthCheck

#: How long visitors wait at most, seconds; the rest of their patience is for the later version.
HELD_SECONDS = PATIENCE_SECONDS * 0.6
#: How long the earlier version's last requests are waited for while the others wait, seconds. Who holds a connection
#: open for good is not waited for.
_LAST_REQUESTS_SECONDS = 1.0
#: A request that read the address just before it changed has connected after so long.
_ON_ITS_WAY_SECONDS = 0.006
_LOOK_SECONDS = 0.001
_HEALTH_SECONDS = 0.003


class Change(Protocol):
    """What is changed between the versions."""

    @property
    def rescue(self) -> Sequence[str]:
        """A program that takes the change back, given what `act` told last, when we are killed while visitors wait."""

    def ready(self) -> None:
        """Wait until `act` would not have to wait for anybody; raises when that takes too long."""

    def act(self, tell: Callable[[str], None]) -> bool:
        """Change it; False when somebody is in the way after all, and nothing was changed."""

    def undo(self) -> None:
        """Take it back; nothing where it was not changed, or was taken back."""


@dataclass(frozen=True, slots=True)
class Held:
    """How long visitors waited, and for what, milliseconds.

    Attributes:
        requests: the earlier version's last requests.
        change: what was changed between the versions.
        later: the later version's health.
    """

    requests: float = 0.0
    change: float = 0.0
    later: float = 0.0

    @property
    def ms(self) -> float:
        """In all."""
        return self.requests + self.change + self.later

    def __str__(self) -> str:
        return (
            f"{self.ms:.0f} ms between the two versions: {self.requests:.0f} for the last requests, "
            f"{self.change:.0f} for the change, {self.later:.0f} for the later version"
        )

    def to_json(self) -> dict[str, float]:
        """All attributes by name."""
        return {name: round(getattr(self, name), 1) for name in ("requests", "change", "later")}


class _Early:
    """One look at the later version that is begun when the change is about to be there.

    It opens its connection meanwhile, and waits where the change holds what it asks for: so it sees it first.
    """

    def __init__(self, port: int, check: HealthCheck, tell: Callable[[str], None]) -> None:
        self._port = port
        self._check = check
        self._tell = tell
        self._seen: tuple[float, Look] | None = None
        self._thread = threading.Thread(target=self._look, name="early look", daemon=True)

    def told(self, text: str) -> None:
        """Tell the watchdog what is about to be done, and look, in a thread."""
        self._tell(text)
        if self._thread.ident is None:
            self._thread.start()

    def seen_after(self, moment: float) -> Look | None:
        """What it saw, if it had its answer after that moment; once."""
        if self._thread.ident is None:
            return None
        self._thread.join()
        seen, self._seen = self._seen, None
        return seen[1] if seen is not None and seen[0] >= moment else None

    def _look(self) -> None:
        seen = look(self._port, self._check)
        self._seen = time.monotonic(), seen


class ChangeOver:
    """One change of versions.

    Args:
        runtime: runs both.
        edge: where visitors wait.
        spec: of the later version.
        change: what is changed.
    """

    def __init__(self, runtime: Runtime, edge: Edge, spec: CandidateSpec, change: Change) -> None:
        self._runtime = runtime
        self._edge = edge
        self._spec = spec
        self._change = change
        self._started: Candidate | None = None
        self._failed: BaseException | None = None
        self._seen = "it did not answer"
        self.held = Held()

    def between(self, earlier: Candidate | None, say: Callable[[str], None]) -> Candidate:
        """Start the later version, change what must be changed, and send visitors to it once it is healthy.

        Args:
            earlier: what serves now; None: nobody does.
            say: gets a line for each act.

        Raises:
            PreviewError: the later version does not serve; what was changed was taken back.
        """
        starting, port = self._begin()
        done = sent = False
        while not done:
            self._change.ready()
            if not starting.is_alive() and self._started is None:
                # Somebody was in the way for so long that it was given up: nobody could be healthy meanwhile.
                self._failed = None
                starting, port = self._begin()
            with self._edge.held(HELD_SECONDS, self._change.rescue) as tell:
                times = [time.monotonic()]
                self._alone(earlier)
                times.append(time.monotonic())
                early = _Early(port, self._spec.health, tell)
                try:
                    done = self._change.act(early.told)
                    times.append(time.monotonic())
                    sent = done and self._send(port, times[0] + HELD_SECONDS, early)
                    times.append(time.monotonic())
                finally:
                    # Ctrl-C too: the earlier version serves again from here on, and needs what it had.
                    if not sent:
                        self._change.undo()
                        if done:  # said afterwards: who says something to a terminal may have to wait for it
                            say("took back what was changed between the versions")
            self.held = Held(*((after - before) * 1000 for before, after in pairwise(times)))
        if not sent:
            raise Unhealthy(
                f"{self._spec.name} was not healthy {HELD_SECONDS:g} s after what it needs was there: {self._seen}",
                status=self._seen,
                hint="its log says more: `preview logs` of the preview, which ran on the same schema",
            )
        say(f"visitors waited {self.held}")
        starting.join()
        if self._failed is not None:
            self._change.undo()
            raise self._failed
        assert self._started is not None  # noqa: S101 - it has not failed
        return self._started

    def _begin(self) -> tuple[threading.Thread, int]:
        """Start the later version in a thread, which ends when it is healthy; its port, once it answers anything."""
        starting = threading.Thread(target=self._start, name="later version", daemon=True)
        starting.start()
        return starting, self._answering(starting)

    def _start(self) -> None:
        try:
            self._started = self._runtime.start(self._spec)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._failed = error

    def _answering(self, starting: threading.Thread) -> int:
        """The port of the later version once it answers anything."""
        while starting.is_alive():
            with suppress(PreviewError):
                seen = self._runtime.observe(self._spec.name)
                if seen is not None and seen.state == "running":
                    port = int(seen.url.rpartition(":")[2])
                    if look(port, self._spec.health).answered:
                        return port
            starting.join(0.05)
        if self._failed is not None:
            raise self._failed  # it did not even answer: nothing was changed
        assert self._started is not None  # noqa: S101 - it is over and has not failed
        return int(self._started.url.rpartition(":")[2])

    def _alone(self, earlier: Candidate | None) -> None:
        """Wait until the earlier version has answered what it was asked."""
        if earlier is None:
            return
        began = time.monotonic()
        port, quiet = int(earlier.url.rpartition(":")[2]), 0
        # Twice, and not at once: a request that read the address just before it changed has connected by then.
        while quiet < 2 or time.monotonic() < began + _ON_ITS_WAY_SECONDS:
            if time.monotonic() > began + _LAST_REQUESTS_SECONDS:
                return
            time.sleep(_LOOK_SECONDS)
            quiet = 0 if connections_to(port) else quiet + 1

    def _send(self, port: int, until: float, early: "_Early") -> bool:
        """Send the visitors on as soon as the later version is healthy; False when it is not in time."""
        changed = time.monotonic()
        while self._failed is None and time.monotonic() < until:
            seen = early.seen_after(changed) or look(port, self._spec.health)
            if seen.healthy:
                self._edge.point(f"127.0.0.1:{port}")
                return True
            self._seen = seen.status
            time.sleep(_HEALTH_SECONDS)
        return False
