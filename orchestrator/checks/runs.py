"""A workload executed on the untouched and the migrated branch by turns, and what a person must know. Reads only."""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import psycopg

from orchestrator.checks.looking import ask, not_looked_at, reason
from orchestrator.checks.plans import as_the_app
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.used_indexes import CHECK
from orchestrator.checks.workload import Item
from orchestrator.database import Connection

#: How long one run of a query may take, milliseconds.
RUN_TIMEOUT_MS = 10_000
#: How long all counted runs of one query may take; what is begun is finished, seconds.
ITEM_SECONDS = 20.0
#: How long they take at least, unless all are done before; then they end once their medians are clear, seconds.
ENOUGH_SECONDS = 1.0
#: How many are counted on each branch before medians say anything.
LEAST_RUNS = 5
#: Medians are clear when they would say the same were one of them off by this factor.
CLEAR = 1.25
#: How often each query runs with each of its values, on each branch, after a first run that is not counted.
RUNS = 5
#: How many values of its parameters a query is given; of one whose first runs take this long, seconds, no more.
VALUES = 20
VALUES_SECONDS = 2.0
LEAST_VALUES = 5
#: A difference of less than this is noise, milliseconds.
NOISE_MS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One query's runs on both branches.

    Attributes:
        name, file: the query's.
        outcome: ``fails``, ``slower``, ``other rows``, ``quicker``, ``same`` or ``not looked at``.
        why: what failed; empty otherwise.
        before_ms, after_ms: medians over all runs, milliseconds.
        rows_before, rows_after: over all values once.
        buffers_before, buffers_after: blocks (8 KiB as a rule) that one more run with the first values touched, from
            EXPLAIN (ANALYZE, BUFFERS); None where that cannot explain the query.
        values, runs: with how many values, and how many runs on each branch; fewer of a query that takes long.
    """

    name: str
    file: str
    outcome: str
    why: str = ""
    before_ms: float | None = None
    after_ms: float | None = None
    rows_before: int | None = None
    rows_after: int | None = None
    buffers_before: int | None = None
    buffers_after: int | None = None
    values: int = 0
    runs: int = 0

    @property
    def ratio(self) -> float | None:
        """After to before; None where it was not measured on both."""
        return self.after_ms / self.before_ms if self.before_ms and self.after_ms is not None else None

    def to_json(self) -> dict[str, Any]:
        """All attributes by name, and ``ratio``."""
        return {**asdict(self), "ratio": round(self.ratio, 3) if self.ratio is not None else None}


def run_workload(
    items: Sequence[Item],
    untouched: Connection,
    migrated: Connection,
    *,
    slower: float,
    timeout_ms: int = RUN_TIMEOUT_MS,
    item_seconds: float = ITEM_SECONDS,
) -> tuple[Measured, ...]:
    """Run every query on both branches by turns.

    Args:
        items: the queries.
        untouched: to a copy of main as it is; parameters' values come from here.
        migrated: to the migrated branch.
        slower: how many times as long makes it slower.
        timeout_ms: how long one run may take, milliseconds.
        item_seconds: how long all runs of one query may take, seconds.
    """
    result = []
    with as_the_app(untouched, timeout_ms=timeout_ms), as_the_app(migrated, timeout_ms=timeout_ms):
        for item in items:
            try:
                values = _values(untouched, item)
            except (psycopg.Error, ValueError) as error:
                why = f"its parameters: {error if isinstance(error, ValueError) else reason(error)}"
                result.append(Measured(name=item.name, file=item.file, outcome="not looked at", why=why))
                continue
            result.append(_measure(item, values, untouched, migrated, slower, item_seconds))
    return tuple(result)


def _values(connection: Connection, item: Item) -> list[dict[str, Any]]:
    """The values of all parameters side by side; a parameter with one value has it every time."""
    columns: dict[str, list[Any]] = {}
    for name, query in item.parameters.items():
        with connection.transaction(force_rollback=True):
            columns[name] = [row[0] for row in ask(connection, query)[:VALUES]]
        if not columns[name]:
            raise ValueError(f"there are no values for :{name}")
    if not columns:
        return [{}]
    length = min((len(each) for each in columns.values() if len(each) > 1), default=1)
    return [
        {name: each[index if len(each) > 1 else 0] for name, each in columns.items()}
        for index in range(length)
    ]


def _measure(
    item: Item,
    values: Sequence[Mapping[str, Any]],
    untouched: Connection,
    migrated: Connection,
    slower: float,
    item_seconds: float,
) -> Measured:
    tally = _Tally()
    values = _first_runs(tally, item, values, untouched, migrated)
    sides = (("before", untouched), ("after", migrated))
    begun = time.monotonic()
    for number, value in enumerate(each for _ in range(RUNS) for each in values):
        if tally.failed or (number and _enough(tally, slower, time.monotonic() - begun, item_seconds)):
            break
        # First the one, then the other: what comes second finds a warmer machine.
        for side, connection in sides if number % 2 == 0 else reversed(sides):
            tally.take(side, connection, item, value, counted=True)
    measured = Measured(name=item.name, file=item.file, outcome="same", values=len(values))
    if tally.failed:
        return _failed(measured, tally.failed)
    before, after = tally.medians
    return replace(
        measured,
        outcome=_outcome(before, after, tally.rows, slower),
        before_ms=round(before, 3),
        after_ms=round(after, 3),
        rows_before=tally.rows["before"],
        rows_after=tally.rows["after"],
        buffers_before=_buffers(untouched, item, values[0]),
        buffers_after=_buffers(migrated, item, values[0]),
        runs=len(tally.taken["before"]),
    )


def _first_runs(
    tally: "_Tally",
    item: Item,
    values: Sequence[Mapping[str, Any]],
    untouched: Connection,
    migrated: Connection,
) -> Sequence[Mapping[str, Any]]:
    """A run with each value that is not counted; gives the values that there was time for."""
    begun = time.monotonic()
    for number, value in enumerate(values):
        slow = number >= LEAST_VALUES and time.monotonic() - begun >= VALUES_SECONDS
        if slow or len(tally.failed) == 2:
            return values[:number]
        for side, connection in (("before", untouched), ("after", migrated)):
            tally.take(side, connection, item, value, counted=False)
    return values


def _enough(tally: "_Tally", slower: float, seconds: float, limit: float) -> bool:
    """Whether more runs would say nothing new, or would take too long."""
    if seconds >= limit:
        return True
    if seconds < ENOUGH_SECONDS or len(tally.taken["before"]) < LEAST_RUNS:
        return False
    before, after = tally.medians
    said = {_outcome(before, after * off, tally.rows, slower) for off in (1 / CLEAR, 1.0, CLEAR)}
    return len(said) == 1


@dataclass(slots=True)
class _Tally:
    """What came of the runs of one query, by side."""

    rows: dict[str, int] = field(default_factory=lambda: {"before": 0, "after": 0})
    taken: dict[str, list[float]] = field(default_factory=lambda: {"before": [], "after": []})
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def medians(self) -> tuple[float, float]:
        """Before and after, milliseconds."""
        return statistics.median(self.taken["before"]), statistics.median(self.taken["after"])

    def take(
        self, side: str, connection: Connection, item: Item, value: Mapping[str, Any], *, counted: bool
    ) -> None:
        """One run; what failed once is not tried again."""
        if side in self.failed:
            return
        try:
            milliseconds, count = _run(connection, item, value)
        except psycopg.Error as error:
            if connection.closed or error.sqlstate is None:
                raise
            self.failed[side] = reason(error)
            return
        if counted:
            self.taken[side].append(milliseconds)
        else:
            self.rows[side] += count


def _outcome(before: float, after: float, rows: Mapping[str, int], slower: float) -> str:
    if rows["before"] != rows["after"]:
        return "other rows"
    if after >= before * slower and after - before >= NOISE_MS:
        return "slower"
    return "quicker" if before >= after * slower and before - after >= NOISE_MS else "same"


def _failed(measured: Measured, failed: Mapping[str, str]) -> Measured:
    if "before" not in failed:
        outcome, why = "fails", failed["after"]
    elif "after" in failed:
        outcome, why = "not looked at", f"it fails on both branches: {failed['before']}"
    else:
        outcome, why = "not looked at", f"it runs on the new schema only: {failed['before']}"
    return Measured(name=measured.name, file=measured.file, outcome=outcome, why=why, values=measured.values)


def _run(connection: Connection, item: Item, value: Mapping[str, Any]) -> tuple[float, int]:
    """Milliseconds and rows of one run; a second statement in the text is refused (see ``ask``)."""
    with connection.transaction(force_rollback=True):
        begun = time.perf_counter()
        cursor = connection.execute(item.sql.encode(), value, prepare=False, binary=True)
        milliseconds = (time.perf_counter() - begun) * 1000
        return milliseconds, max(cursor.rowcount, 0)


def _buffers(connection: Connection, item: Item, value: Mapping[str, Any]) -> int | None:
    """Shared blocks that one run touches, found in the cache or not."""
    text = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {item.sql}"
    try:
        with connection.transaction(force_rollback=True):
            row = connection.execute(text.encode(), value, prepare=False, binary=True).fetchone()
    except psycopg.Error as error:
        if connection.closed or error.sqlstate is None:
            raise
        return None
    top = row[0][0]["Plan"] if row else {}
    return int(top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0))


def run_findings(all_measured: Iterable[Measured], slower: float) -> tuple[Finding, ...]:
    """What a person must know of these runs."""
    found, fine = [], 0
    for each in all_measured:
        subject = f"workload {each.name}"
        of = f"medians of {each.runs} runs, {each.values} values"
        took = f"{each.before_ms} ms before, {each.after_ms} ms after ({of})"
        if each.outcome == "not looked at":
            found.append(not_looked_at(CHECK, subject, each.why))
        elif each.outcome == "fails":
            message = f"it runs on main and not after this migration: {each.why}"
            do = f"change it in {each.file}, or keep in the goal what it needs"
            found.append(_finding(Severity.BLOCKED, subject, message, do, each))
        elif each.outcome == "slower":
            message = f"{took}: more than {slower:g} times as long"
            do = "look at EXPLAIN on the branch (`preview psql`); an index is perhaps missing in the goal"
            found.append(_finding(Severity.ATTENTION, subject, message, do, each))
        elif each.outcome == "other rows":
            message = (
                f"{each.rows_before:,} rows before, {each.rows_after:,} after, with the same values; {took}"
            )
            do = "see whether rows changed on main since the branch was made, else what the migration does to them"
            found.append(_finding(Severity.ATTENTION, subject, message, do, each))
        else:
            fine += 1
    if fine:
        message = (
            f"{fine:,} {'query runs' if fine == 1 else 'queries run'} about as quick as before, or quicker"
        )
        found.append(Finding(check=CHECK, severity=Severity.OK, subject="workload", message=message))
    return tuple(found)


def _finding(severity: Severity, subject: str, message: str, mitigation: str, each: Measured) -> Finding:
    return Finding(
        check=CHECK,
        severity=severity,
        subject=subject,
        message=message,
        mitigation=mitigation,
        evidence={"ratio": each.to_json()["ratio"], "rows": [each.rows_before, each.rows_after]},
    )
