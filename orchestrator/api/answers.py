"""Errors as HTTP answers: one shape, one status for each class, no secret and no traceback. Decides nothing."""

from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from orchestrator import errors
from orchestrator.errors import OrchestratorError
from orchestrator.redaction import clean

#: The first class that fits says the status; the most special ones stand first.
_STATUS: tuple[tuple[type[OrchestratorError], int], ...] = (
    (errors.UnknownPreview, 404),
    (errors.UnknownPromotion, 404),
    (errors.UnknownJob, 404),
    (errors.NameTaken, 409),
    (errors.TooLarge, 413),
    (errors.TooSlow, 408),
    (errors.SettingsError, 409),
    (errors.UsageError, 400),
    (errors.WaitingForAnswers, 409),
    (errors.NotRecognised, 401),
    (errors.NotAllowed, 403),
    (errors.WrongVersion, 426),
    (errors.Refused, 409),
    (errors.TooOften, 429),
    (errors.Busy, 409),
    (errors.DatabaseUnreachable, 503),
)
#: What went wrong outside of us: Neon, Docker, a database of the project.
_OUTSIDE = 502


def status_of(error: OrchestratorError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), _OUTSIDE)


def error_json(error: OrchestratorError) -> dict[str, Any]:
    """``{"error": {"kind", "message", "hint", "detail", "exit_code"}}``; texts without what looks like a secret."""
    return {
        "error": {
            "kind": type(error).__name__,
            "message": clean(error.message),
            "hint": clean(error.hint),
            "detail": clean(error.detail),
            "exit_code": error.exit_code,
        }
    }


def answer_errors(app: FastAPI) -> None:
    """Make every error of every route an answer of this shape."""

    @app.exception_handler(OrchestratorError)
    def ours(_request: Request, error: OrchestratorError) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, errors.NotRecognised) else {}
        if error.retryable:
            headers["Retry-After"] = "1"
        return JSONResponse(error_json(error), status_code=status_of(error), headers=headers)

    @app.exception_handler(RequestValidationError)
    def wrong(_request: Request, error: RequestValidationError) -> JSONResponse:
        # Where and what, never the value: it may be a secret in the wrong place.
        said = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()[:10]
        )
        return JSONResponse(error_json(errors.UsageError(said)), status_code=422)

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> JSONResponse:
        what = f"{request.method} {request.url.path[:200]}: {error.detail}"
        return JSONResponse(
            error_json(errors.UsageError(what)), status_code=error.status_code, headers=error.headers
        )

    @app.exception_handler(psycopg.DataError)
    @app.exception_handler(UnicodeEncodeError)
    def not_a_text(_request: Request, _error: Exception) -> JSONResponse:
        # NUL and halves of surrogate pairs are JSON, and no text that anybody could keep.
        said = errors.UsageError("a text holds characters that cannot be kept", hint="send them without")
        return JSONResponse(error_json(said), status_code=422)
