"""What can go wrong in the embedded server: a local trouble, or an answer that says no. Imports nothing of ours."""

from typing import ClassVar


class EmbeddedError(Exception):
    """The embedded server or one of its computes could not do something.

    Attributes:
        message: what, on which object; no secret in it.
        hint: what to do next; may be empty.
        retryable: whether the same may work later.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NoPostgres(EmbeddedError):
    """No PostgreSQL of the wanted version is installed."""


class HomeUnusable(EmbeddedError):
    """The directory for the server's state cannot be used."""


class ServerNotStarted(EmbeddedError):
    """The background server did not come up."""


class ComputeFailed(EmbeddedError):
    """A postmaster could not be started, stopped or asked."""


class PortTaken(ComputeFailed):
    """Somebody else listens on the endpoint's port."""


class EndpointGone(ComputeFailed):
    """The endpoint was deleted meanwhile."""


class ImportFailed(EmbeddedError):
    """A database could not be brought in."""


class CloneFailed(EmbeddedError):
    """A data directory could not be copied."""


class Refusal(Exception):
    """An answer that says no: HTTP status, Neon's code, a sentence (Neon API v2, GeneralError)."""

    def __init__(self, status: int, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
