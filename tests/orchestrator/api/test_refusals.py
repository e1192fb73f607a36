"""Refusals in the audit: all of them are there, and a flood of them is a few lines."""

import concurrent.futures
import threading
from collections import Counter
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.access import Audit, Caller, Role
from orchestrator.api.rates import Buckets, Lately, source_of
from orchestrator.api.refusals import Counts, Refusals
from orchestrator.database import connect
from orchestrator.errors import DatabaseUnreachable
from orchestrator.lifecycle import Store

ADA = Caller(who="ada", role=Role.DEVELOPER, token="0a0a0a0a")


class Written:
    """An audit in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []
        self.counted: Counter[tuple[str, str]] = Counter()
        self.came = threading.Event()

    def write(self, caller: Caller | None, action: str, on: str, note: str) -> None:
        self.rows.append((caller.who if caller else "nobody", action, on, note))

    def count(self, more: Counts) -> None:
        for (caller, source), number in more.items():
            self.counted[caller.who if caller else "nobody", source] += number

    def settle(self, _older_than_seconds: float) -> None:
        for (who, source), number in self.counted.items():
            self.rows.append((who, "requests", source, f"{number} more were refused in a short time"))
            self.came.set()
        self.counted.clear()

    def refusals(self, **seconds: float) -> Refusals:
        made = Refusals(self.write, count=self.count, settle=self.settle, **seconds)
        for each in (made._nobody, made._tokens, made._kinds):
            each._clock = lambda: 0.0  # no drop falls meanwhile, however long the test takes
        return made

    @property
    def told(self) -> int:
        """How many refusals these rows tell of."""
        return sum(int(note.split()[0]) if "more were refused" in note else 1 for *_, note in self.rows)


def test_a_few_are_written_one_by_one() -> None:
    written = Written()
    refusals = written.refusals()
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
    refusals = written.refusals()
    for known, address in flood:
        refusals.tell(ADA if known else None, "GET /x", on="", note="no", source=f"10.0.0.{address}")
    refusals.close()
    assert written.told == len(flood)
    assert len(written.rows) <= 300 + 60 + 12


def test_what_was_counted_is_kept_at_once_and_becomes_an_entry_after_a_while() -> None:
    written = Written()
    refusals = written.refusals(unkept_seconds=0.01, every_seconds=0.02)
    for _ in range(400):
        refusals.tell(None, "GET /x", on="a", note="no token", source="10.0.0.1")
    assert written.came.wait(10)
    refusals.close()
    assert written.told == 400


def test_no_flood_hides_the_first_of_another_kind() -> None:
    written = Written()
    refusals = written.refusals()
    for number in range(200):
        refusals.tell(ADA, f"POST /{number}", on="", note="no", kind="POST /{name}")
    for _ in range(3):
        refusals.tell(ADA, "promote", on="pr-1", note="needs the role approver", kind="promote")
    refusals.close()
    assert [row for row in written.rows if row[1] == "promote"] == [
        ("ada", "promote", "pr-1", "needs the role approver")
    ]
    assert written.told == 203
    assert len(written.rows) <= 60 + 2 + 1


def test_a_store_that_is_away_ends_nothing_and_what_was_counted_waits_for_it() -> None:
    written, away = Written(), [True]

    def count(more: Counts) -> None:
        if away[0]:
            raise DatabaseUnreachable("the store does not answer")
        written.count(more)

    def settle(seconds: float) -> None:
        if away[0]:
            raise DatabaseUnreachable("the store does not answer")
        written.settle(seconds)

    refusals = Refusals(written.write, count=count, settle=settle)
    refusals._counts[None, "10.0.0.1"] = 3
    refusals._keep()
    refusals.settle()
    away[0] = False
    refusals.close()
    assert written.told == 3


def settle(uri: str) -> None:
    with connect(uri, purpose="test") as connection:
        Audit(connection).settle(older_than_seconds=0)


def test_what_a_dead_server_counted_another_one_makes_an_entry_of(store: Store, store_uri: str) -> None:
    """One that was killed closes nothing: what it had kept is in the store."""
    audit = Audit(store.connection)
    for _ in range(2):
        audit.count({(ADA, ""): 40, (None, "10.0.0.1"): 2, (None, ""): 1})
    audit.settle(older_than_seconds=3600)
    assert audit.read() == ()
    assert audit.refused() == 86
    with concurrent.futures.ThreadPoolExecutor() as both:
        for done in [both.submit(settle, store_uri) for _ in range(2)]:
            done.result()
    assert sorted((each.who, each.role, each.object, each.note) for each in audit.read()) == [
        ("ada", "developer", "", "80 more were refused in a short time"),
        ("nobody", "", "", "2 more were refused in a short time, from several addresses"),
        ("nobody", "", "10.0.0.1", "4 more were refused in a short time"),
    ]
    audit.write(ADA, "promote", on="pr-1", outcome="refused", note="7 is a number, too")
    audit.write(ADA, "up", on="pr-1", outcome="allowed")
    assert audit.refused() == 87


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
