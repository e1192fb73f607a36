"""What running a candidate can fail with: one small tree, each with a message and a hint. Imports nothing of ours.

PreviewError
├─ EngineUnreachable   no Docker engine answers (any more); retryable
├─ ImageNotFound       neither on this machine nor to be pulled
├─ BuildFailed         the failing step and its log's tail
├─ LaunchFailed        the container or process could not even be started
│  └─ PortInUse        the wanted port on 127.0.0.1 is somebody else's
├─ Unhealthy           it started, but never answered well, or it ended
├─ TaskFailed          a command that runs once ended badly, or not in time
└─ UnknownCandidate    nothing of ours runs under this name
"""

from collections.abc import Sequence
from typing import ClassVar


class PreviewError(Exception):
    """A candidate could not be built, started or looked at.

    Attributes:
        message: what happened, to which object; no environment value ever stands in it.
        hint: what to do next; may be empty.
        retryable: whether doing the same again later may work.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class EngineUnreachable(PreviewError):
    """No Docker engine answers, or it stopped answering in the middle."""

    retryable = True


class ImageNotFound(PreviewError):
    """An image is not on this machine and could not be pulled."""


class BuildFailed(PreviewError):
    """An image could not be built.

    Attributes:
        log_tail: the last lines of the failing step, oldest first.
    """

    def __init__(self, message: str, *, hint: str = "", log_tail: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.log_tail = tuple(log_tail)


class LaunchFailed(PreviewError):
    """A candidate could not be started at all."""


class PortInUse(LaunchFailed):
    """The wanted port is taken; the message names it."""


class Unhealthy(PreviewError):
    """A candidate started but did not become healthy, or ended before it did.

    Attributes:
        status: the last thing seen: `HTTP 500`, `connection refused`, `exited with code 3`.
        log_tail: the candidate's last lines, oldest first, environment values replaced by `***`.
    """

    def __init__(self, message: str, *, status: str, hint: str = "", log_tail: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.log_tail = tuple(log_tail)


class TaskFailed(PreviewError):
    """A command that runs once ended with another code than 0, or did not end in time.

    Attributes:
        status: `exited with code 3`, `did not end within 600 s`, `was killed: out of memory`.
        log_tail: its last lines, oldest first, environment values replaced by `***`.
    """

    def __init__(self, message: str, *, status: str, hint: str = "", log_tail: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.log_tail = tuple(log_tail)


class UnknownCandidate(PreviewError):
    """Nothing that we started runs under this name."""
