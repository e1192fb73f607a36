"""What previews take and cost: counters that begin anew, Neon's books, prices; kept in rows without an event."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_client.errors import NeonError
from neon_client.models import Consumption
from orchestrator.lifecycle import Preview, State, Store
from orchestrator.pages.view import uses
from orchestrator.resources import Ledger, Seen, Thing, Unseen
from orchestrator.sections import LimitsSection
from orchestrator.usage import Bill, Metered, Usage

MIB = 2**20


@given(st.lists(st.floats(0, 1e6), min_size=1), st.data())
def test_a_counter_that_begins_anew_loses_nothing(readings: list[float], data: st.DataObject) -> None:
    metered, total, last = Metered(), 0.0, 0.0
    for more in readings:
        if data.draw(st.booleans()):
            last = 0.0  # a billing period begins, and something is used again before the next look
            reading = min(more, metered.reading / 2)
        else:
            reading = last + more
        expected = reading - metered.reading if reading >= metered.reading else reading
        metered, total, last = metered.read(reading, None), total + expected, reading
        assert metered.seconds == pytest.approx(total)


def test_a_bill_is_right_and_never_shrinks() -> None:
    first = Metered().read(90, None).read(100, Bill(95, 0.5))
    assert (first.seconds, first.gb_months) == (95, 0.5)
    lagging = first.read(120, Bill(80, 0.1))
    assert (lagging.seconds, lagging.gb_months, lagging.reading) == (95, 0.5, 120)
    assert lagging.read(130, None).seconds == 105  # the books are away: the counter goes on
    assert Metered(**first.to_json()) == first


def of(thing: str, owner: str, size: int | None, seconds: float | None = None) -> Thing:
    return Thing(
        kind=thing, name=thing, key=f"{thing}-{owner}", owner=owner, size_bytes=size, compute_seconds=seconds
    )


class Books:
    """Stands for the Neon client: an organisation's project, and what its books say."""

    def __init__(self, *told: Consumption, org: str = "org-1", error: NeonError | None = None) -> None:
        self.told, self.org, self.error = told, org, error
        self.asked: list[dict[str, Any]] = []

    def project(self, _project: str) -> Any:
        return SimpleNamespace(extra={"org_id": self.org} if self.org else {})

    def consumption(self, org: str, projects: list[str], **asked: Any) -> tuple[Consumption, ...]:
        self.asked.append({"org": org, "projects": projects, **asked})
        if self.error:
            raise self.error
        return self.told


def usage_of(
    store: Store, things: tuple[Thing, ...], books: Books, prices: LimitsSection, *unseen: str
) -> Usage:
    seen = Seen(things=things, unseen=tuple(Unseen(kind=each, why="away") for each in unseen))
    kinds = Ledger(world=None)  # type: ignore[arg-type]
    ledger: Any = SimpleNamespace(sized=lambda: seen, kind=kinds.kind)
    project: Any = SimpleNamespace(neon=books, id="p-1")
    return Usage(store=store, project=project, ledger=ledger, prices=prices)


@pytest.fixture
def preview(store: Store) -> Preview:
    return store.create(name="pr-1", project="embedded/p-1", facts={"runtime": "docker"})


def test_what_it_takes_is_kept_in_the_row_without_an_event(store: Store, preview: Preview) -> None:
    things = (
        of("branch", preview.id, 30 * MIB, 1800.0),
        of("image", preview.id, 12 * MIB),
        of("image", "other", MIB),
    )
    before = store.history(preview.id)
    usage_of(store, things, Books(org=""), LimitsSection()).measure((preview,))
    kept = store.get(preview.id)
    told = kept.facts["usage"]
    assert (told["branch_bytes"], told["app_bytes"], told["disk_bytes"]) == (30 * MIB, 12 * MIB, 42 * MIB)
    assert (told["compute_seconds"], told["stored_gb_months"], told["cost"]) == (1800.0, None, None)
    assert uses(told) == "42.0 MiB, 0.50 CU-hours"
    assert (store.history(preview.id), kept.updated_at) == (before, preview.updated_at)


def test_a_round_writes_only_what_changed(store: Store, preview: Preview) -> None:
    def round_of(size: int, seconds: float, prices: LimitsSection) -> Any:
        things = (of("branch", preview.id, size, seconds),)
        usage_of(store, things, Books(org=""), prices).measure((store.get(preview.id),))
        return store.get(preview.id).facts["usage"]

    free, priced = LimitsSection(), LimitsSection(compute_hour_price=1)
    first = round_of(30 * MIB, 100, free)
    assert round_of(30 * MIB + 5000, 130, free) == first
    assert round_of(32 * MIB, 130, free)["branch_bytes"] == 32 * MIB
    assert round_of(32 * MIB, 300, free)["compute_seconds"] == 300
    assert round_of(32 * MIB, 301, priced)["cost"] > 0
    usage = {**store.get(preview.id).facts["usage"], "at": "2026-01-01T00:00:00+00:00"}
    store.measured(preview.id, usage)
    assert round_of(32 * MIB, 301, priced)["at"] > usage["at"]


def test_prices_make_money_of_it_and_a_branch_that_went_still_counts(store: Store, preview: Preview) -> None:
    prices = LimitsSection(compute_hour_price=0.2, currency="EUR")
    usage_of(store, (of("branch", preview.id, MIB, 3600.0),), Books(org=""), prices).measure((preview,))
    fresh = Thing(
        kind="branch", name="b", key="new", owner=preview.id, size_bytes=MIB, compute_seconds=1800.0
    )
    usage_of(store, (fresh,), Books(org=""), prices).measure((store.get(preview.id),))
    told = store.get(preview.id).facts["usage"]
    assert told["cost"] == pytest.approx(0.3)
    assert uses(told) == "1.0 MiB, 0.30 EUR"


def test_neons_books_are_asked_where_there_are_any(store: Store, preview: Preview) -> None:
    now = datetime.now(UTC)
    branch = of("branch", preview.id, MIB, 10.0)
    frames = [
        Consumption(
            project_id="p-1",
            branch_id=branch.key,
            since=now,
            until=now,
            metrics={"compute_unit_seconds": 1800, "child_branch_bytes_month": 5e8},
        )
        for _ in range(2)
    ]
    books = Books(*frames)
    prices = LimitsSection(compute_hour_price=0.1, storage_gb_month_price=0.4)
    told = usage_of(store, (branch,), books, prices).look((preview,))[preview.id]
    assert (told["compute_seconds"], told["stored_gb_months"]) == (3600, 1.0)
    assert told["cost"] == pytest.approx(0.1 + 0.4)
    (asked,) = books.asked
    assert (asked["org"], asked["projects"], asked["granularity"]) == ("org-1", ["p-1"], "hourly")
    assert abs(asked["since"] - preview.created_at) < timedelta(seconds=1)
    refused = Books(error=NeonError("a free plan"))
    assert usage_of(store, (branch,), refused, prices).look((preview,))[preview.id]["compute_seconds"] == 10


def test_what_was_not_looked_at_is_none_not_nothing(store: Store, preview: Preview) -> None:
    things = (of("image", preview.id, MIB),)
    told = usage_of(store, things, Books(org=""), LimitsSection(), "branch").look((preview,))[preview.id]
    assert (told["branch_bytes"], told["app_bytes"], told["disk_bytes"]) == (None, MIB, MIB)
    branch = (of("branch", preview.id, MIB, 1.0),)
    told = usage_of(store, branch, Books(org=""), LimitsSection(), "image").look((preview,))[preview.id]
    assert (told["branch_bytes"], told["app_bytes"]) == (MIB, None)
    other = usage_of(store, branch, Books(org=""), LimitsSection(), "process").look((preview,))[preview.id]
    assert other["disk_bytes"] == MIB


def test_a_closed_preview_keeps_what_it_was(store: Store, preview: Preview) -> None:
    with store.lease(preview.id) as lease:
        store.record(lease, to=State.DISCARDING, kind="step")
        store.record(lease, to=State.CLOSED, kind="step")
    usage_of(store, (), Books(org=""), LimitsSection()).measure((preview,))
    assert "usage" not in store.get(preview.id).facts
