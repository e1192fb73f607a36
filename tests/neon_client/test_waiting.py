"""Patience and waiting, with a clock of our own: nothing here sleeps."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from neon_client import Operation, OperationFailed, OperationTimeout
from neon_client.operations import wait_for
from neon_client.retry import Again, Patience, Reason, retry_after_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def read(self) -> float:
        return self.now


def patience(clock: Clock, **settings: float) -> Patience:
    return Patience(sleep=clock.sleep, clock=clock.read, **settings)  # type: ignore[arg-type]


def failing(times: int, *, after_seconds: float = 0, reason: Reason = Reason.BUSY) -> Callable[[], str]:
    def attempts() -> Iterator[bool]:
        yield from [True] * times
        while True:
            yield False

    left = attempts()

    def attempt() -> str:
        if next(left):
            raise Again(RuntimeError("not now"), after_seconds=after_seconds, reason=reason)
        return "done"

    return attempt


def test_it_tries_until_it_works() -> None:
    clock = Clock()
    assert patience(clock).run(failing(6)) == "done"
    assert len(clock.slept) == 6
    assert all(seconds <= 5 for seconds in clock.slept)


def test_retry_after_is_never_shortened() -> None:
    clock = Clock()
    assert patience(clock).run(failing(2, after_seconds=7)) == "done"
    assert all(seconds >= 7 for seconds in clock.slept)


def test_it_gives_up_within_the_budget_with_the_cause() -> None:
    clock = Clock()
    with pytest.raises(RuntimeError, match="not now"):
        patience(clock, budget_seconds=20).run(failing(10_000))
    assert clock.now <= 20


def test_a_retry_after_beyond_the_budget_ends_it_at_once() -> None:
    clock = Clock()
    with pytest.raises(RuntimeError):
        patience(clock, budget_seconds=20).run(failing(10_000, after_seconds=21))
    assert clock.slept == []


def test_a_silent_server_is_tried_a_few_times_only() -> None:
    clock = Clock()
    with pytest.raises(RuntimeError):
        patience(clock).run(failing(10_000, reason=Reason.NETWORK))
    assert len(clock.slept) == 3


def test_a_locked_project_has_a_budget_of_its_own() -> None:
    clock = Clock()
    with pytest.raises(RuntimeError):
        patience(clock, budget_seconds=20, locked_seconds=90).run(failing(10_000, reason=Reason.LOCKED))
    assert 60 < clock.now <= 90


def test_time_lost_to_locks_is_not_charged_to_a_busy_server() -> None:
    clock = Clock()
    reasons = [Reason.LOCKED, Reason.BUSY] * 10

    def attempt() -> str:
        if not reasons:
            return "done"
        raise Again(RuntimeError("not now"), reason=reasons.pop(0), after_seconds=4)

    assert patience(clock, budget_seconds=51, locked_seconds=51).run(attempt) == "done"
    assert clock.now >= 80


def test_a_silent_server_is_counted_apart_from_locks() -> None:
    clock = Clock()
    reasons = [Reason.LOCKED] * 10 + [Reason.NETWORK] * 3

    def attempt() -> str:
        if not reasons:
            return "done"
        raise Again(RuntimeError("not now"), reason=reasons.pop(0))

    assert patience(clock).run(attempt) == "done"


def test_other_errors_pass_through() -> None:
    def attempt() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        patience(Clock()).run(attempt)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("", 0), ("3", 3), ("1.5", 1.5), ("-3", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_retry_after_header(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header) == seconds


def test_retry_after_a_date() -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    assert 3500 < retry_after_seconds(format_datetime(later, usegmt=True)) <= 3600
    assert retry_after_seconds("tomorrow, perhaps") == 0


def operation(number: int, status: str) -> Operation:
    return Operation(id=str(number), project_id="p", branch_id="br-1", action=f"step_{number}", status=status)


def wait(
    clock: Clock, begin: list[str], script: dict[str, list[str]], timeout: float = 300
) -> tuple[Operation, ...]:
    def fetch(identity: str) -> Operation:
        states = script[identity]
        return operation(int(identity), states.pop(0) if len(states) > 1 else states[0])

    return wait_for(
        [operation(number, status) for number, status in enumerate(begin)],
        fetch=fetch,
        timeout_seconds=timeout,
        poll_seconds=1,
        sleep=clock.sleep,
        clock=clock.read,
    )


def test_nothing_pending_asks_nothing() -> None:
    clock = Clock()
    assert [each.status for each in wait(clock, ["finished", "skipped"], {})] == ["finished", "skipped"]
    assert clock.slept == []


def test_it_polls_the_pending_ones_only() -> None:
    done = wait(Clock(), ["finished", "scheduling"], {"1": ["running", "running", "finished"]})
    assert [each.status for each in done] == ["finished", "finished"]


def test_a_failure_is_decided_when_nothing_else_is_pending() -> None:
    script = {"0": ["running", "failed"], "1": ["scheduling", "running", "running", "cancelled"]}
    with pytest.raises(OperationFailed, match="step_0 on br-1 ended as failed") as caught:
        wait(Clock(), ["running", "scheduling"], script)
    assert (caught.value.action, caught.value.operation_id) == ("step_0", "0")
    assert len(script["1"]) == 1  # it was followed to its end


def test_it_ends_in_time() -> None:
    clock = Clock()
    with pytest.raises(OperationTimeout, match="step_0 is running"):
        wait(clock, ["running"], {"0": ["running"]}, timeout=10)
    assert clock.now < 12
