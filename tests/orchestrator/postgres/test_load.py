"""Batches leave a server alone that does not keep up; progress is told in one measure whatever the server counts."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from orchestrator.postgres import load
from orchestrator.postgres.load import LAG_BYTES, Figures, Load, seconds
from orchestrator.postgres.progress import by_time, thousandths

PHASES = (
    "initializing", "waiting for writers before build", "building index: scanning table",
    "building index: sorting live tuples", "building index: loading tuples in tree",
    "waiting for writers before validation", "index validation: scanning index", "index validation: sorting tuples",
    "index validation: scanning table", "waiting for old snapshots", "waiting for readers before marking dead",
)  # fmt: skip


def test_who_waited_comes_first_and_a_replica_and_the_disk_catch_up() -> None:
    fine = Figures()
    assert seconds(fine, fine, took_ms=30, waited_ms=0) == 0
    assert seconds(fine, fine, took_ms=30, waited_ms=70) == 0.1
    assert seconds(fine, Figures(lag_bytes=LAG_BYTES * 2), took_ms=30, waited_ms=0) == 0.5
    assert seconds(fine, Figures(lag_bytes=LAG_BYTES * 100), took_ms=30, waited_ms=0) == 1
    assert seconds(Figures(early=3), Figures(early=3), took_ms=30, waited_ms=0) == 0
    assert seconds(Figures(early=3), Figures(early=4), took_ms=30, waited_ms=0) == 1


def test_a_replica_that_never_comes_back_is_not_waited_for_for_ever(monkeypatch: Any) -> None:
    monkeypatch.setattr(load, "_look", lambda _connection: Figures(lag_bytes=10**12))
    clock = iter(range(0, 100_000, 2))
    found = Load(clock=lambda: next(clock))
    pauses = [found.pause(None, 30.0) for _ in range(400)]  # type: ignore[arg-type]
    assert pauses[0] == 1
    assert pauses[-1] == 0
    assert sum(pauses) <= 122


def test_a_running_server_is_looked_at(database: Any) -> None:
    waited = iter([0.0, 40.0, 40.0])
    with database().connect() as connection:
        found = Load(waited=lambda: next(waited), clock=lambda: 0.0)
        assert [found.pause(connection, 10.0) for _ in range(3)] == [0, 0.05, 0]


@given(
    some.integers(0, 100), some.integers(0, 100), some.integers(0, 100), some.integers(0, 100),
)  # fmt: skip
def test_an_index_never_goes_back_from_phase_to_phase(a: int, b: int, c: int, d: int) -> None:
    ends = [thousandths(("index", phase, 100, 100, 100, 100)) for phase in PHASES]
    starts = [thousandths(("index", phase, 0, 100, 0, 100)) for phase in PHASES]
    assert all(
        end is not None and start is not None and start <= end
        for start, end in zip(starts, ends, strict=True)
    )
    assert all(x <= y for x, y in zip(ends, starts[1:], strict=False))  # type: ignore[operator]
    for phase in PHASES:
        found = thousandths(("index", phase, a, b, c, d))
        assert found is not None
        assert 0 <= found <= 990


@given(some.floats(0, 1e9), some.floats(0, 1e9))
def test_by_time_is_never_done(elapsed: float, expected: float) -> None:
    assert 0 <= by_time(elapsed, expected) <= 990


def test_other_views_count_their_blocks() -> None:
    assert thousandths(("copy", "", 25, 100, 0, 0)) == 250
    assert thousandths(("vacuum", "scanning heap", 0, 0, 0, 0)) is None
