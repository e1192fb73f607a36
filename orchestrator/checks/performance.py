"""Performance: production's queries planned before and after the migration; what fails, what got dearer. Values only.

The two looks are made elsewhere (plans.py, layout.py); here they are compared.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.checks.comparing import Compared, at_rate, count_of
from orchestrator.checks.layout import Layout
from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.names import parts_of
from orchestrator.checks.plans import Failure, Shape
from orchestrator.checks.queries import Query, shown
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.used_indexes import CHECK, dropped_indexes, new_indexes
from orchestrator.migration.plan import Plan

#: How many queries a report lists.
LISTED = 50

# What the server calls what it misses; the first name is the object, the second the table it should be in.
_MISSING = re.compile(
    r"(?:column|relation|function|type|schema|operator|collation) (?P<name>\S.*?)"
    r"(?: of relation (?P<table>\S+))? does not exist"
)
_DENIED = re.compile(r"permission denied for \w+(?: \w+)? (?P<name>\S+)")


def findings(
    all_compared: Sequence[Compared],
    plan: Plan,
    layout: Layout,
    before: Mapping[str, Any],
    source: str,
) -> tuple[Finding, ...]:
    """What a person must know of these queries, failures first.

    Args:
        all_compared: see ``compared``.
        plan: what was applied.
        layout: the migrated branch's.
        before: what ``layout_before`` said.
        source: where the queries came from, in words.
    """
    found = [
        *_failures(all_compared, plan),
        *(_slower(each) for each in all_compared if each.outcome == "slower"),
        *dropped_indexes(all_compared, layout),
        *new_indexes(all_compared, layout, before),
        *_unplanned(all_compared),
    ]
    looked = [each for each in all_compared if each.outcome != "not looked at"]
    if looked and not any(each.outcome in {"fails", "slower"} for each in looked):
        message = f"{count_of(len(looked))} of {source} can be planned on the new schema, none at a much higher cost"
        found.append(Finding(check=CHECK, severity=Severity.OK, subject="queries", message=message))
    return tuple(found)


def _failures(all_compared: Sequence[Compared], plan: Plan) -> Iterable[Finding]:
    """One finding an object: a dropped column fails many queries, and one yes answers them all."""
    by_object: dict[str, list[Compared]] = {}
    for each in all_compared:
        if each.outcome == "fails" and isinstance(each.after, Failure):
            by_object.setdefault(_object_of(each.after, each.query, plan), []).append(each)
    for subject, group in by_object.items():
        first = group[0]
        failure = first.after
        assert isinstance(failure, Failure)  # noqa: S101 - that is what was grouped
        rate = sum(each.query.calls_per_hour for each in group)
        one = len(group) == 1
        message = (
            f"{count_of(len(group))} that production runs{at_rate(rate)} cannot run after this migration: "
            f"{failure.said}: {'' if one else 'such as '}{shown(first.query.text)}"
        )
        yield Finding(
            check=CHECK,
            severity=Severity.BLOCKED,
            subject=subject,
            message=message,
            mitigation=(
                "release a version without it first and drop afterwards; where the new version is all that sends it, "
                f"allow it: --allow {CHECK}:{subject}"
            ),
            evidence={
                "code": failure.code,
                "calls_per_hour": round(rate, 2),
                "queries": [{"id": each.query.id, "text": shown(each.query.text)} for each in group[:5]],
            },
        )


def _object_of(failure: Failure, query: Query, plan: Plan) -> str:
    """The object that a failure is about, by its whole name where the plan knows it."""
    match = _MISSING.search(failure.said) or _DENIED.search(failure.said)
    if match is None:
        return f"query {query.id}"
    name = match["name"].split("(", 1)[0]
    last = parts_of(name)[-1:]
    known = dict.fromkeys(
        hazard.on
        for statement in plan.statements
        for hazard in statement.hazards
        if parts_of(hazard.on.split("(", 1)[0])[-1:] == last
    )
    table = match.groupdict().get("table")
    if table:
        known = {each: None for each in known if parts_of(table)[-1] in parts_of(each)[:-1]} or known
    return next(iter(known)) if len(known) == 1 else match["name"].replace('"', "")


def _slower(each: Compared) -> Finding:
    assert isinstance(each.before, Shape)  # noqa: S101 - what is slower has both
    assert isinstance(each.after, Shape)  # noqa: S101
    why = [f"reads all of {name} ({rows:,.0f} rows) now" for name, rows in each.scans]
    why += [f"does not use {name} any more" for name, _ in each.lost]
    message = (
        f"estimated cost {each.before.cost:,.0f} before, {each.after.cost:,.0f} after"
        f"{at_rate(each.query.calls_per_hour)}{''.join(f'; {text}' for text in why)}: {shown(each.query.text)}"
    )
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION,
        subject=f"query {each.query.id}",
        message=message,
        mitigation=(
            f"run ANALYZE {', '.join(each.unknown)} after the promotion: a new type leaves no statistics"
            if each.unknown
            else "look at EXPLAIN on the branch (`preview psql`); an index is perhaps missing in the goal"
        ),
        evidence={
            "cost_before": each.before.cost,
            "cost_after": each.after.cost,
            "calls_per_hour": round(each.query.calls_per_hour, 2),
            "scans": [name for name, _ in each.scans],
            "lost": [name for name, _ in each.lost],
        },
    )


def _unplanned(all_compared: Sequence[Compared]) -> Iterable[Finding]:
    """One finding a reason why queries could not be compared."""
    groups: Counter[tuple[str, str]] = Counter()
    for each in all_compared:
        if each.outcome != "not looked at":
            continue
        if isinstance(each.before, Failure) and not each.before.passing:
            groups[
                "on the untouched branch, without its values, PostgreSQL refuses it", each.before.code
            ] += 1
        else:
            failed = each.before if isinstance(each.before, Failure) else each.after
            why = failed.said if isinstance(failed, Failure) else "there was no time left"
            groups[why, ""] += 1
    for (why, code), count in sorted(groups.items()):
        text = f"{count_of(count)}: {why}{f' ({code})' if code else ''}"
        yield not_looked_at(CHECK, f"some queries{f' ({code})' if code else ''}", text)


def measures(all_compared: Sequence[Compared], source: str) -> dict[str, Any]:
    """The figures for the report: ``source``, ``outcomes`` (counts), and the ``list`` of the foremost queries."""
    order = ("fails", "slower", "quicker", "same", "not looked at")
    listed = sorted(
        all_compared, key=lambda each: (order.index(each.outcome), -each.query.total_ms, each.query.id)
    )
    return {
        "source": source,
        "outcomes": {name: sum(each.outcome == name for each in listed) for name in order},
        "list": [_row(each) for each in listed[:LISTED]],
    }


def _row(each: Compared) -> dict[str, Any]:
    ratio = each.ratio
    return {
        "id": each.query.id,
        "text": shown(each.query.text),
        "calls_per_hour": round(each.query.calls_per_hour, 2),
        "mean_ms": round(each.query.total_ms / each.query.calls, 3) if each.query.calls else None,
        "cost_before": each.before.cost if isinstance(each.before, Shape) else None,
        "cost_after": each.after.cost if isinstance(each.after, Shape) else None,
        "ratio": round(ratio, 3) if ratio is not None else None,
        "outcome": each.outcome,
    }
