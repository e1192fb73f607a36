"""A connection whose requests have to arrive in time: an end for those who send a letter now and then. Reads none.

What comes after a request's head is timed in guardrails; uvicorn itself waits for a head as long as it likes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

#: How long the head of a request may take, from the beginning of the connection or the end of the answer before.
HEAD_SECONDS = 15.0


class Arriving(H11Protocol):
    """uvicorn's protocol, which closes a connection whose next request is not there in time."""

    _until: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._stop()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Begin to wait when no request is being answered, and wait no more when one is; trickles count for nothing."""
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._stop()
        elif self._until is None and not self.transport.is_closing():
            self._until = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None
