"""Lets somebody end, from another thread, what a thread reads until something comes. Knows no log and no engine."""

import threading
from collections.abc import Callable


class Ending:
    """The end of something that is followed: asked for once, by whoever listens no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._close: Callable[[], object] | None = None
        self._over = False

    @property
    def over(self) -> bool:
        """Whether it was asked for."""
        return self._over

    def by(self, close: Callable[[], object]) -> None:
        """Say how whoever reads is let go; called from the thread that asks, at once when that was before."""
        with self._lock:
            self._close = close
            over = self._over
        if over:
            close()

    def end(self) -> None:
        """Ask for the end; again is harmless."""
        with self._lock:
            close, self._close = self._close, None
            self._over = True
        if close is not None:
            close()
