"""What goes on, as server-sent events: that something changed, lines of running steps, lines of logs. Renders no page.

A stream says only that a part is old; the browser fetches the part as any page, with the same escaping and rights.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence

from markupsafe import escape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

#: How often a stream looks, in seconds; a look is two short queries.
_LOOK_SECONDS = 0.5
#: A comment that keeps proxies from closing a quiet stream, every so many looks.
_BEAT = 30
#: Browsers reconnect by themselves after so long, in milliseconds.
_RETRY = 2000
MOST_STREAMS = 100
_KEPT_LINES = 200

#: Event names and their data.
Sending = Sequence[tuple[str, str]]


class Streams:
    """How many streams are open; a browser that opens them without end gets an answer instead."""

    def __init__(self) -> None:
        self._open = 0

    def answer(self, request: Request, look: Callable[[], Sending | None]) -> Response:
        """A stream that sends what `look` gives, which is called in a thread every so often; None ends it."""
        if self._open >= MOST_STREAMS:
            return Response(status_code=503, headers={"retry-after": "10"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._send(request, look), media_type="text/event-stream", headers=headers)

    async def _send(self, request: Request, look: Callable[[], Sending | None]) -> AsyncIterator[str]:
        self._open += 1
        try:
            yield f"retry: {_RETRY}\n\n"
            quiet = 0
            while not await request.is_disconnected():
                sending = await run_in_threadpool(look)
                if sending is None:
                    yield event("end", "")
                    return
                quiet = 0 if sending else quiet + 1
                for name, value in sending:
                    yield event(name, value)
                if quiet and quiet % _BEAT == 0:
                    yield ": still here\n\n"
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._open -= 1


def event(name: str, value: str) -> str:
    """One event as it is sent; `value` on as many lines as it has."""
    lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return f"event: {name}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


def line_item(text: str) -> str:
    """A line as an item of a list; whatever is in it is text."""
    return f"<li>{escape(text)}</li>"


class Following:
    """One reader for each log, however many people look at it."""

    def __init__(self) -> None:
        self._logs: dict[Hashable, _Log] = {}
        self._lock = threading.Lock()

    def reader(self, key: Hashable, open_: Callable[[], Iterator[str]]) -> Callable[[], Sending | None]:
        """What a stream of this log looks at: its last lines first, then new ones; None when it has ended."""
        with self._lock:
            log = self._logs.get(key)
            if log is None or log.ended:
                self._logs = {each: kept for each, kept in self._logs.items() if not kept.ended}
                log = self._logs[key] = _Log(open_)
        at = max(0, log.count - _KEPT_LINES)

        def look() -> Sending | None:
            nonlocal at
            ended = log.ended
            at, lines = log.after(at)
            if ended and not lines:
                return None
            return [("line", "".join(line_item(line) for line in lines))] if lines else []

        return look


class _Log:
    """Reads a log in a thread of its own until it ends."""

    def __init__(self, open_: Callable[[], Iterator[str]]) -> None:
        self._kept: deque[str] = deque(maxlen=5 * _KEPT_LINES)
        self._lock = threading.Lock()
        self.count = 0
        self.ended = False
        threading.Thread(target=self._read, args=(open_,), name="log reader", daemon=True).start()

    def _read(self, open_: Callable[[], Iterator[str]]) -> None:
        try:
            for line in open_():
                self._add(line)
        except Exception as error:  # noqa: BLE001 - the reader is told; the log may simply be gone
            self._add(f"the log ended: {getattr(error, 'message', type(error).__name__)}")
        finally:
            self.ended = True

    def _add(self, line: str) -> None:
        with self._lock:
            self._kept.append(line)
            self.count += 1

    def after(self, number: int) -> tuple[int, list[str]]:
        """The lines after a number, and the number of the last."""
        with self._lock:
            missing = self.count - number
            return self.count, list(self._kept)[-missing:] if missing > 0 else []
