"""The HTTP edge: routes, key, JSON, faults. Every route ends in a verb; nothing is decided here."""

import asyncio
import hmac
import logging
import math
import sqlite3
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from neon_embedded.errors import EmbeddedError, Refusal
from neon_embedded.faults import SLOW_SECONDS
from neon_embedded.plane import Plane

log: Final = logging.getLogger("neon_embedded")

PREFIX: Final = "/api/v2"

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a route is asked: path parameters, query, body."""

    plane: Plane
    path: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a route answers; a body of None is an empty answer."""

    body: dict[str, Any] | None
    status: int = 200


Verb = Callable[[Call], Result | dict[str, Any]]


def application(plane: Plane, api_key: str, verbs: dict[tuple[str, str], Verb]) -> Starlette:
    """The ASGI application that serves ``verbs`` (by method and path) to whoever has the key."""
    routes = [
        Route(PREFIX + path, _endpoint(plane, verb), methods=[method])
        for (method, path), verb in verbs.items()
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Door, api_key=api_key, plane=plane)],
        exception_handlers={HTTPException: _no_route},
    )


def error_response(status: int, message: str, *, code: str = "") -> JSONResponse:
    """Neon's GeneralError with a request id, in body and header."""
    return JSONResponse({"request_id": str(uuid.uuid4()), "code": code, "message": message}, status)


class _Door:
    """Lets in who shows the key, and answers with faults when they were asked for."""

    def __init__(self, app: Any, *, api_key: str, plane: Plane) -> None:
        self._app: Final = app
        self._key: Final = f"Bearer {api_key}".encode()
        self._plane: Final = plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id") or str(uuid.uuid4()).encode()

        async def named(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-neon-ret-request-id", request_id)]
            await send(message)

        refusal = self._refusal(headers, scope["method"], scope["path"])
        if not scope["path"].startswith(f"{PREFIX}/embedded") and self._plane.faults.take("slow"):
            await asyncio.sleep(SLOW_SECONDS)
        if refusal is not None:
            await refusal(scope, receive, named)
        else:
            await self._app(scope, receive, named)

    def _refusal(self, headers: dict[bytes, bytes], method: str, path: str) -> Response | None:
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._key):
            return error_response(401, "authentication failed: no API key, or a wrong one")
        faults = self._plane.faults
        if path.startswith(f"{PREFIX}/embedded"):
            return None
        if faults.take("rate_limited"):
            return JSONResponse({"code": "", "message": "too many requests"}, 429, {"Retry-After": "0"})
        if faults.take("unavailable"):
            return error_response(503, "service unavailable")
        if method == "POST" and path.endswith("/branches") and faults.take("branches_limit"):
            return error_response(422, "branches limit exceeded", code="BRANCHES_LIMIT_EXCEEDED")
        return None


class _Cut(Response):
    """Begins an answer and breaks off, so that the client knows nothing of what was done."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def _endpoint(plane: Plane, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            body = await request.json() if raw.strip() else {}
        except ValueError:
            return error_response(400, "invalid request: decode application/json: not JSON")
        if not isinstance(body, dict):
            return error_response(400, "invalid request: decode application/json: an object is expected")
        call = Call(plane=plane, path=dict(request.path_params), query=dict(request.query_params), body=body)
        response = await run_in_threadpool(_answer, verb, call)
        changes = request.method not in {"GET", "HEAD"} and "/embedded" not in request.url.path
        if changes and response.status_code < 300 and plane.faults.take("lost_answer"):
            return _Cut()
        return response

    return endpoint


def _answer(verb: Verb, call: Call) -> Response:
    try:
        result = verb(call)
    except Refusal as no:
        return error_response(no.status, no.message, code=no.code)
    except EmbeddedError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return error_response(500, f"{error.message}{hint}{call.plane.home.no_room}")
    except Exception as error:
        log.exception("a request broke")
        home = call.plane.home
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return error_response(500, f"the disk that holds {home.root} is full: make room")
        return error_response(500, f"internal error, see {home.log}{home.no_room}")
    if isinstance(result, dict):
        return JSONResponse(result)
    return (
        Response(status_code=result.status)
        if result.body is None
        else JSONResponse(result.body, result.status)
    )


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return error_response(
        status if math.floor(status / 100) == 4 else 404,
        f"the embedded server has no route {request.method} {request.url.path}",
    )
