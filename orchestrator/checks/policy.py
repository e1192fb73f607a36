"""What the settings say about findings: which block, which only warn, which are ignored and why. Pure: no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from orchestrator.checks.report import Finding, Report, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules about findings by name, ``check:subject`` with ``*`` and ``?``; the first list that fits decides.

    Attributes:
        ignore: (pattern, reason): out of the verdict; the report repeats the reason.
        block: what needs attention, or was not looked at, blocks.
        warn: what blocks only needs attention.
    """

    ignore: tuple[tuple[str, str], ...] = ()
    block: tuple[str, ...] = ()
    warn: tuple[str, ...] = ()


def judged(report: Report, policy: Policy) -> Report:
    """The report with every finding judged; nothing is left out of it."""
    return replace(report, findings=tuple(_judged(finding, policy) for finding in report.findings))


def idle_rules(report: Report, policy: Policy) -> tuple[str, ...]:
    """Patterns that fit no finding: perhaps misspelt, perhaps not needed any more."""
    patterns = (*(pattern for pattern, _ in policy.ignore), *policy.block, *policy.warn)
    names = [finding.name for finding in report.findings]
    return tuple(pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names))


def _judged(finding: Finding, policy: Policy) -> Finding:
    if finding.severity is Severity.OK:
        return finding
    for pattern, reason in policy.ignore:
        if fnmatchcase(finding.name, pattern):
            return replace(finding, ignored=reason)
    rule = _first(finding.name, policy.block)
    if rule and finding.severity is not Severity.BLOCKED:
        return replace(finding, severity=Severity.BLOCKED, judged=_said("report.block", rule, finding))
    rule = _first(finding.name, policy.warn)
    if rule and finding.severity is Severity.BLOCKED:
        return replace(finding, severity=Severity.ATTENTION, judged=_said("report.warn", rule, finding))
    return finding


def _first(name: str, patterns: Sequence[str]) -> str:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), "")


def _said(setting: str, rule: str, finding: Finding) -> str:
    return f"{setting} says {rule!r}; it was {finding.severity.value.replace('_', ' ')}"


def unallowed(report: Report, allowed: Iterable[str]) -> tuple[Finding, ...]:
    """The findings that block and that nobody allowed by name."""
    yes = frozenset(allowed)
    return tuple(
        finding
        for finding in report.findings
        if finding.counts_as is Severity.BLOCKED and finding.name not in yes
    )
