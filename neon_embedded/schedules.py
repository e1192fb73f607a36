"""Backup schedules: what a branch's asks for, when it is due, and taking it. Pure but for `take_scheduled`."""

import calendar
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from neon_embedded import asked
from neon_embedded.branches import branch_of
from neon_embedded.errors import Refusal
from neon_embedded.history import assert_has_history
from neon_embedded.plane import Plane, log
from neon_embedded.rows import BranchRow
from neon_embedded.snapshots import create_snapshot

_FREQUENCIES: Final = ("hourly", "daily", "weekly", "monthly", "yearly")
_PARTS: Final = {"hour": (0, 23), "day": (1, 31), "month": (1, 12)}
_SHORTEST_SECONDS: Final = 3600
_LONGEST_SECONDS: Final = 10 * 366 * 86_400
_MOST_ITEMS: Final = 10


def schedule_of(plane: Plane, project_id: str, branch_id: str) -> list[dict[str, Any]]:
    """The items of a branch's schedule, as they were put. Raises Refusal 404."""
    items: list[dict[str, Any]] = branch_of(plane, project_id, branch_id).backup_schedule.get("schedule", [])
    return items


def put_schedule(plane: Plane, project_id: str, branch_id: str, body: dict[str, Any]) -> None:
    """Replace a branch's schedule; what is due before now is not taken. Raises Refusal 400, 404, 422."""
    branch = branch_of(plane, project_id, branch_id)
    items = body.get("schedule")
    if not isinstance(items, list) or len(items) > _MOST_ITEMS:
        raise Refusal(400, f"invalid request: schedule (at most {_MOST_ITEMS} objects)")
    read = [_read(each) for each in items]
    if read:
        assert_has_history(branch)
    plane.store.change(
        BranchRow,
        {"id": branch_id},
        backup_schedule={"schedule": read, "since": datetime.now(UTC).isoformat()},
    )


def take_scheduled(plane: Plane) -> None:
    """Take the snapshots that are due. Raises Refusal 423 when a project is being changed: again later."""
    now = datetime.now(UTC)
    for branch in plane.store.all(BranchRow, state="ready"):
        items = branch.backup_schedule.get("schedule")
        if not items:
            continue
        since = datetime.fromisoformat(branch.backup_schedule["since"])
        for item in (each for each in items if latest(each, now) > since):
            keep = item.get("retention_seconds")
            expires = (now + timedelta(seconds=keep)).isoformat() if keep else None
            name = f"{branch.name} {item['frequency']} {latest(item, now):%Y-%m-%d %H:%M}"
            create_snapshot(
                plane, branch.project_id, branch.id, {"name": name, "expires_at": expires}, manual=False
            )
            log.info("took the snapshot %r by schedule", name)
        # Several that are due together are one look; what fell due while the machine was off is taken once.
        plane.store.change(
            BranchRow, {"id": branch.id}, backup_schedule={"schedule": items, "since": now.isoformat()}
        )


def latest(item: dict[str, Any], now: datetime) -> datetime:
    """The newest moment, not after ``now``, at which the item asks for a snapshot; in UTC.

    Where a part is not given it is the first hour, day (Monday) or month. A month that has no such day is done on
    its last.
    """
    if item["frequency"] == "hourly":
        return now.replace(minute=0, second=0, microsecond=0)
    for back in range(2 * 366):
        day = (now - timedelta(days=back)).replace(minute=0, second=0, microsecond=0)
        moment = day.replace(hour=item.get("hour", 0))
        if moment <= now and _matches(item, moment):
            return moment
    raise AssertionError(f"no day of two years is {item}")


def _matches(item: dict[str, Any], moment: datetime) -> bool:
    frequency, day = item["frequency"], int(item.get("day", 1))
    if frequency == "daily":
        return True
    if frequency == "weekly":
        return moment.isoweekday() == day
    last = calendar.monthrange(moment.year, moment.month)[1]
    month = moment.month if frequency == "monthly" else int(item.get("month", 1))
    return (moment.month, moment.day) == (month, min(day, last))


def _read(item: object) -> dict[str, Any]:
    if not isinstance(item, dict) or item.get("frequency") not in _FREQUENCIES:
        raise Refusal(400, f"invalid request: frequency ({', '.join(_FREQUENCIES)})")
    found: dict[str, Any] = {"frequency": item["frequency"]}
    for name, (lowest, highest) in _PARTS.items():
        if item.get(name) is not None:
            most = 7 if name == "day" and item["frequency"] == "weekly" else highest
            found[name] = asked.number(item[name], name, lowest=lowest, highest=most, default=lowest)
    if item.get("retention_seconds") is not None:
        found["retention_seconds"] = asked.number(
            item["retention_seconds"], "retention_seconds", lowest=_SHORTEST_SECONDS, highest=_LONGEST_SECONDS,
            default=_SHORTEST_SECONDS,
        )  # fmt: skip
    return found
