"""What holds for every request, before any route: size, version, headers. Plain ASGI; reads no store."""

import json
import logging
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.answers import error_json, status_of
from orchestrator.errors import OrchestratorError, TooLarge, WrongVersion

#: The version of the API; a client says which it speaks, the server says which it is.
VERSION = "1"
VERSION_HEADER = "preview-api"

_log = logging.getLogger("preview.api")

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    VERSION_HEADER: VERSION,
}


class Guardrails:
    """Refuses what is too large or speaks another version; adds headers unless the route has set its own.

    Args:
        app: what comes behind.
        most: the most bytes that a request to this method and path may hold.
    """

    def __init__(self, app: ASGIApp, *, most: Callable[[str, str], int]) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = self._most(scope["method"], scope["path"])
        flow = _Flow(receive, send, most)
        try:
            _check_version(headers)
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > most:
                raise _too_large(most)
            await self._app(scope, flow.receive, flow.send)
        except (WrongVersion, TooLarge) as error:
            if flow.begun:
                raise
            await flow.answer(error)
        except Exception as error:
            _log.exception("unexpected %s in %s", type(error).__name__, scope["path"][:200])
            if flow.begun:
                raise
            await flow.answer(
                OrchestratorError(
                    f"unexpected {type(error).__name__}; this is a fault of preview",
                    hint="the server's log has the details",
                ),
                status=500,
            )


class _Flow:
    """One request's messages: those that come are counted, the answer gets its headers."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive = receive
        self._send = send
        self._most = most
        self._came = 0
        self.begun = False
        self._answered = False

    async def receive(self) -> Message:
        """The next message, until they are more than is allowed."""
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if self._came > self._most:
            raise _too_large(self._most)
        return message

    async def send(self, message: Message) -> None:
        """Send, with our headers."""
        if self._answered:
            return
        if message["type"] == "http.response.start" and not self.begun and self._came > self._most:
            # A framework may take our error for its own, and answer something else.
            await self.answer(_too_large(self._most))
            return
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def answer(self, error: OrchestratorError, *, status: int | None = None) -> None:
        """Answer with an error; whatever else is sent for this request is dropped."""
        self._answered = True
        body = json.dumps(error_json(error)).encode()
        head: dict[str, Any] = {
            "type": "http.response.start",
            "status": status or status_of(error),
            "headers": [(b"content-type", b"application/json"), (b"connection", b"close")],
        }
        await self._pass(head)
        await self._pass({"type": "http.response.body", "body": body})


def _check_version(headers: Headers) -> None:
    asked = headers.get(VERSION_HEADER)
    if asked is not None and asked != VERSION:
        raise WrongVersion(
            f"this server speaks version {VERSION} of the API, not {asked[:20]!r}",
            hint="use the version of `preview` that the server has",
        )


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the request is larger than {most} bytes", hint="see [server] in docs/settings.md")
