"""An app that says what reached it: headers, bodies, websockets, events."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

#: Set when a piece of a body is here.
ARRIVED = threading.Event()
#: The paths that were asked for, and what was said on websockets.
SEEN: list[str] = []


async def echo(request: Request) -> Response:
    SEEN.append(request.url.path)
    size, digest = 0, hashlib.sha256()
    async for piece in request.stream():
        size += len(piece)
        if piece:
            ARRIVED.set()
        digest.update(piece)
    return JSONResponse(
        {
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "headers": [(name.decode(), value.decode("latin-1")) for name, value in request.headers.raw],
            "size": size,
            "sha256": digest.hexdigest(),
        }
    )


async def cookies(_request: Request) -> Response:
    answer = Response("ok", headers={"X-Preview-Upstream": "127.0.0.1:1"})
    answer.headers.append("Set-Cookie", "session=1; Path=/; Domain=.preview.test; HttpOnly")
    answer.headers.append("Set-Cookie", "plain=2; Path=/")
    # As a browser reads it: white space counts for nothing, of two domains the last counts.
    answer.headers.append("Set-Cookie", "spaced=3;\tDOMAIN =\t.preview.test ; Path=/")
    answer.headers.append("Set-Cookie", "twice=4; domain=x; domain = preview.test")
    answer.headers.append("Set-Cookie", "__Host-preview-gate=forged; Path=/; Secure")
    answer.headers.append("Set-Cookie", "preview-gate=; Max-Age=0")
    answer.headers["Clear-Site-Data"] = '"cache", "cookies", "*"'
    return answer


async def events(_request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        number = 0
        while True:
            yield f"data: {number}\n\n".encode()
            number += 1
            await asyncio.sleep(0.05)

    return StreamingResponse(lines(), media_type="text/event-stream")


async def page(_request: Request) -> Response:
    text = "<!doctype html><title>a page</title><link rel=icon href=data:,><a href='/'>link</a>"
    return Response(text, media_type="text/html")


async def worker(_request: Request) -> Response:
    return Response(
        "onfetch = event => event.respondWith(new Response('mine'))", media_type="text/javascript"
    )


async def talk(socket: WebSocket) -> None:
    SEEN.append(socket.url.path)
    await socket.accept()
    try:
        while True:
            await socket.send_text(f"heard {await socket.receive_text()}")
    except WebSocketDisconnect:
        pass


def small_app() -> Any:
    return Starlette(
        routes=[
            WebSocketRoute("/ws", talk),
            Route("/cookies", cookies),
            Route("/events", events),
            Route("/page", page),
            Route("/worker.js", worker),
            Route("/{path:path}", echo, methods=["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
        ]
    )
