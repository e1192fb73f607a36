"""When a request may be sent again, and how long to wait. Hides the retry library; knows no route and no model."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_random_exponential

T = TypeVar("T")


class Reason(Enum):
    """Why an attempt may be repeated; each has a budget of its own."""

    LOCKED = "another operation runs in the project"
    BUSY = "the server has no time now"
    NETWORK = "nobody answers"


#: Statuses that promise that nothing was done, so that any method may be repeated (Neon API v2: 423, 503; 429 by
#: the official SDK).
NOTHING_DONE: Final = {423: Reason.LOCKED, 429: Reason.BUSY, 503: Reason.BUSY}


class Again(Exception):
    """Inside this package only: this attempt may be repeated.

    Attributes:
        cause: the error to raise when there is no time left.
        reason: which budget it is charged to.
        after_seconds: what ``Retry-After`` asked for; 0 when it did not.
    """

    def __init__(self, cause: Exception, *, reason: Reason, after_seconds: float = 0.0) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.reason = reason
        self.after_seconds = after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to keep trying. A lock held by somebody else does not use up the time for a busy server, or reverse.

    Attributes:
        budget_seconds: time that attempts of one request may lose to a busy server (429, 503) or network.
        locked_seconds: the same for a locked project (423): Neon's own checks lock it spontaneously, for a
            while (reference: neon-api.md, sections 2 and 4).
        network_attempts: attempts when nobody answers at all; a stopped server should be told soon.
        base_seconds: the first wait is random between 0 and this; it doubles each time (full jitter).
        cap_seconds: no wait of our own is longer.
    """

    budget_seconds: float = 60.0
    locked_seconds: float = 120.0
    network_attempts: int = 4
    base_seconds: float = 0.25
    cap_seconds: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self, attempt: Callable[[], T]) -> T:
        """Call ``attempt`` until it returns, raises anything but `Again`, or patience ends (then `Again.cause`)."""
        jitter = wait_random_exponential(multiplier=self.base_seconds, max=self.cap_seconds)
        lost = dict.fromkeys(Reason, 0.0)
        times = dict.fromkeys(Reason, 0)
        since = self.clock()

        def wait(state: RetryCallState) -> float:
            return max(_again(state).after_seconds, jitter(state))

        def stop(state: RetryCallState) -> bool:
            nonlocal since
            reason = _again(state).reason
            now = self.clock()
            # What passed since the last failure, the sleep in between included, is charged to this one's reason.
            lost[reason] += now - since
            times[reason] += 1
            since = now
            if reason is Reason.NETWORK and times[reason] >= self.network_attempts:
                return True
            budget = self.locked_seconds if reason is Reason.LOCKED else self.budget_seconds
            # Sleeping beyond the budget only to give up is time stolen: a Retry-After that long ends it now.
            return lost[reason] + state.upcoming_sleep > budget

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


def _again(state: RetryCallState) -> Again:
    """Why the last attempt may be repeated; only such attempts are ever asked about."""
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Again):
        raise TypeError("only Again is repeated")
    return error


def retry_after_seconds(header: str | None) -> float:
    """Seconds asked for by a ``Retry-After`` header, a number or a date (RFC 9110); 0 for anything else."""
    if not header:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    zoned = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (zoned - datetime.now(UTC)).total_seconds())
