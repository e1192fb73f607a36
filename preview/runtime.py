"""What every way of running candidates has to offer. Holds the protocol only, no way of its own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from preview.belongings import Belonging
from preview.ending import Ending
from preview.spec import (
    BuildSpec,
    Candidate,
    CandidateSpec,
    HealthCheck,
    HostAddress,
    Image,
    Private,
    TaskSpec,
)


class Runtime(Protocol):
    """Builds, starts, observes and removes candidates on one machine.

    Every verb may run twice and after a kill -9: each looks before it creates, names come from the caller, and
    what carries our label under a name is ours. Every verb may raise EngineUnreachable.
    """

    @property
    def kind(self) -> str:
        """`docker` or `process`."""
        ...

    def available(self) -> str | None:
        """None when usable; else why not and what mends it, in one line. Raises nothing."""
        ...

    def build(self, spec: BuildSpec, progress: Callable[[str], None]) -> Image:
        """Make an image; `progress` gets each line of the build as it comes.

        Raises:
            BuildFailed: with the failing step's last lines.
        """
        ...

    def image(self, reference: str) -> Image:
        """Take an image by name: this machine's own, else pulled.

        Raises:
            ImageNotFound: it is neither here nor to be pulled.
        """
        ...

    def open_network(self, private: Private, labels: Mapping[str, str]) -> str | None:
        """Make sure that a network is there; the address of this machine on it, None where there are none (processes).

        Raises:
            LaunchFailed: it cannot be made.
        """
        ...

    def can_close(self) -> str | None:
        """None when a closed network can be had here; else why not."""
        ...

    def image_environment(self, image: Image) -> Mapping[str, str]:
        """The variables that an image brings along."""
        ...

    def host_address(self) -> HostAddress:
        """How candidates reach a server on this machine."""
        ...

    def start(self, spec: CandidateSpec) -> Candidate:
        """Make sure that this candidate runs and is healthy.

        One with the same name and an equal spec is kept (and started again when it had ended); a different one is
        replaced. A candidate that does not become healthy is left in place, so that its log can be read.

        Raises:
            LaunchFailed: it could not be started; nothing is left of it.
            PortInUse: `spec.host_port` is taken.
            Unhealthy: it ended, or did not answer well in time.
        """
        ...

    def sleep(self, name: str) -> None:
        """End it and keep what waking needs: its place, its port, its log. One that is not there is fine."""
        ...

    def wake(self, name: str, health: HealthCheck, make: Callable[[], CandidateSpec]) -> Candidate:
        """Start what sleeps, as it was, and wait until it is healthy; on its own port when that is still free.

        Args:
            name: of the candidate.
            health: when it counts as serving.
            make: gives its spec where that is needed: a process keeps no secret, and a container may be gone.

        Raises:
            As `start`.
        """
        ...

    def run(self, spec: TaskSpec, say: Callable[[str], None]) -> None:
        """Run a command once and wait for its end; nothing of it is left afterwards, however it ended.

        What a run of the same name left behind when we were killed is removed first. `say` gets each line that it
        prints, as it comes, with the environment's values replaced by `***`.

        Raises:
            LaunchFailed: it could not be started.
            TaskFailed: it ended with another code than 0, or not in time; with its last lines.
        """
        ...

    def observe(self, name: str) -> Candidate | None:
        """The candidate as it is now; None when there is none of ours."""
        ...

    def logs(
        self, name: str, *, tail: int = 100, follow: bool = False, ending: Ending | None = None
    ) -> Iterator[str]:
        """Its last `tail` lines and, with `follow`, those to come until it ends, or `ending` is asked for.

        Raises:
            UnknownCandidate: nothing of ours has this name.
        """
        ...

    def stop(self, name: str) -> None:
        """Remove it; returns only after its absence was seen. One that is not there is fine."""
        ...

    def remove_image(self, reference: str) -> None:
        """Remove an image that we built; others, absent ones and ones still in use are left alone."""
        ...

    def keep_image(self, image: Image, reference: str, *, named: bool) -> Image:
        """Give an image a name of ours more, so that it stays when its own goes.

        Args:
            image: which.
            reference: the name; it is ours.
            named: whether it is known by that name from then on.
        """
        ...

    def let_go(self, reference: str) -> None:
        """Take away a name that keep_image gave; the image goes with its last one. Absent is fine."""
        ...

    def list(self, labels: Mapping[str, str]) -> tuple[Candidate, ...]:
        """All candidates of ours that carry all these labels, by name; an empty mapping means all."""
        ...

    def belongings(self) -> tuple[Belonging, ...]:
        """Everything of ours that is there, of every sort, whoever it was made for: what a sweep looks through."""
        ...

    def remove_belonging(self, thing: Belonging) -> None:
        """Remove one of them, and return when its absence was seen. Absent is fine; what is in use stays."""
        ...
