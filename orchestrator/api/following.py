"""A log that is followed, on a thread of its own. Knows neither runtimes nor routes.

A quiet app keeps whoever waits for its next line for hours, also after the client has gone. On the threads that
requests share, a few dozen of those would be the end of all other requests.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from orchestrator.errors import TooOften
from preview.ending import Ending

#: How many logs one server follows at once; beyond that only following is refused.
MOST = 500
_HELD_LINES = 256
_LOOK_SECONDS = 1.0
#: How long an answer waits for the first line, or for the error that there is none.
_FIRST_SECONDS = 2.0

_places = threading.BoundedSemaphore(MOST)


class _Gone(Exception):
    """Nobody listens any more."""


class Followed:
    """The lines of a log as they come; to be made on the event loop.

    Args:
        open_: opens the log; called, and read, on the thread. It ends when it is told to, too.

    Raises:
        TooOften: too many logs are followed.
    """

    def __init__(self, open_: Callable[[Ending], Iterator[str]]) -> None:
        if not _places.acquire(blocking=False):
            raise TooOften("too many logs are followed", hint="ask without `follow`, or later")
        self._open = open_
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Queue[str | Exception | None] = asyncio.Queue(_HELD_LINES)
        self._ending = Ending()
        self._first: list[str | Exception | None] = []
        threading.Thread(target=self._read, name="log", daemon=True).start()

    def _read(self) -> None:
        try:
            end: Exception | None = None
            try:
                for line in self._open(self._ending):
                    self._say(line)
            except _Gone:
                return
            except Exception as error:  # noqa: BLE001 - told to whoever listens
                end = error
            with suppress(_Gone):
                self._say(end)
        finally:
            _places.release()

    def _say(self, item: str | Exception | None) -> None:
        coroutine = self._came.put(item)
        try:
            said = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the server has ended
            coroutine.close()
            raise _Gone from None
        while not self._ending.over:
            with suppress(TimeoutError):
                said.result(_LOOK_SECONDS)
                return
        said.cancel()
        raise _Gone

    async def begun(self) -> None:
        """Wait a moment for the first line.

        Raises:
            OrchestratorError: there is no log to follow.
        """
        with suppress(TimeoutError):
            self._first.append(await asyncio.wait_for(self._came.get(), _FIRST_SECONDS))
        if self._first and isinstance(self._first[0], Exception):
            self._ending.end()
            raise self._first[0]

    async def lines(self) -> AsyncIterator[str]:
        """Each line, until the log ends; whoever stops listening lets the thread go."""
        try:
            while True:
                item = self._first.pop() if self._first else await self._came.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self._ending.end()
