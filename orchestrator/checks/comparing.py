"""One query's plans before and after a migration, side by side. Values only; what they mean is said elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.checks.layout import Layout
from orchestrator.checks.plans import Failure, Planned, Shape
from orchestrator.checks.queries import Query

#: A plan is called slower when it costs so many times as much, unless the settings say otherwise.
SLOWER = 2.0
#: Plans that cost less than this (the planner's units; a page read is 1) are quick whatever they do.
CHEAP = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One query before and after.

    Attributes:
        query: which.
        before, after: its plans; None when it was not its turn.
        slower: the ratio from which it counts as slower.
        scans: large tables that it reads sequentially now and did not before, (name, rows).
        lost: (index, oid) that it used before and does not now.
        unknown: its tables of which a column has no statistics, as after a change of its type.
    """

    query: Query
    before: Planned | None
    after: Planned | None
    slower: float
    scans: tuple[tuple[str, float], ...] = ()
    lost: tuple[tuple[str, int], ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Cost after to cost before; None where there are not two plans."""
        if not isinstance(self.before, Shape) or not isinstance(self.after, Shape):
            return None
        return self.after.cost / self.before.cost if self.before.cost > 0 else 1.0

    @property
    def outcome(self) -> str:
        """``fails``, ``slower``, ``quicker``, ``same`` or ``not looked at``."""
        if isinstance(self.after, Failure) and isinstance(self.before, Shape) and not self.after.passing:
            return "fails"
        if self.ratio is None or not isinstance(self.after, Shape) or not isinstance(self.before, Shape):
            return "not looked at"
        if self.after.cost >= CHEAP and (self.ratio >= self.slower or self.scans):
            return "slower"
        quicker = self.before.cost >= CHEAP and self.ratio * self.slower <= 1
        return "quicker" if quicker else "same"


def compared(
    queries: Iterable[Query],
    before: Mapping[str, Planned],
    after: Mapping[str, Planned],
    layout: Layout,
    *,
    slower: float = SLOWER,
) -> tuple[Compared, ...]:
    """Every query with both of its plans, in the given order.

    Args:
        queries: what was planned.
        before, after: plans by the queries' ids, on the untouched and on the migrated branch.
        layout: the migrated branch's.
        slower: cost ratio from which a plan counts as slower.
    """
    result = []
    table_of = {index.oid: index.table for index in layout.indexes}
    for query in queries:
        old, new = before.get(query.id), after.get(query.id)
        scans: tuple[tuple[str, float], ...] = ()
        lost: tuple[tuple[str, int], ...] = ()
        unknown: tuple[str, ...] = ()
        if isinstance(old, Shape) and isinstance(new, Shape):
            scans = tuple(
                (name, table.rows)
                for name, oid in _beyond(new.scans, old.scans)
                if (table := layout.tables.get(oid)) is not None and table.large
            )
            lost = tuple(_beyond(old.indexes, new.indexes))
            read = {oid for _, oid in new.scans} | {table_of.get(oid, 0) for _, oid in new.indexes}
            unknown = tuple(
                sorted(each.name for oid, each in layout.tables.items() if oid in read and each.unknown)
            )
        result.append(
            Compared(
                query=query, before=old, after=new, slower=slower, scans=scans, lost=lost, unknown=unknown
            )
        )
    return tuple(result)


def _beyond(these: Sequence[tuple[str, int]], those: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of the first that the second lacks; renamed or made again is the same."""
    names, oids = {name for name, _ in those}, {oid for _, oid in those}
    return [(name, oid) for name, oid in these if name not in names and oid not in oids]


def count_of(count: int) -> str:
    """``1 query``, ``2 queries``."""
    return f"{count:,} {'query' if count == 1 else 'queries'}"


def at_rate(per_hour: float) -> str:
    """`` (120 calls an hour)``; empty where nobody knows."""
    if per_hour <= 0:
        return ""
    return f" ({per_hour:,.0f} calls an hour)" if per_hour >= 1 else " (less than one call an hour)"
