"""What can go wrong with the Neon API: one tree, each with a message and a hint. Imports nothing of ours.

NeonError
├─ ApiError                   Neon answered with an error: status, code, request_id
│  ├─ Unauthorized            401, 403
│  ├─ NotFound                404
│  ├─ Conflict                409
│  ├─ QuotaExceeded           422 with a ..._LIMIT_EXCEEDED code
│  ├─ Locked                  423 (retryable)
│  ├─ RateLimited             429 (retryable)
│  └─ ServerError             500 and above (503 is retryable)
├─ NeonUnreachable            no answer, or an answer that is not the API's (retryable)
├─ OperationFailed            an operation ended as failed, error or cancelled
├─ OperationTimeout           an operation did not end in time (retryable)
└─ NotDisposable              the guard: this branch is the default, or protected
"""

from typing import ClassVar


class NeonError(Exception):
    """Something about Neon could not be done.

    Attributes:
        message: what happened, on which object; no secret in it.
        hint: what to do next; may be empty.
        retryable: whether doing the same again later may work.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ApiError(NeonError):
    """Neon answered with an error.

    Attributes:
        status: the HTTP status.
        code: Neon's machine-readable code; often empty.
        request_id: the id to quote to Neon's support; the one we sent when the answer carries none.
    """

    def __init__(
        self, message: str, *, status: int, code: str = "", request_id: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.request_id = request_id


class Unauthorized(ApiError):
    """The API key is missing, wrong, or not allowed to do this (401, 403)."""


class NotFound(ApiError):
    """No such project, branch, endpoint, role, database or route (404)."""


class Conflict(ApiError):
    """The name is taken (409)."""


class QuotaExceeded(ApiError):
    """The plan's limit is reached (422 with a code that ends in LIMIT_EXCEEDED)."""


class Locked(ApiError):
    """Another operation runs in the project; nothing was done (423)."""

    retryable = True


class RateLimited(ApiError):
    """Too many requests (429)."""

    retryable = True


class ServerError(ApiError):
    """Neon failed (500 and above)."""

    retryable = True


class NeonUnreachable(NeonError):
    """No usable answer; a read was tried several times, a mutation was looked up first."""

    retryable = True


class OperationFailed(NeonError):
    """An operation ended badly.

    Attributes:
        action: what the operation was about to do, e.g. ``create_branch``.
        operation_id: its id.
    """

    def __init__(self, message: str, *, action: str, operation_id: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.action = action
        self.operation_id = operation_id


class OperationTimeout(NeonError):
    """An operation did not end within the time given."""

    retryable = True


class NotDisposable(NeonError):
    """The branch is the project's default or protected: it must not be changed or deleted as a preview's."""


def api_error(*, status: int, code: str, message: str, request_id: str, what: str) -> ApiError:
    """The error of the right class for an answer; ``what`` names the request, e.g. ``DELETE /projects/x``."""
    kind: type[ApiError] = ApiError
    hint = ""
    if status in {401, 403}:
        kind, hint = Unauthorized, "check NEON_API_KEY and what the key may do"
    elif status == 404:
        kind = NotFound
    elif status == 409:
        kind = Conflict
    elif status == 422 and code.endswith("LIMIT_EXCEEDED"):
        kind, hint = QuotaExceeded, "discard previews that are not needed any more, or raise the plan's limit"
    elif status == 423:
        kind, hint = Locked, "another operation runs in this project; try again in a moment"
    elif status == 429:
        kind, hint = RateLimited, "too many requests; try again in a minute"
    elif status >= 500:
        kind, hint = ServerError, "Neon's side failed; try again, and quote the request id to its support"
    text = f"{what}: {message or 'no message'} (status {status}{f', {code}' if code else ''}, request {request_id})"
    return kind(text, status=status, code=code, request_id=request_id, hint=hint)
