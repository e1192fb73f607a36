"""What previews take on disk and cost, as far as it is measured: looked at, reckoned, kept in their rows.

Reckons with the prices of the settings only. Removes nothing and wakes nobody; production's data is not looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from neon_client.errors import NeonError
from orchestrator.lifecycle import Preview, Store
from orchestrator.resources import Ledger, Seen, Thing
from orchestrator.sections import LimitsSection
from orchestrator.steps.project import NeonProject

#: How far back Neon tells consumption by the hour and by the day; a little less, for clocks that differ.
_BY_HOUR, _BY_DAY = timedelta(hours=166), timedelta(days=59)
_COMPUTE, _STORAGE = "compute_unit_seconds", "child_branch_bytes_month"
#: How old a figure gets that hardly changes, and how much is not hardly.
_OLD, _MUCH_BYTES = timedelta(hours=1), 2**20
#: Neon bills storage by so many bytes.
_GB = 1e9


class Bill(NamedTuple):
    """What Neon's own books say of one branch: seconds of compute units, gigabytes times months."""

    seconds: float = 0.0
    gb_months: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What one branch used so far.

    Attributes:
        seconds: of compute units: an hour of a compute of 2 units is 7,200.
        reading: of the branch's counter, which Neon sets back when a billing period begins.
        gb_months: of storage of the branch's own; None where Neon does not tell.
    """

    seconds: float = 0.0
    reading: float = 0.0
    gb_months: float | None = None

    def read(self, reading: float, bill: Bill | None) -> "Metered":
        """The next look. Where there is a bill, it is right, though it lags; nothing ever shrinks."""
        if bill is not None:
            return Metered(
                seconds=max(self.seconds, bill.seconds),
                reading=reading,
                gb_months=max(self.gb_months or 0.0, bill.gb_months),
            )
        more = reading - self.reading if reading >= self.reading else reading
        return replace(self, seconds=self.seconds + more, reading=reading)

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return {"seconds": self.seconds, "reading": self.reading, "gb_months": self.gb_months}


def cost_of(prices: LimitsSection, seconds: float, gb_months: float | None) -> float | None:
    """What compute and storage cost; None when no price is given for anything that is known."""
    parts = []
    if prices.compute_hour_price is not None:
        parts.append(seconds / 3600 * prices.compute_hour_price)
    if prices.storage_gb_month_price is not None and gb_months is not None:
        parts.append(gb_months * prices.storage_gb_month_price)
    return sum(parts) if parts else None


@dataclass(kw_only=True)
class Usage:
    """Looks at the previews of one project.

    Attributes:
        store: the diary.
        project: whose branches are metered.
        ledger: what takes room.
        prices: what the settings say that an hour and a gigabyte cost.
    """

    store: Store
    project: NeonProject
    ledger: Ledger
    prices: LimitsSection

    def measure(self, previews: Iterable[Preview]) -> None:
        """Look at them, and keep what was seen in their rows, where it is worth writing."""
        looked_at = tuple(previews)
        seen = self.look(looked_at)
        for preview in looked_at:
            if not _much_the_same(preview.facts.get("usage"), seen[preview.id]):
                self.store.measured(preview.id, seen[preview.id])

    def look(self, previews: Sequence[Preview]) -> dict[str, dict[str, Any]]:
        """What each takes and costs, by its id; None stands for what could not be looked at."""
        if not previews:
            return {}
        seen, bills = self.ledger.sized(), self._bills(previews)
        return {each.id: self._of(each, seen, bills) for each in previews}

    def _of(self, preview: Preview, seen: Seen, bills: Mapping[str, Bill]) -> dict[str, Any]:
        own = [thing for thing in seen.things if thing.owner == preview.id]
        branches = [thing for thing in own if thing.compute_seconds is not None]
        before = (preview.facts.get("usage") or {}).get("branches") or {}
        metered = {branch: Metered(**values) for branch, values in before.items()}
        for thing in branches:
            last = metered.get(thing.key, Metered())
            metered[thing.key] = last.read(thing.compute_seconds or 0.0, bills.get(thing.key))
        branch_bytes = _bytes_of(branches)
        app_bytes = _bytes_of([thing for thing in own if thing.compute_seconds is None])
        for unseen in seen.unseen:
            if self.ledger.kind(unseen.kind).runtime == "":
                branch_bytes = None
            elif self.ledger.kind(unseen.kind).runtime == preview.facts.get("runtime"):
                app_bytes = None
        known = [each for each in (branch_bytes, app_bytes) if each is not None]
        seconds = sum(each.seconds for each in metered.values())
        stored = [each.gb_months for each in metered.values() if each.gb_months is not None]
        gb_months = sum(stored) if stored else None
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "branch_bytes": branch_bytes,
            "app_bytes": app_bytes,
            "disk_bytes": sum(known) if known else None,
            "compute_seconds": seconds,
            "stored_gb_months": gb_months,
            "cost": cost_of(self.prices, seconds, gb_months),
            "currency": self.prices.currency,
            "branches": {branch: each.to_json() for branch, each in metered.items()},
        }

    def _bills(self, previews: Sequence[Preview]) -> dict[str, Bill]:
        """Neon's books, by branch; empty where there are none: a plan without them, no organisation."""
        if not self._organisation:
            return {}
        now = datetime.now(UTC)
        since = max(min(each.created_at for each in previews), now - _BY_DAY)
        found: dict[str, Bill] = {}
        try:
            told = self.project.neon.consumption(
                self._organisation,
                [self.project.id],
                since=since,
                until=now,
                granularity="hourly" if now - since < _BY_HOUR else "daily",
                metrics=(_COMPUTE, _STORAGE),
            )
        except NeonError:
            return {}
        for each in told:
            so_far = found.get(each.branch_id, Bill())
            found[each.branch_id] = Bill(
                so_far.seconds + each.metrics.get(_COMPUTE, 0.0),
                so_far.gb_months + each.metrics.get(_STORAGE, 0.0) / _GB,
            )
        return found

    @cached_property
    def _organisation(self) -> str:
        """The organisation that the project is billed to; empty where there is none, as on this machine."""
        try:
            return str(self.project.neon.project(self.project.id).extra.get("org_id") or "")
        except NeonError:
            return ""


def _much_the_same(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    """Whether what was kept last still says it: a row is large, and a round comes every minute."""
    if before is None or datetime.fromisoformat(now["at"]) - datetime.fromisoformat(before["at"]) > _OLD:
        return False
    for name, much in (("branch_bytes", _MUCH_BYTES), ("app_bytes", _MUCH_BYTES), ("compute_seconds", 60.0)):
        one, other = before.get(name), now[name]
        if (one is None) is not (other is None) or abs((one or 0) - (other or 0)) >= much:
            return False
    prices = ("cost", "stored_gb_months", "currency")
    return all(bool(before.get(name)) is bool(now[name]) for name in prices)


def _bytes_of(things: Iterable[Thing]) -> int | None:
    sizes = [each.size_bytes for each in things if each.size_bytes is not None]
    return sum(sizes) if sizes else None
