"""All checks in their order, and the report made of them. Never writes.

Decides nothing about promotion and knows no single check's rules.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator.checks.beside import Beside, Say
from orchestrator.checks.data import CHECK as VALUES
from orchestrator.checks.data import compare_sums
from orchestrator.checks.drops import CHECK as DROPS
from orchestrator.checks.drops import still_named
from orchestrator.checks.integrity import CHECK as INTEGRITY
from orchestrator.checks.integrity import integrity
from orchestrator.checks.locks import CHECK as LOCKS
from orchestrator.checks.locks import compare_locks, measured
from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, not_looked_at, reason
from orchestrator.checks.names import touched_tables
from orchestrator.checks.new_columns import new_columns
from orchestrator.checks.report import Finding, Report
from orchestrator.checks.rows import CHECK as ROWS
from orchestrator.checks.rows import compare, count_again
from orchestrator.checks.sums import Limits, TableSums, sum_again
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan

#: What no check looks at yet, and why a person should know.
_NOT_YET = (
    ("forecast", "main", "nobody looked at production's sessions"),
    ("performance", "queries", "production's queries were not measured on the new schema"),
    ("compatibility", "running app", "the running version of the app was not tried on the new schema"),
    ("revert", "plan", "the way back was not rehearsed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A further check, of which the runner knows no more than this.

    Attributes:
        check: its name, as in its findings.
        look: does it, and is given where to say what it does; what it raises becomes a finding.
        measures: its figures for the report, asked for after ``look``.
        beside: it waits more than it works, and uses nothing of ours: it runs beside the other checks.
        alone: it measures time: what runs beside has to be over before.
        stop: ends one that runs beside, when nobody waits for it any more.
    """

    check: str
    look: Callable[[Say], tuple[Finding, ...]]
    measures: Callable[[], Mapping[str, Any]] = dict
    beside: bool = False
    alone: bool = False
    stop: Callable[[], None] = lambda: None


def run_all(
    connection: Connection,
    *,
    plan: Plan,
    traces: Sequence[Mapping[str, Any]],
    rows_before: Mapping[str, int],
    preflight: Sequence[Finding] = (),
    values_before: Mapping[str, TableSums] | None = None,
    more: Sequence[Look] = (),
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
    detail: Callable[[str], None] = lambda _: None,
) -> Report:
    """The report: every check in the order in which a person asks, each failing for itself alone.

    What each took is among the measures (``seconds``), which nobody approves.

    Args:
        connection: to the branch, after the plan was applied.
        plan: what was applied.
        traces: what the executor measured, as JSON values (``orchestrator.checks.locks.expected_pause``).
        rows_before: what ``count_rows`` saw of every table before the plan was applied.
        preflight: what ``preflight`` found then.
        values_before: what ``sum_tables`` saw then; None when values were not looked at.
        more: further checks, reported after these in their order.
        limits: how much is read of tables that the plan does not touch.
        timeout_ms: how long one query may take, milliseconds.
        detail: told which check begins.
    """

    seconds: dict[str, float] = {}

    def guarded(
        check: str, look: Callable[[], tuple[Finding, ...]], say: Say = detail
    ) -> tuple[Finding, ...]:
        say(f"checking {check}")
        begun = time.monotonic()
        found = _guarded(check, look)
        seconds[check] = round(seconds.get(check, 0.0) + time.monotonic() - begun, 3)
        return found

    def more_of(each: Look, say: Say) -> tuple[Finding, ...]:
        return guarded(each.check, lambda: each.look(say), say)

    def rows() -> tuple[Finding, ...]:
        # Where nobody wrote, that there are as many as before is a part of the proof.
        known = {
            table: (each.oid, each.proof.rows) for table, each in (values_before or {}).items() if each.proof
        }
        after = count_again(connection, rows_before, plan, known=known, timeout_ms=timeout_ms)
        return compare(rows_before, after, plan)

    def values() -> tuple[Finding, ...]:
        if values_before is None:
            return (not_looked_at(VALUES, "all columns", "values were not read before the migration"),)
        after = sum_again(connection, values_before, timeout_ms=timeout_ms)
        return (
            *compare_sums(values_before, after, plan),
            *new_columns(connection, values_before, after, timeout_ms=timeout_ms),
        )

    def whole() -> tuple[Finding, ...]:
        return integrity(connection, touched=touched_tables(plan), limits=limits, timeout_ms=timeout_ms)

    findings: list[Finding] = list(preflight)
    with ExitStack() as stack:
        beside = {
            number: stack.enter_context(Beside(partial(more_of, each), each.stop))
            for number, each in enumerate(more)
            if each.beside
        }
        findings += guarded(ROWS, rows)
        findings += guarded(VALUES, values)
        findings += guarded(INTEGRITY, whole)
        findings += guarded(DROPS, lambda: still_named(connection, plan, timeout_ms=timeout_ms))
        findings += guarded(LOCKS, lambda: compare_locks(plan, traces, existing=rows_before))
        found: dict[int, tuple[Finding, ...]] = {}
        for number, each in enumerate(more):
            if each.alone:
                found |= {one: other.result(detail) for one, other in beside.items()}
            if not each.beside:
                found[number] = more_of(each, detail)
        found |= {one: other.result(detail) for one, other in beside.items()}
    findings += [finding for number in sorted(found) for finding in found[number]]
    looked = {each.check for each in more} | {finding.check for finding in preflight}
    findings += [not_looked_at(*absent) for absent in _NOT_YET if absent[0] not in looked]
    measures: dict[str, Any] = {}
    with suppress(Exception):  # a finding says already that the locks could not be looked at
        measures |= measured(plan, traces, rows_before)
    for each in more:
        with suppress(Exception):
            measures |= each.measures()
    measures["seconds"] = seconds
    return Report(findings=tuple(findings), measures=measures)


def _guarded(check: str, look: Callable[[], tuple[Finding, ...]]) -> tuple[Finding, ...]:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - a check that fails is a finding and stops no other
        return (not_looked_at(check, "the whole check", reason(error)),)
