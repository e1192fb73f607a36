"""Rings when something happens in the store: one listening connection for all who wait on the event loop."""

import asyncio
import logging
import threading
from collections import defaultdict

import psycopg

from orchestrator.database import connect
from orchestrator.errors import DatabaseUnreachable

_log = logging.getLogger("preview.bell")
JOB, EVENT = "preview_job", "preview_event"


class Bell:
    """Wakes those who wait for a job or a preview, by its id. A ring that is missed costs a look, nothing more.

    Args:
        uri: of the store's database.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self._stopping = threading.Event()
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen, in a thread of its own."""
        self._loop = loop
        threading.Thread(target=self._listen, name="bell", daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.close()

    async def wait(self, channel: str, key: str, seconds: float) -> None:
        """Until it rings for this key, or the time is over; also over at once when something went wrong."""
        event = asyncio.Event()
        places = self._waiting[channel, key]
        places.add(event)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            places.discard(event)
            if not places:
                self._waiting.pop((channel, key), None)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                with connect(self._uri, purpose="bell", patience_seconds=5) as connection:
                    self._connection = connection
                    connection.execute(f"listen {JOB}")
                    connection.execute(f"listen {EVENT}")
                    for note in connection.notifies():
                        self._ring(note.channel, note.payload)
            except (psycopg.Error, DatabaseUnreachable):
                if not self._stopping.is_set():
                    _log.warning("the store does not answer the bell; listening again")
            self._stopping.wait(0.5)

    def _ring(self, channel: str, key: str) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return

        def wake() -> None:
            for event in self._waiting.get((channel, key), ()):
                event.set()

        loop.call_soon_threadsafe(wake)
