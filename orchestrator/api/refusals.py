"""Refusals on their way into the audit: each one by itself while they are few, counted while they are many.

Nothing that is refused is missing there, and no flood of requests fills the disk. Knows no HTTP.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from orchestrator.access import Caller
from orchestrator.api.rates import Buckets
from orchestrator.errors import OrchestratorError

_log = logging.getLogger("preview.audit")

#: How many entries whoever shows no good token gets, all of them together: at once, and then in a minute.
_AT_ONCE, _PER_MINUTE = 300, 20
#: How many one token gets.
_OF_TOKEN = 60
#: For how long at most a refusal is known to this process only, in seconds: what its sudden end can lose.
UNKEPT_SECONDS = 1.0
#: How often what was counted becomes entries, in seconds, and from how many sources by name.
COUNTED_SECONDS = 60.0
_MOST_SOURCES = 10

Counts = Mapping[tuple[Caller | None, str], int]
Write = Callable[[Caller | None, str, str, str], None]
Count = Callable[[Counts], None]
Settle = Callable[[float], None]


class Refusals:
    """Writes refusals down; safe to use from many threads.

    Args:
        write: adds an entry: caller, action, object, note.
        count: keeps how many more there were.
        settle: makes entries of what was counted, by any server, longer than so many seconds ago.
        unkept_seconds: how often what was counted is kept.
        every_seconds: how often it becomes entries.
    """

    def __init__(
        self,
        write: Write,
        *,
        count: Count,
        settle: Settle,
        unkept_seconds: float = UNKEPT_SECONDS,
        every_seconds: float = COUNTED_SECONDS,
    ) -> None:
        self._write = write
        self._count = count
        self._settle = settle
        self._unkept = unkept_seconds
        self._every = every_seconds
        self._nobody = Buckets(_PER_MINUTE, holds=_AT_ONCE)
        self._tokens = Buckets(_OF_TOKEN)
        # A token has few kinds of refusals, so that these cannot flood anything either.
        self._kinds = Buckets(1)
        self._counts: dict[tuple[Caller | None, str], int] = {}
        self._named: set[str] = set()
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        self._over = threading.Event()
        self._counting: threading.Thread | None = None

    def tell(
        self, caller: Caller | None, action: str, *, on: str, note: str, source: str = "", kind: str = ""
    ) -> None:
        """Remember a refusal; when this returns it is in the audit, or counted and there within a second.

        Args:
            caller: who was refused; None: nobody whom we know.
            action, on, note: as in the audit.
            source: from where, when nobody is known.
            kind: one of a few, never what a caller may choose freely: the first of a kind in a minute has an entry of
                its own however many others there were, so that no flood hides what it is meant to hide.
        """
        full = self._tokens.take(caller.token) if caller else self._nobody.take("")
        if full and caller and kind:
            full = self._kinds.take(f"{caller.token} {kind}")
        if not full:
            self._write(caller, action, on, note)
            return
        with self._lock:
            if not caller and source not in self._named:
                if len(self._named) < _MOST_SOURCES:
                    self._named.add(source)
                else:
                    source = ""
            key = (caller, "" if caller else source)
            self._counts[key] = self._counts.get(key, 0) + 1
            if self._counting is None and not self._over.is_set():
                self._counting = threading.Thread(target=self._later, name="refusals", daemon=True)
                self._counting.start()

    def _later(self) -> None:
        settled = time.monotonic()
        while not self._over.wait(self._unkept):
            self._keep()
            if time.monotonic() - settled < self._every:
                continue
            settled = time.monotonic()
            self.settle()
            with self._lock:
                self._named.clear()
                if not self._counts:
                    self._counting = None
                    return

    def _keep(self) -> None:
        # One at a time: who closes must not find that another is about to write still.
        with self._keeping:
            with self._lock:
                counts, self._counts = self._counts, {}
            if not counts:
                return
            try:
                self._count(counts)
            except OrchestratorError as error:
                _log.warning(
                    "%s refused requests wait for the store: %s", sum(counts.values()), error.message
                )
                with self._lock:
                    for key, count in counts.items():
                        self._counts[key] = self._counts.get(key, 0) + count

    def flush(self) -> None:
        """Write down what was counted so far."""
        self._keep()
        self.settle()

    def settle(self, *, older_than_seconds: float = 0.0) -> None:
        """Make entries of what was counted, also of what a server left that is no more."""
        try:
            self._settle(older_than_seconds)
        except OrchestratorError as error:
            _log.warning("the audit waits for the store: %s", error.message)

    def close(self) -> None:
        """Write down what was counted, and count no more."""
        self._over.set()
        self.flush()
        if self._counts:
            _log.warning("%s refused requests are missing in the audit", sum(self._counts.values()))
