"""What a report page shows of queries: production's, and the workload's. Pure: measures in, rows of words out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: How many queries a page shows; the JSON has more.
_SHOWN = 15
_SIGNS = {
    "fails": "✕",
    "slower": "!",
    "other rows": "!",
    "not looked at": "?",
    "same": "✓",
    "quicker": "✓",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryTable:
    """A table of queries.

    Attributes:
        title: what it is about.
        words: a sentence above it.
        headings: of the columns beside the first, which is the outcome with its sign.
        rows: (sign and outcome, text of the query or its name, further cells).
    """

    title: str
    words: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]


def query_tables(measures: Mapping[str, Any]) -> tuple[QueryTable, ...]:
    """The tables of a report; none where nothing was looked at."""
    return tuple(_tables(measures))


def _tables(measures: Mapping[str, Any]) -> Iterable[QueryTable]:
    queries, workload = measures.get("queries"), measures.get("workload")
    if queries:
        counts = ", ".join(f"{count:,} {name}" for name, count in queries["outcomes"].items() if count)
        yield QueryTable(
            title="Production's queries",
            words=f"Planned on the branch before and after the migration, from {queries['source']}: {counts}. "
            "Costs are the planner's estimates.",
            headings=("query", "calls an hour", "cost before", "cost after", "times"),
            rows=tuple(
                (
                    _said(each["outcome"]),
                    each["text"],
                    (
                        number(each["calls_per_hour"]),
                        number(each["cost_before"]),
                        number(each["cost_after"]),
                        _times(each["ratio"]),
                    ),
                )
                for each in queries["list"][:_SHOWN]
            ),
        )
    if versions := measures.get("compatibility"):
        yield QueryTable(
            title="Two versions, two schemas"
            if len(versions["columns"]) > 2
            else "The new version, two schemas",
            words="Each version was started on a branch of its own and asked the same requests.",
            headings=("request", *versions["columns"]),
            rows=tuple((_judged(cells), name, tuple(cells)) for name, *cells in versions["rows"]),
        )
    if workload:
        yield QueryTable(
            title="Workload",
            words="Run by turns on an untouched copy of production and on the migrated branch; milliseconds: medians.",
            headings=(
                "query",
                "ms before",
                "ms after",
                "times",
                "rows before",
                "rows after",
                "blocks before",
                "blocks after",
            ),
            rows=tuple(
                (
                    _said(each["outcome"]),
                    each["name"],
                    (
                        number(each["before_ms"]),
                        number(each["after_ms"]),
                        _times(each["ratio"]),
                        number(each["rows_before"]),
                        number(each["rows_after"]),
                        number(each.get("buffers_before")),
                        number(each.get("buffers_after")),
                    ),
                )
                for each in workload
            ),
        )


def number(value: float | None) -> str:
    """A figure for a person: ``0.005``, ``4.50``, ``12.5``, ``1,200``; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 or value == 0 else f"{value:.3f}"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"× {number(float(ratio))}"


def _said(outcome: str) -> str:
    return f"{_SIGNS[outcome]} {outcome}"


def _judged(cells: Iterable[str]) -> str:
    return "✕ fails" if any(cell.startswith("FAILS") for cell in cells) else "✓ answered"
