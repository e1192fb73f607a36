"""What holds for every request, before any route: size, pace, version, headers. Plain ASGI; reads no store."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.answers import error_json, status_of
from orchestrator.errors import OrchestratorError, TooLarge, TooSlow, WrongVersion

#: The version of the API; a client says which it speaks, the server says which it is.
VERSION = "1"
VERSION_HEADER = "preview-api"

#: How long a request's body may take to come, in seconds, and how much longer for each byte of it.
BODY_SECONDS = 20.0
_SECONDS_A_BYTE = 1 / (16 * 1024)

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
    """Refuses what is too large, too slow or speaks another version; adds headers unless the route has set its own.

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
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        flow = _Flow(receive, send, most, has_body=has_body)
        try:
            _check_version(headers)
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > most:
                raise _too_large(most)
            await self._app(scope, flow.receive, flow.send)
        except (WrongVersion, TooLarge, TooSlow) as error:
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
    """One request's messages: those that come are counted and timed, the answer gets its headers."""

    def __init__(self, receive: Receive, send: Send, most: int, *, has_body: bool) -> None:
        self._receive = receive
        self._send = send
        self._most = most
        self._began: float | None = None
        self._came = 0
        self._all_came = not has_body
        self._wrong: TooLarge | TooSlow | None = None
        self.begun = False
        self._answered = False

    async def receive(self) -> Message:
        """The next message, until they are more than is allowed, or come too slowly."""
        if self._all_came:
            return await self._receive()  # whoever waits for the end of a long answer waits here
        message = await self._in_time()
        self._came += len(message.get("body", b""))
        self._all_came = not message.get("more_body", False)
        if self._came > self._most:
            self._wrong = _too_large(self._most)
            raise self._wrong
        return message

    async def _in_time(self) -> Message:
        now = time.monotonic()
        if self._began is None:
            # Only from when somebody wants it: a server that is slow itself blames nobody.
            self._began = now
        left = self._began + BODY_SECONDS + self._came * _SECONDS_A_BYTE - now
        try:
            async with asyncio.timeout(max(0.0, left)):
                return await self._receive()
        except TimeoutError:
            self._wrong = TooSlow(
                f"after {now - self._began + max(0.0, left):.0f} s only {self._came} bytes of the request had come",
                hint="send it again, over a better connection",
            )
            raise self._wrong from None

    async def send(self, message: Message) -> None:
        """Send, with our headers."""
        if self._answered:
            return
        if message["type"] == "http.response.start" and not self.begun and self._wrong is not None:
            # A framework may take our error for its own, and answer something else.
            await self.answer(self._wrong)
            return
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if not self._all_came:
                headers["connection"] = "close"  # what nobody will read is not waited for
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
