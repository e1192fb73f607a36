"""Findings and the report made of them: values only. Never looks at anything itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters, mildest first."""

    OK = "ok"
    NOT_LOOKED_AT = "not_looked_at"
    ATTENTION = "attention"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check saw.

    Attributes:
        check: the check's name, e.g. ``rows``.
        severity: how much it matters.
        subject: the object, e.g. ``public.orders``.
        message: what was seen, with the number, and what to do next; no row values.
    """

    check: str
    severity: Severity
    subject: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """``{"check", "severity", "subject", "message"}``."""
        return {
            "check": self.check,
            "severity": self.severity.value,
            "subject": self.subject,
            "message": self.message,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Finding":
        """The reverse of to_json."""
        return cls(
            check=value["check"],
            severity=Severity(value["severity"]),
            subject=value["subject"],
            message=value["message"],
        )


def blocking(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that block."""
    return tuple(finding for finding in findings if finding.severity is Severity.BLOCKED)


def in_lines(findings: Iterable[Finding]) -> str:
    """One line a finding, for an error's detail."""
    return "\n".join(f"{finding.subject}: {finding.message}" for finding in findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of all checks."""

    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> str:
        """``blocked`` if anything blocks, else ``attention`` if anything needs it, else ``ok``."""
        seen = {finding.severity for finding in self.findings}
        if Severity.BLOCKED in seen:
            return "blocked"
        return "attention" if Severity.ATTENTION in seen else "ok"

    def to_json(self) -> dict[str, Any]:
        """``{"verdict", "findings"}``."""
        return {"verdict": self.verdict, "findings": [finding.to_json() for finding in self.findings]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Report":
        """The reverse of to_json."""
        return cls(findings=tuple(Finding.from_json(finding) for finding in value["findings"]))
