"""Connections to the store for requests: opened when needed, used again, thrown away when broken. Knows no HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.pq import TransactionStatus

from orchestrator.database import COLD_SECONDS, Connection, connect
from orchestrator.errors import DatabaseUnreachable
from orchestrator.lifecycle.around import losing_store


class Connections:
    """A few connections for many threads.

    Args:
        uri: of the store's database.
        most: how many there may be at once.
        patience_seconds: how long a thread waits for a free one.
    """

    def __init__(self, uri: str, *, most: int = 16, patience_seconds: float = 20.0) -> None:
        self._uri = uri
        self._free: list[Connection] = []
        self._places = threading.BoundedSemaphore(most)
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection in autocommit mode, for a block.

        Raises:
            DatabaseUnreachable: the store does not answer, answers no more, or too many threads ask at once.
        """
        if not self._places.acquire(timeout=self._patience):
            raise DatabaseUnreachable("the server is busy", hint="try again in a moment")
        try:
            with losing_store():
                connection = self._take()
                try:
                    yield connection
                finally:
                    self._put_back(connection)
        finally:
            self._places.release()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                connection = self._free.pop() if self._free else None
            if connection is None:
                return connect(
                    self._uri, purpose="server", patience_seconds=min(COLD_SECONDS, self._patience)
                )
            try:
                connection.execute("select 1")
            except Exception:  # noqa: BLE001 - it was cut while nobody used it: the next one, or a new one
                connection.close()
                continue
            return connection

    def _put_back(self, connection: Connection) -> None:
        with self._lock:
            if (
                not self._closed
                and not connection.closed
                and connection.info.transaction_status is TransactionStatus.IDLE
            ):
                self._free.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close those that nobody uses; the others when they come back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()
