"""What happens in a job, as lines in the store: an observer for whoever follows it from elsewhere. Prints nothing."""

import time
from collections.abc import Callable

from orchestrator.jobs.book import Book
from orchestrator.lifecycle import Preview, State
from orchestrator.redaction import clean

#: Details that change faster than this are left out, in seconds: a person cannot read them, and each is a row.
_EVERY = 0.25
_LONGEST = 2000


class Telling:
    """An Observer that writes lines of a job.

    Args:
        book: see Book; used by this job's thread alone.
        job_id: which job.
        clock: seconds that never go back.
    """

    def __init__(self, book: Book, job_id: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._job = job_id
        self._clock = clock
        self._last = -_EVERY

    def started(self, preview: Preview) -> None:
        """See lifecycle.Observer."""
        self._book.about(self._job, preview.id)
        self._say("started", state=preview.state.value)

    def detail(self, text: str) -> None:
        """See lifecycle.Observer."""
        now = self._clock()
        if not text.startswith("| ") and now - self._last < _EVERY:
            return
        self._last = now
        self._say("detail", text=text)

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:  # noqa: ARG002
        """See lifecycle.Observer."""
        self._say("finished", state=state.value, text=note, milliseconds=round(milliseconds, 3))

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:  # noqa: ARG002
        """See lifecycle.Observer."""
        self._say("failed", state=state.value, text=message, milliseconds=round(milliseconds, 3))

    def say(self, text: str) -> None:
        """A line that belongs to no step."""
        self._say("said", text=text)

    def _say(self, kind: str, *, text: str = "", **more: object) -> None:
        self._book.say(self._job, {"kind": kind, "text": clean(text.replace("\0", ""))[:_LONGEST], **more})
