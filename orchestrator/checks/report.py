"""Findings and the report made of them: values only. Never looks at anything itself."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
        message: what was seen, with the number; no row values.
        mitigation: what to do about it, one sentence; may be empty where the message says it.
        evidence: what was measured, JSON: numbers, names, keys of rows; never other values of rows.
        ignored: why the settings take it out of the verdict; empty when they do not.
        judged: which rule of the settings made it milder or harder, and what it was; empty when none did.
    """

    check: str
    severity: Severity
    subject: str
    message: str
    mitigation: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    ignored: str = ""
    judged: str = ""

    @property
    def name(self) -> str:
        """How it is named in settings and by ``--allow``: ``check:subject``."""
        return f"{self.check}:{self.subject}"

    @property
    def counts_as(self) -> Severity:
        """How much it matters for the verdict."""
        return Severity.OK if self.ignored else self.severity

    def to_json(self) -> dict[str, Any]:
        """``{"check", "severity", "subject", "message"}`` and, where there is any, the rest by name."""
        value: dict[str, Any] = {
            "check": self.check,
            "severity": self.severity.value,
            "subject": self.subject,
            "message": self.message,
        }
        more = {"mitigation": self.mitigation, "ignored": self.ignored, "judged": self.judged}
        value |= {key: text for key, text in more.items() if text}
        if self.evidence:
            value["evidence"] = dict(self.evidence)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Finding":
        """The reverse of to_json."""
        return cls(
            check=value["check"],
            severity=Severity(value["severity"]),
            subject=value["subject"],
            message=value["message"],
            mitigation=value.get("mitigation", ""),
            evidence=value.get("evidence", {}),
            ignored=value.get("ignored", ""),
            judged=value.get("judged", ""),
        )


def blocking(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that block."""
    return tuple(finding for finding in findings if finding.counts_as is Severity.BLOCKED)


def in_lines(findings: Iterable[Finding]) -> str:
    """One line a finding, for an error's detail."""
    return "\n".join(
        f"{finding.subject}: {finding.message}" + (f"; {finding.mitigation}" if finding.mitigation else "")
        for finding in findings
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of all checks, and what they measured on the way.

    Attributes:
        findings: in the order of the checks.
        measures: tables of figures by name, JSON (``locks``, ``pause``, ...); shown, never judged.
    """

    findings: tuple[Finding, ...] = ()
    measures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """``blocked`` if anything blocks, else ``attention`` if anything needs it, else ``ok``."""
        seen = {finding.counts_as for finding in self.findings}
        if Severity.BLOCKED in seen:
            return "blocked"
        return "attention" if Severity.ATTENTION in seen else "ok"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is what it is: the findings of its severity, ``subject: message``."""
        return tuple(
            f"{finding.subject}: {finding.message}"
            for finding in self.findings
            if self.verdict != "ok" and finding.counts_as.value == self.verdict
        )

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all findings: what an approval is bound to."""
        content = json.dumps([finding.to_json() for finding in self.findings], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """``{"verdict", "digest", "reasons", "findings", "measures"}``."""
        return {
            "verdict": self.verdict,
            "digest": self.digest,
            "reasons": list(self.reasons),
            "findings": [finding.to_json() for finding in self.findings],
            "measures": dict(self.measures),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Report":
        """The reverse of to_json."""
        return cls(
            findings=tuple(Finding.from_json(finding) for finding in value["findings"]),
            measures=value.get("measures", {}),
        )
