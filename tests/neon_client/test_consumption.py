"""Consumption and snapshots as values: nested answers become flat, unknown fields are kept."""

from datetime import UTC, datetime

import pytest

from neon_client import Consumption, Snapshot

#: As in Neon's specification (ConsumptionHistoryPerBranchV2).
BRANCH = {
    "project_id": "p-1",
    "branch_id": "br-1",
    "periods": [
        {
            "period_id": "x",
            "consumption": [
                {
                    "timeframe_start": "2024-03-22T00:00:00Z",
                    "timeframe_end": "2024-03-23T00:00:00Z",
                    "metrics": [{"metric_name": "compute_unit_seconds", "value": 27853}],
                },
                {"timeframe_start": "2024-03-23T00:00:00Z", "timeframe_end": "2024-03-24T00:00:00Z"},
            ],
        }
    ],
}


def test_consumption_is_flat() -> None:
    first, second = Consumption.of_branch(BRANCH)
    assert (first.project_id, first.branch_id, first.metrics) == (
        "p-1",
        "br-1",
        {"compute_unit_seconds": 27853},
    )
    assert first.since == datetime(2024, 3, 22, tzinfo=UTC)
    assert (second.until, second.metrics) == (datetime(2024, 3, 24, tzinfo=UTC), {})
    with pytest.raises(KeyError):
        Consumption.of_branch({"project_id": "p-1"})


def test_a_snapshot_keeps_what_is_new() -> None:
    made = Snapshot.from_json(
        {"id": "snap-1", "name": "s", "created_at": "2024-03-22T00:00:00Z", "diff_size": 3}
    )
    assert (made.id, made.created_at, made.extra) == (
        "snap-1",
        datetime(2024, 3, 22, tzinfo=UTC),
        {"diff_size": 3},
    )
    with pytest.raises(ValueError, match="Snapshot"):
        Snapshot.from_json({"id": "snap-1"})
