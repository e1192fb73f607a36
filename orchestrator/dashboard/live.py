"""What goes on, as server-sent events: that something changed, lines of running steps, lines of logs. Renders no page.

A stream says only that a part is old; the browser fetches the part as any page, with the same escaping and rights.
"""

import asyncio
import hashlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence

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
#: How many streams there are, and how many of them one person has: browsers without HTTP/2 open six connections to a
#: server, and a page that gets none of them hangs.
MOST_STREAMS, MOST_EACH = 100, 4
#: So many looks in a row that fail end a stream; the browser comes again.
_MOST_FAILURES = 10
_KEPT_LINES = 200

_log = logging.getLogger("preview.dashboard")

#: Event names and their data.
Sending = Sequence[tuple[str, str]]
#: What a page was made from, as a stream compares it: a name for each of its parts, and a mark that changes with it.
Marks = Mapping[str, str]


class _Open:
    """A stream that is open.

    Attributes:
        displaced: whether a newer one of the same person takes its place.
    """

    def __init__(self) -> None:
        self.displaced = False


class Streams:
    """The streams that are open. A person's oldest gives way to their newest; beyond all bounds there is no more.

    A page whose stream was refused or has given way looks by itself every so often; see dashboard.js.

    Args:
        most: how many there are in all.
        each: how many of them one person has.
    """

    def __init__(self, *, most: int = MOST_STREAMS, each: int = MOST_EACH) -> None:
        self._most = most
        self._each = each
        self._open: dict[str, list[_Open]] = {}

    def answer(
        self,
        request: Request,
        whose: str,
        look: Callable[[], Sending | None],
        *,
        farewell: Sending = (),
    ) -> Response:
        """A stream that sends what `look` gives, which is called in a thread every so often; None ends it.

        Args:
            request: what it answers.
            whose: the person.
            look: see above.
            farewell: what is sent last when a newer one takes its place.
        """
        mine = len(self._open.get(whose, ()))
        if mine < self._each and sum(map(len, tuple(self._open.values()))) >= self._most:
            return Response(status_code=503, headers={"retry-after": "10"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self._send(request, whose, look, farewell), media_type="text/event-stream", headers=headers
        )

    async def _send(
        self, request: Request, whose: str, look: Callable[[], Sending | None], farewell: Sending
    ) -> AsyncIterator[str]:
        me = self._enter(whose)
        try:
            yield f"retry: {_RETRY}\n\n"
            quiet = failures = 0
            while not await request.is_disconnected():
                if me.displaced:
                    for name, value in (*farewell, ("end", "")):
                        yield event(name, value)
                    return
                try:
                    sending, failures = await run_in_threadpool(look), 0
                except Exception as error:  # noqa: BLE001 - a store that is busy for a moment must not cut everybody off
                    _log.warning("a stream could not look: %s", type(error).__name__)
                    failures += 1
                    if failures >= _MOST_FAILURES:
                        return
                    sending = ()
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
            self._leave(whose, me)

    def _enter(self, whose: str) -> _Open:
        """One more of a person's; their oldest give way. On the event loop, as `_leave`."""
        mine = self._open.setdefault(whose, [])
        staying = [each for each in mine if not each.displaced]
        for oldest in staying[: max(0, len(staying) - self._each + 1)]:
            oldest.displaced = True
        me = _Open()
        mine.append(me)
        return me

    def _leave(self, whose: str, me: _Open) -> None:
        mine = self._open[whose]
        mine.remove(me)
        if not mine:
            del self._open[whose]


def event(name: str, value: str) -> str:
    """One event as it is sent; `value` on as many lines as it has."""
    lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return f"event: {name}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


def mark(*looked: object) -> str:
    """A word that changes with what was looked at."""
    return hashlib.sha256(repr(looked).encode()).hexdigest()[:16]


def word_of(marks: Marks) -> str:
    """The marks of a page as one word, for the address of its stream."""
    return ".".join(marks.values())


class Old:
    """Which parts of a page are old: the first look compares with what the page was made from, not with itself.

    Args:
        seen: `word_of` the marks when the page was made; empty when it does not say.
    """

    def __init__(self, seen: str) -> None:
        self._seen: tuple[str, ...] | None = tuple(seen.split(".")) if seen else None

    def since(self, marks: Marks) -> Sending:
        """An event for each part that has changed since the page was made, or since the last call."""
        now, before = tuple(marks.values()), self._seen
        self._seen = now
        if before is None:
            return []
        if len(before) != len(now):
            return list(marks.items())
        return [each for each, known in zip(marks.items(), before, strict=True) if each[1] != known]


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
