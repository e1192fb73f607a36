"""Waking a preview once, however many ask for it. Knows neither HTTP nor what waking is."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from orchestrator.errors import OrchestratorError

#: A preview that did not wake is not tried again at once for everybody who reloads its page.
RESTS_SECONDS = 5.0
#: How many are woken at once: each start costs processor time.
MOST = 4


class Waking:
    """The wakes that are under way.

    Args:
        wake: wakes the preview with an id; blocking; raises OrchestratorError. When it is done, everybody who looks
            sees the preview awake: from then on a request begins a wake of its own.
        clock: seconds that never go back.
    """

    def __init__(self, wake: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._wake = wake
        self._clock = clock
        self._pool = ThreadPoolExecutor(MOST, thread_name_prefix="wake")
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._failed: dict[str, tuple[float, OrchestratorError]] = {}

    async def awake(self, preview_id: str, patience: float) -> bool:
        """Wake a preview, or wait for the wake that is under way; whether it is awake when patience is over.

        Raises:
            OrchestratorError: it could not be woken, just now or a moment ago.
        """
        if failed := self._failed.get(preview_id):
            if self._clock() - failed[0] < RESTS_SECONDS:
                raise failed[1]
            del self._failed[preview_id]
        waking = self._under_way.get(preview_id)
        if waking is None:
            waking = asyncio.get_running_loop().run_in_executor(self._pool, self._wake, preview_id)
            self._under_way[preview_id] = waking
            waking.add_done_callback(lambda done: self._over(preview_id, done))
        await asyncio.wait({waking}, timeout=patience)
        if not waking.done():
            return False
        waking.result()
        return True

    def _over(self, preview_id: str, done: "asyncio.Future[None]") -> None:
        self._under_way.pop(preview_id, None)
        error = (
            None if done.cancelled() else done.exception()
        )  # asked for, so that nobody complains it never was
        if isinstance(error, OrchestratorError):
            self._failed[preview_id] = (self._clock(), error)

    def close(self) -> None:
        """Start no wake any more; those under way go on to their end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
