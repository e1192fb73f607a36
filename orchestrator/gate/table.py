"""The previews as the gate sees them, read from the diary at most twice a second. Never writes a row of it."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import State, Store
from orchestrator.lifecycle.looks import Glance

#: How old an answer may be, and how old when the diary does not answer: longer, nobody knows what was revoked.
FRESH_SECONDS = 0.5
BLIND_SECONDS = 15.0

#: Where an app that has a URL may be asked, also while something else is done with the preview.
_SERVING = frozenset(
    {State.CHECKING, State.WAITING, State.READY, State.PROMOTING, State.PROMOTED, State.FAILED}
)


def serves(preview: Glance) -> bool:
    """Whether its app is there to be asked, or to be woken."""
    return preview.url is not None and preview.state in _SERVING


def upstream(preview: Glance) -> str:
    """Where its app is: ``127.0.0.1:PORT``."""
    return (preview.url or "").removeprefix("http://").rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is known at one moment.

    Attributes:
        previews: by name.
        good: what lets in, `share:ID` or `token:ID`, and which preview: an id, or `*` for every one.
    """

    previews: Mapping[str, Glance] = field(default_factory=dict)
    good: Mapping[str, str] = field(default_factory=dict)


class Reading:
    """Reads the table; holds the last one.

    Args:
        store: gives the diary for a block.
        tokens: what the tokens let in that are good now, as in `Table.good`.
    """

    def __init__(
        self, store: Callable[[], AbstractContextManager[Store]], tokens: Callable[[], Mapping[str, str]]
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._version: str | None = None
        self._table = Table()
        self._read_at: float | None = None
        self._lock = threading.Lock()
        self._reading: asyncio.Task[Table] | None = None

    async def table(self, *, anew: bool = False) -> Table:
        """The table; read again when it is old, once for all who wait for it.

        Raises:
            OrchestratorError: the diary does not answer, and has not for a while.
        """
        now = time.monotonic()
        if not anew and self._read_at is not None and now - self._read_at < FRESH_SECONDS:
            return self._table
        if anew and self._reading is not None:
            await asyncio.wait({self._reading})  # it may have looked before what we know of happened
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self.read))
        try:
            return await asyncio.shield(self._reading)
        except OrchestratorError:
            if self._read_at is None or time.monotonic() - self._read_at > BLIND_SECONDS:
                raise
            return self._table

    def read(self) -> Table:
        """Read it now; blocking."""
        began = time.monotonic()
        with self._lock:
            known, previews = self._version, self._table.previews
        with self._store() as store:
            looks = store.looks()
            version = looks.version()
            if version != known:
                previews = {glance.name: glance for glance in looks.all()}
            good = {**store.shares().good(), **self._tokens()}
        with self._lock:
            if self._read_at is None or began >= self._read_at:  # else somebody read later, and was quicker
                self._table, self._version, self._read_at = (
                    Table(previews=previews, good=good),
                    version,
                    began,
                )
            return self._table
