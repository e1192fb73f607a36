"""Compatibility: two versions of the app on two schemas, judged from what each answered. Pure: no I/O.

Between migration and release the current version runs on the new schema: whether it can is what this says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.requests import Answer
from orchestrator.migration.plan import Plan

CHECK = "compatibility"

#: (version, schema) in the order in which they are shown.
CELLS = (("current", "old"), ("current", "new"), ("new", "old"), ("new", "new"))
_WORDS = {
    ("current", "old"): "running version, today's schema",
    ("current", "new"): "running version, new schema",
    ("new", "old"): "new version, today's schema",
    ("new", "new"): "new version, new schema",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One version on one schema.

    Attributes:
        version: ``current`` or ``new``.
        schema: ``old`` or ``new``.
        answers: by the request's name; ``health`` is the first.
        log_names: what the plan drops or renames and the app's log names; where a request failed.
    """

    version: str
    schema: str
    answers: Mapping[str, Answer]
    log_names: tuple[str, ...] = ()

    @property
    def failed(self) -> dict[str, str]:
        """The requests that were not answered well, with what was seen."""
        return {name: answer.seen for name, answer in self.answers.items() if not answer.ok}

    def to_json(self) -> dict[str, Any]:
        """``{"version", "schema", "answers": {name: [ok, seen]}, "log_names"}``."""
        answers = {name: [each.ok, each.seen] for name, each in self.answers.items()}
        return {
            "version": self.version,
            "schema": self.schema,
            "answers": answers,
            "log_names": list(self.log_names),
        }


def breaking(plan: Plan) -> tuple[str, ...]:
    """The objects that the plan takes from code that runs now, in the plan's order."""
    return tuple(dict.fromkeys(each.on for each in plan.hazards if each.code == "breaks_running_code"))


def judge(cells: Sequence[Cell], plan: Plan) -> tuple[Finding, ...]:
    """What the cells say: whether a pause is needed, whether the new version works, which may come first.

    Args:
        cells: all four, or the new version's two where the running one is not known.
        plan: what makes today's schema the new one.
    """
    by = {(cell.version, cell.schema): cell for cell in cells}
    findings = [*(_running(by, plan) if ("current", "new") in by else ()), _new(by)]
    before = by["new", "old"].failed
    if before:
        message = (
            f"the new version needs the new schema: {_listed(before)} on today's; migrate first, then release"
        )
    else:
        message = "the new version works on today's schema too: it may be released before the migration"
    findings.append(Finding(check=CHECK, severity=Severity.OK, subject="order of release", message=message))
    return tuple(findings)


def _running(by: Mapping[tuple[str, str], Cell], plan: Plan) -> list[Finding]:
    baseline, tried = by["current", "old"], by["current", "new"]
    already = baseline.failed
    findings = [
        Finding(
            check=CHECK,
            severity=Severity.NOT_LOOKED_AT,
            subject=name,
            message=f"the running version fails it on today's schema too ({seen}), so it tells nothing",
            mitigation="correct the request, or the way in which the running version is started",
        )
        for name, seen in already.items()
    ]
    broken = {name: seen for name, seen in tried.failed.items() if name not in already}
    if "health" in already:
        return findings
    count = len(tried.answers) - len(already)
    if not broken:
        message = f"no pause is needed: the running version answers {count} of {count} requests well on the new schema"
        findings.append(
            Finding(check=CHECK, severity=Severity.OK, subject="running version", message=message)
        )
        return findings
    objects = tried.log_names or breaking(plan)
    cause = f"its log names {', '.join(tried.log_names)}" if tried.log_names else ""
    split = any(statement.contract for statement in plan.statements) and bool(objects)
    if split:
        cure = (
            "split it: promote what adds first, release the new version, then promote what takes away "
            f"({', '.join(objects)}); or accept a pause between migration and release"
        )
    else:
        cure = (
            "release a version that works with both schemas first, or accept a pause until the new one runs"
        )
    findings.append(
        Finding(
            check=CHECK,
            severity=Severity.ATTENTION,
            subject="running version",
            message="a pause is needed: on the new schema the running version fails "
            f"{len(broken)} of {count} requests: {_listed(broken)}" + (f"; {cause}" if cause else ""),
            mitigation=cure,
            evidence={"failed": broken, "breaks_running_code": list(objects), "split": split},
        )
    )
    return findings


def _new(by: Mapping[tuple[str, str], Cell]) -> Finding:
    cell = by["new", "new"]
    if cell.failed:
        return Finding(
            check=CHECK,
            severity=Severity.BLOCKED,
            subject="new version",
            message=f"on the new schema the new version fails {len(cell.failed)} of {len(cell.answers)} requests: "
            + _listed(cell.failed),
            mitigation="correct the app or the request, and run `preview up` again",
            evidence={"failed": cell.failed},
        )
    count = len(cell.answers)
    message = f"the new version answers {count} of {count} requests well on the new schema"
    return Finding(check=CHECK, severity=Severity.OK, subject="new version", message=message)


def _listed(failed: Mapping[str, str]) -> str:
    shown = [f"{name} ({seen})" for name, seen in list(failed.items())[:5]]
    return ", ".join(shown) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")


def table(cells: Sequence[Cell]) -> dict[str, Any]:
    """The four-way table, JSON: ``{"columns": [...], "rows": [[request, seen, ...]], "cells": [...]}``."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.answers))
    rows = []
    for name in names:
        answers = [cell.answers.get(name) for cell in cells]
        rows.append(
            [name, *(("" if each.ok else "FAILS ") + each.seen if each else "not asked" for each in answers)]
        )
    return {
        "columns": [_WORDS[cell.version, cell.schema] for cell in cells],
        "rows": rows,
        "cells": [cell.to_json() for cell in cells],
    }
