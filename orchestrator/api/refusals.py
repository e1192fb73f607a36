"""Refusals on their way into the audit: each one by itself while they are few, counted while they are many.

Nothing that is refused is missing there, and no flood of requests fills the disk. Knows no HTTP.
"""

import logging
import threading
from collections.abc import Callable

from orchestrator.access import Caller
from orchestrator.api.rates import Buckets
from orchestrator.errors import OrchestratorError

_log = logging.getLogger("preview.audit")

#: How many entries whoever shows no good token gets, all of them together: at once, and then in a minute.
_AT_ONCE, _PER_MINUTE = 300, 20
#: How many one token gets.
_OF_TOKEN = 60
#: How often what was only counted is written down, in seconds, and of how many sources by name.
COUNTED_SECONDS = 60.0
_MOST_SOURCES = 10

Write = Callable[[Caller | None, str, str, str], None]


class Refusals:
    """Writes refusals down; safe to use from many threads.

    Args:
        write: adds an entry: caller, action, object, note.
        every_seconds: how often what was counted is written.
    """

    def __init__(self, write: Write, *, every_seconds: float = COUNTED_SECONDS) -> None:
        self._write = write
        self._every = every_seconds
        self._nobody = Buckets(_PER_MINUTE, holds=_AT_ONCE)
        self._tokens = Buckets(_OF_TOKEN)
        self._counts: dict[tuple[Caller | None, str], int] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._counting: threading.Thread | None = None

    def tell(self, caller: Caller | None, action: str, *, on: str, note: str, source: str = "") -> None:
        """Remember a refusal.

        Args:
            caller: who was refused; None: nobody whom we know.
            action, on, note: as in the audit.
            source: from where, when nobody is known.
        """
        full = self._tokens.take(caller.token) if caller else self._nobody.take("")
        if not full:
            self._write(caller, action, on, note)
            return
        with self._lock:
            named = sum(1 for known, _ in self._counts if known is None)
            key = (caller, "" if caller else source)
            if key not in self._counts and caller is None and named >= _MOST_SOURCES:
                key = (None, "")
            self._counts[key] = self._counts.get(key, 0) + 1
            if self._counting is None and not self._over.is_set():
                self._counting = threading.Thread(target=self._later, name="refusals", daemon=True)
                self._counting.start()

    def _later(self) -> None:
        while not self._over.wait(self._every):
            self.flush()
            with self._lock:
                if not self._counts:
                    self._counting = None
                    return

    def flush(self) -> None:
        """Write down what was counted."""
        with self._lock:
            counts, self._counts = self._counts, {}
        for (caller, source), count in counts.items():
            more = "" if source or caller else ", from several addresses"
            try:
                self._write(caller, "requests", source, f"{count} more were refused in a short time{more}")
            except OrchestratorError as error:
                _log.warning("%s refused requests are missing in the audit: %s", count, error.message)

    def close(self) -> None:
        """Write down what was counted, and count no more."""
        self._over.set()
        self.flush()
