"""Preflight: the questions of a plan's statements, asked of the data before the plan runs. Never writes."""

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, ask, looking, not_looked_at, reason
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan, Probe

CHECK = "preflight"

#: How many offending rows are named in a finding.
SAMPLE = 5


def preflight(
    connection: Connection, plan: Plan, *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> tuple[Finding, ...]:
    """Ask every probe of the plan; in the plan's order, one finding each.

    A probe whose question fails or takes too long is a finding of its own (``not_looked_at``) and stops nothing.

    Args:
        connection: to a database that has the plan's base schema: the branch, before the plan is applied.
        plan: whose statements' probes are asked.
        timeout_ms: how long one question may take, milliseconds.
    """
    findings = [
        _asked(connection, probe, number, timeout_ms)
        for number, statement in enumerate(plan.statements, start=1)
        for probe in statement.probes
    ]
    if not findings:
        return (
            Finding(
                check=CHECK,
                severity=Severity.OK,
                subject="plan",
                message="no statement of the plan depends on what the rows hold",
            ),
        )
    return tuple(findings)


def _asked(connection: Connection, probe: Probe, number: int, timeout_ms: int) -> Finding:
    try:
        with looking(connection, timeout_ms=timeout_ms):
            rows = ask(connection, probe.count_sql)
            count = int(rows[0][0] or 0) if rows else 0
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
        return not_looked_at(CHECK, probe.subject, f"statement {number}, {probe.kind}: {reason(error)}")
    # Not str.format: a name in the sentence may hold braces.
    problem = probe.problem.replace("{count}", f"{count:,}" if count else "no")
    if not count:
        return Finding(check=CHECK, severity=Severity.OK, subject=probe.subject, message=problem)
    if not probe.blocks:
        parts = [problem, examples(connection, probe, count, timeout_ms)]
        severity = Severity.ATTENTION
    else:
        parts = [
            f"{problem}, so statement {number} will fail",
            examples(connection, probe, count, timeout_ms),
        ]
        severity = Severity.BLOCKED
    return Finding(
        check=CHECK,
        severity=severity,
        subject=probe.subject,
        message="; ".join(part for part in parts if part),
        mitigation=probe.remedy,
        evidence={"rows": count, "statement": number, "kind": probe.kind},
    )


def examples(connection: Connection, probe: Probe, count: int, timeout_ms: int) -> str:
    """Up to five offenders by key, e.g. ``for example id=17, id=23 and 1,204 more``; empty where none can be named."""
    if not probe.sample_sql:
        return ""
    try:
        with looking(connection, timeout_ms=timeout_ms):
            keys = [str(row[0]) for row in ask(connection, probe.sample_sql)[:SAMPLE]]
    except Exception as error:  # noqa: BLE001 - the count stands even when no example can be given
        return f"no examples: {reason(error)}"
    if not keys:
        return ""
    more = count - len(keys)
    return f"for example {', '.join(keys)}" + (f" and {more:,} more" if more > 0 else "")
