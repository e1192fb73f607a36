"""All checks in their order: what to keep before the migration, and the report after it. Never writes.

Decides nothing about promotion and knows no single check's rules.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.checks.data import CHECK as VALUES
from orchestrator.checks.data import TableSums, compare_sums, sum_table
from orchestrator.checks.integrity import CHECK as INTEGRITY
from orchestrator.checks.integrity import integrity
from orchestrator.checks.locks import CHECK as LOCKS
from orchestrator.checks.locks import compare_locks
from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, not_looked_at, reason
from orchestrator.checks.preflight import CHECK as PREFLIGHT
from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Finding, Report
from orchestrator.checks.rows import CHECK as ROWS
from orchestrator.checks.rows import compare, count_by_oid, table_oids
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan

#: What no check looks at yet, and why a person should know.
_NOT_YET = (
    ("performance", "queries", "production's queries were not measured on the new schema"),
    ("compatibility", "running app", "the running version of the app was not tried on the new schema"),
    ("revert", "plan", "the way back was not rehearsed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was seen of the branch before the plan was applied; kept with the preview until the report is made.

    Attributes:
        findings: of the checks that must run before.
        tables: oid of each table by its qualified name; an oid survives a rename.
        rows: exact number of rows by table.
        sums: checksums by table.
    """

    findings: tuple[Finding, ...] = ()
    tables: Mapping[str, int]
    rows: Mapping[str, int]
    sums: Mapping[str, TableSums]

    def to_json(self) -> dict[str, Any]:
        """``{"findings", "tables", "rows", "sums"}``."""
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "tables": dict(self.tables),
            "rows": dict(self.rows),
            "sums": {table: sums.to_json() for table, sums in self.sums.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Before":
        """The reverse of to_json."""
        return cls(
            findings=tuple(Finding.from_json(finding) for finding in value["findings"]),
            tables=dict(value["tables"]),
            rows=dict(value["rows"]),
            sums={table: TableSums.from_json(sums) for table, sums in value["sums"].items()},
        )


def look_before(
    connection: Connection, *, plan: Plan, tables: Iterable[str], timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> Before:
    """Everything that must be looked at before the plan is applied; a look that fails becomes a finding.

    Args:
        connection: to the branch, with the plan's base schema.
        plan: what will be applied.
        tables: qualified names, quoted as SQL needs it, of the base schema's ordinary tables.
        timeout_ms: how long one query may take, milliseconds.
    """
    findings: list[Finding] = []
    findings += _guarded(PREFLIGHT, lambda: preflight(connection, plan, timeout_ms=timeout_ms))
    known: dict[str, int] = {}
    rows: dict[str, int] = {}
    sums: dict[str, TableSums] = {}

    def count() -> tuple[Finding, ...]:
        known.update(table_oids(connection, sorted(set(tables))))
        rows.update(count_by_oid(connection, known, timeout_ms=timeout_ms))
        return ()

    def add_up() -> tuple[Finding, ...]:
        for table, oid in known.items():
            seen = sum_table(connection, oid, timeout_ms=timeout_ms)
            if seen is not None:
                sums[table] = seen
        return ()

    findings += _guarded(ROWS, count)
    findings += _guarded(VALUES, add_up)
    return Before(findings=tuple(findings), tables=known, rows=rows, sums=sums)


def run_all(
    connection: Connection,
    *,
    plan: Plan,
    traces: Sequence[Mapping[str, Any]],
    before: Before,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> Report:
    """The report: every check in the order in which a person asks, each failing for itself alone.

    Args:
        connection: to the branch, after the plan was applied.
        plan: what was applied.
        traces: what the executor measured, as JSON values (``orchestrator.checks.locks.expected_pause``).
        before: what ``look_before`` saw.
        timeout_ms: how long one query may take, milliseconds.
    """

    def rows() -> tuple[Finding, ...]:
        return compare(before.rows, count_by_oid(connection, before.tables, timeout_ms=timeout_ms), plan)

    def values() -> tuple[Finding, ...]:
        after: dict[str, TableSums] = {}
        for table, first in before.sums.items():
            seen = sum_table(connection, before.tables[table], key=first.key, timeout_ms=timeout_ms)
            if seen is not None:
                after[table] = seen
        return compare_sums(before.sums, after, plan)

    findings: list[Finding] = list(before.findings)
    findings += _guarded(ROWS, rows)
    findings += _guarded(VALUES, values)
    findings += _guarded(INTEGRITY, lambda: integrity(connection, timeout_ms=timeout_ms))
    findings += _guarded(LOCKS, lambda: compare_locks(plan, traces, existing=before.tables))
    findings += [not_looked_at(check, subject, why) for check, subject, why in _NOT_YET]
    return Report(findings=tuple(findings))


def _guarded(check: str, look: Callable[[], tuple[Finding, ...]]) -> tuple[Finding, ...]:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - a check that fails is a finding and stops no other
        return (not_looked_at(check, "the whole check", reason(error)),)
