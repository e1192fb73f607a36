"""When a request may be sent again, and how long to wait. Hides the retry library; knows no route and no model."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_random_exponential

T = TypeVar("T")

#: Statuses that promise that nothing was done, so that any method may be repeated (Neon API v2: 423, 503; 429 by
#: the official SDK).
NOTHING_DONE: Final = frozenset({423, 429, 503})


class Again(Exception):
    """Inside this package only: this attempt may be repeated.

    Attributes:
        cause: the error to raise when there is no time left.
        after_seconds: what ``Retry-After`` asked for; 0 when it did not.
        network: whether there was no answer at all; such attempts are counted, not only timed.
    """

    def __init__(self, cause: Exception, *, after_seconds: float = 0.0, network: bool = False) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.after_seconds = after_seconds
        self.network = network


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to keep trying.

    Attributes:
        budget_seconds: time for all attempts of one request together.
        network_attempts: attempts when nobody answers at all; a stopped server should be told soon.
        base_seconds: the first wait is random between 0 and this; it doubles each time (full jitter).
        cap_seconds: no wait of our own is longer.
    """

    budget_seconds: float = 60.0
    network_attempts: int = 4
    base_seconds: float = 0.25
    cap_seconds: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self, attempt: Callable[[], T]) -> T:
        """Call ``attempt`` until it returns, raises anything but `Again`, or patience ends (then `Again.cause`)."""
        began = self.clock()
        jitter = wait_random_exponential(multiplier=self.base_seconds, max=self.cap_seconds)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.after_seconds if isinstance(error, Again) else 0.0
            return max(asked, jitter(state))

        def stop(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, Again) and error.network and state.attempt_number >= self.network_attempts:
                return True
            # Sleeping beyond the budget only to give up is time stolen: a Retry-After that long ends it now.
            return self.clock() - began + state.upcoming_sleep > self.budget_seconds

        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Again)),
            wait=wait,
            stop=stop,
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except Again as gone:
            raise gone.cause from None


def retry_after_seconds(header: str | None) -> float:
    """Seconds asked for by a ``Retry-After`` header in its number form; 0 for anything else."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0
