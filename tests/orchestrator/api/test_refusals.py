"""Refusals in the audit: all of them are there, and a flood of them is a few lines."""

import threading
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.access import Caller, Role
from orchestrator.api.rates import Buckets, Lately, source_of
from orchestrator.api.refusals import Refusals
from orchestrator.errors import DatabaseUnreachable

ADA = Caller(who="ada", role=Role.DEVELOPER, token="0a0a0a0a")


class Written:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def __call__(self, caller: Caller | None, action: str, on: str, note: str) -> None:
        self.rows.append((caller.who if caller else "nobody", action, on, note))

    @property
    def told(self) -> int:
        """How many refusals these rows tell of."""
        return sum(int(note.split()[0]) if "more were refused" in note else 1 for *_, note in self.rows)


def test_a_few_are_written_one_by_one() -> None:
    written = Written()
    refusals = Refusals(written)
    refusals.tell(None, "GET /x", on="10.0.0.1", note="no token", source="10.0.0.1")
    refusals.tell(ADA, "promote", on="pr-1", note="needs the role approver")
    refusals.close()
    assert written.rows == [
        ("nobody", "GET /x", "10.0.0.1", "no token"),
        ("ada", "promote", "pr-1", "needs the role approver"),
    ]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=500, max_size=700))
def test_of_a_flood_every_one_counts_and_few_lines_are_written(flood: list[tuple[bool, int]]) -> None:
    written = Written()
    refusals = Refusals(written)
    for known, address in flood:
        refusals.tell(ADA if known else None, "GET /x", on="", note="no", source=f"10.0.0.{address}")
    refusals.close()
    assert written.told == len(flood)
    assert len(written.rows) <= 300 + 60 + 12 + 5  # a few more where the run takes long enough for new drops


def test_what_was_counted_is_written_before_the_server_ends_and_after_a_while() -> None:
    written, came = Written(), threading.Event()

    def write(caller: Caller | None, action: str, on: str, note: str) -> None:
        written(caller, action, on, note)
        if "more were" in note:
            came.set()

    refusals = Refusals(write, every_seconds=0.01)
    for _ in range(400):
        refusals.tell(None, "GET /x", on="a", note="no token", source="10.0.0.1")
    assert came.wait(10)
    refusals.close()
    assert written.told == 400


def test_a_store_that_is_away_ends_nothing() -> None:
    def away(*_: object) -> None:
        raise DatabaseUnreachable("the store does not answer")

    refusals = Refusals(away)
    refusals._counts[None, "10.0.0.1"] = 3
    refusals.close()


def clock(now: list[float]) -> Callable[[], float]:
    return lambda: now[0]


def test_buckets_hold_what_they_hold_and_fill_again() -> None:
    now = [0.0]
    buckets = Buckets(60, holds=3, clock=clock(now))
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1.0]
    assert buckets.look("a") == 1.0
    assert buckets.look("b") == 0
    now[0] = 1.0
    assert buckets.look("a") == 0
    assert buckets.look("a") == 0, "a look takes nothing"
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    now[0] = 1000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1.0]


def test_whoever_has_an_address_of_ipv6_has_its_network() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8:0:0:ffff::2") != source_of("2001:db8:0:1::1")
    assert source_of("::ffff:10.0.0.1") == source_of("10.0.0.1") != source_of("10.0.0.2")
    assert source_of("testclient") == "testclient"


def test_only_tokens_that_were_good_are_known() -> None:
    lately = Lately(most=2)
    for token in ("a", "b", "c"):
        lately.was(token, good=True)
    assert [lately.knows(token) for token in "abcd"] == [False, True, True, False]
    lately.was("c", good=False)
    assert not lately.knows("c")
