"""Backup schedules: read, due at the right moments, taken once, kept as long as asked."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_embedded import schedules, stop
from neon_embedded.branches import create_branch
from neon_embedded.errors import Refusal
from neon_embedded.rows import BranchRow, SnapshotRow
from neon_embedded.schedules import latest, put_schedule, schedule_of, take_scheduled

from .conftest import Kept

ITEMS = st.fixed_dictionaries(
    {"frequency": st.sampled_from(["hourly", "daily", "weekly", "monthly", "yearly"])},
    optional={"hour": st.integers(0, 23), "day": st.integers(1, 7), "month": st.integers(1, 12)},
)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
LONGEST = {"hourly": 1, "daily": 24, "weekly": 7 * 24, "monthly": 31 * 24, "yearly": 366 * 24}


@given(item=ITEMS, now=MOMENTS)
def test_the_newest_moment(item: dict[str, Any], now: datetime) -> None:
    """Not after now, not longer ago than the frequency, and itself such a moment."""
    found = latest(item, now)
    assert found <= now
    assert now - found <= timedelta(hours=LONGEST[item["frequency"]])
    assert latest(item, found) == found
    assert latest(item, found - timedelta(microseconds=1)) < found


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"frequency": "hourly"}, "2027-03-03T10:00"),
        ({"frequency": "daily", "hour": 12}, "2027-03-02T12:00"),
        ({"frequency": "daily"}, "2027-03-03T00:00"),
        ({"frequency": "weekly", "day": 7, "hour": 5}, "2027-02-28T05:00"),
        ({"frequency": "monthly", "day": 31}, "2027-02-28T00:00"),
        ({"frequency": "yearly", "month": 2, "day": 30}, "2027-02-28T00:00"),
        ({"frequency": "yearly", "month": 4}, "2026-04-01T00:00"),
    ],
)
def test_moments(item: dict[str, Any], expected: str) -> None:
    now = datetime(2027, 3, 3, 10, 20, tzinfo=UTC)
    assert latest(item, now).isoformat()[:16] == expected


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    folder.chmod(0o755)
    made = Kept(folder / "home")
    yield made
    made.plane.close()
    made.plane.store.close()
    stop(folder / "home")
    shutil.rmtree(folder)


def test_taken_once_when_due(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC).replace(minute=30)

    class HalfPast(datetime):
        """No hour begins while we look."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return now

    monkeypatch.setattr(schedules, "datetime", HalfPast)
    plane, main = kept.plane, kept.main.id
    items = [{"frequency": "daily", "hour": 3, "retention_seconds": 7200}, {"frequency": "hourly"}]
    put_schedule(plane, kept.project_id, main, {"schedule": items})
    assert schedule_of(plane, kept.project_id, main) == items
    take_scheduled(plane)
    assert plane.store.all(SnapshotRow) == []
    since = (now - timedelta(days=2)).isoformat()
    plane.store.change(BranchRow, {"id": main}, backup_schedule={"schedule": items, "since": since})
    for _ in range(2):
        take_scheduled(plane)
    daily, hourly = plane.store.all(SnapshotRow)
    assert (daily.manual, hourly.manual, hourly.expires_at) == (False, False, None)
    assert daily.name.startswith("main daily ")
    assert daily.expires_at is not None
    assert datetime.fromisoformat(daily.expires_at) == now.replace(microsecond=0) + timedelta(hours=2)
    put_schedule(plane, kept.project_id, main, {"schedule": []})
    assert schedule_of(plane, kept.project_id, main) == []


@pytest.mark.parametrize(
    "item",
    [
        "daily",
        {"frequency": "sometimes"},
        {"frequency": "daily", "hour": 24},
        {"frequency": "weekly", "day": 8},
        {"frequency": "monthly", "day": 0},
        {"frequency": "daily", "retention_seconds": 60},
    ],
)
def test_wrong_schedules(kept: Kept, item: Any) -> None:
    with pytest.raises(Refusal, match="invalid request"):
        put_schedule(kept.plane, kept.project_id, kept.main.id, {"schedule": [item]})


def test_only_roots_have_one(kept: Kept) -> None:
    child, _ = create_branch(kept.plane, kept.project_id, {"branch": {"name": "child"}})
    with pytest.raises(Refusal, match="child branch"):
        put_schedule(kept.plane, kept.project_id, child.id, {"schedule": [{"frequency": "daily"}]})
