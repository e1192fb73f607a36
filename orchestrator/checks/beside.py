"""Work beside the caller's, in a thread of its own; its lines are told by the caller's thread. Knows no check."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
Say = Callable[[str], None]


class Beside(Generic[T]):
    """Begun when it is made, and over when its block is left: nobody is left behind in a thread.

    Args:
        work: is given where to say its lines; may be called in any thread.
        stop: called when the block is left by an exception, so that the work ends soon.
    """

    def __init__(self, work: Callable[[Say], T], stop: Callable[[], None] = lambda: None) -> None:
        self._work = work
        self._stop = stop
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._done: list[T] = []
        self._error: BaseException | None = None
        # A daemon: whoever is asked to end twice ends, and leaves what a kill would leave.
        self._thread = threading.Thread(target=self._run, name="beside", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._done.append(self._work(self._lines.put))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
        finally:
            self._lines.put(None)

    def result(self, say: Say) -> T:
        """Wait for the end, and tell what it said and says meanwhile; what it raised is raised here."""
        while (line := self._lines.get()) is not None:
            say(line)
        self._lines.put(None)  # for whoever asks again
        if self._error is not None:
            raise self._error
        return self._done[0]

    def __enter__(self) -> "Beside[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stop()
        self._thread.join()
