"""Performance: production's queries planned before and after the migration; what fails, what got dearer. Values only.

The two looks are made elsewhere (plans.py, layout.py); here they are compared.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.checks.layout import Layout, mark
from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.names import parts_of
from orchestrator.checks.plans import Failure, Planned, Shape
from orchestrator.checks.queries import Query, shown
from orchestrator.checks.report import Finding, Severity
from orchestrator.migration.plan import Plan

CHECK = "performance"

#: A plan is called slower when it costs so many times as much, unless the settings say otherwise.
SLOWER = 2.0
#: Plans that cost less than this (the planner's units; a page read is 1) are quick whatever they do.
CHEAP = 100.0
#: How many queries a report lists.
LISTED = 50

# What the server calls what it misses; the first name is the object, the second the table it should be in.
_MISSING = re.compile(
    r"(?:column|relation|function|type|schema|operator|collation) (?P<name>\S.*?)"
    r"(?: of relation (?P<table>\S+))? does not exist"
)
_DENIED = re.compile(r"permission denied for \w+(?: \w+)? (?P<name>\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One query before and after.

    Attributes:
        query: which.
        before, after: its plans; None when it was not its turn.
        slower: the ratio from which it counts as slower.
        scans: large tables that it reads sequentially now and did not before, (name, rows).
        lost: (index, oid) that it used before and does not now.
    """

    query: Query
    before: Planned | None
    after: Planned | None
    slower: float
    scans: tuple[tuple[str, float], ...] = ()
    lost: tuple[tuple[str, int], ...] = ()

    @property
    def ratio(self) -> float | None:
        """Cost after to cost before; None where there are not two plans."""
        if not isinstance(self.before, Shape) or not isinstance(self.after, Shape):
            return None
        return self.after.cost / self.before.cost if self.before.cost > 0 else 1.0

    @property
    def outcome(self) -> str:
        """``fails``, ``slower``, ``quicker``, ``same`` or ``not looked at``."""
        if isinstance(self.after, Failure) and isinstance(self.before, Shape) and not self.after.passing:
            return "fails"
        if self.ratio is None or not isinstance(self.after, Shape) or not isinstance(self.before, Shape):
            return "not looked at"
        if self.after.cost >= CHEAP and (self.ratio >= self.slower or self.scans):
            return "slower"
        quicker = self.before.cost >= CHEAP and self.ratio * self.slower <= 1
        return "quicker" if quicker else "same"


def compared(
    queries: Iterable[Query],
    before: Mapping[str, Planned],
    after: Mapping[str, Planned],
    layout: Layout,
    *,
    slower: float = SLOWER,
) -> tuple[Compared, ...]:
    """Every query with both of its plans, in the given order.

    Args:
        queries: what was planned.
        before, after: plans by the queries' ids, on the untouched and on the migrated branch.
        layout: the migrated branch's.
        slower: cost ratio from which a plan counts as slower.
    """
    result = []
    for query in queries:
        old, new = before.get(query.id), after.get(query.id)
        scans: tuple[tuple[str, float], ...] = ()
        lost: tuple[tuple[str, int], ...] = ()
        if isinstance(old, Shape) and isinstance(new, Shape):
            scans = tuple(
                (name, table.rows)
                for name, oid in _beyond(new.scans, old.scans)
                if (table := layout.tables.get(oid)) is not None and table.large
            )
            lost = tuple(_beyond(old.indexes, new.indexes))
        result.append(Compared(query=query, before=old, after=new, slower=slower, scans=scans, lost=lost))
    return tuple(result)


def _beyond(these: Sequence[tuple[str, int]], those: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of the first that the second lacks; renamed or made again is the same."""
    names, oids = {name for name, _ in those}, {oid for _, oid in those}
    return [(name, oid) for name, oid in these if name not in names and oid not in oids]


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
        *_dropped_indexes(all_compared, layout),
        *_new_indexes(all_compared, layout, before),
        *_unplanned(all_compared),
    ]
    looked = [each for each in all_compared if each.outcome != "not looked at"]
    if looked and not any(each.outcome in {"fails", "slower"} for each in looked):
        message = f"{_queries(len(looked))} of {source} can be planned on the new schema, none at a much higher cost"
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
            f"{_queries(len(group))} that production runs{_rate(rate)} cannot run after this migration: "
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
        f"{_rate(each.query.calls_per_hour)}{''.join(f'; {text}' for text in why)}: {shown(each.query.text)}"
    )
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION,
        subject=f"query {each.query.id}",
        message=message,
        mitigation="look at EXPLAIN on the branch (`preview psql`); an index is perhaps missing in the goal",
        evidence={
            "cost_before": each.before.cost,
            "cost_after": each.after.cost,
            "calls_per_hour": round(each.query.calls_per_hour, 2),
            "scans": [name for name, _ in each.scans],
            "lost": [name for name, _ in each.lost],
        },
    )


def _dropped_indexes(all_compared: Sequence[Compared], layout: Layout) -> Iterable[Finding]:
    """Indexes that are gone and that plans used."""
    names, oids = {index.name for index in layout.indexes}, {index.oid for index in layout.indexes}
    users: dict[str, list[Compared]] = {}
    for each in all_compared:
        for name, oid in each.lost:
            if name not in names and oid not in oids:
                users.setdefault(name, []).append(each)
    for name, group in sorted(users.items()):
        dearer = [each for each in group if each.outcome == "slower"]
        rate = sum(each.query.calls_per_hour for each in group)
        message = f"the index is gone; {_queries(len(group))} used it{_rate(rate)}, "
        message += f"{len(dearer)} of them much dearer now" if dearer else "none of them much dearer now"
        yield Finding(
            check=CHECK,
            severity=Severity.ATTENTION if dearer else Severity.OK,
            subject=name,
            message=message,
            mitigation="keep it in the goal until these queries are gone" if dearer else "",
            evidence={"queries": [each.query.id for each in group]},
        )


def _new_indexes(
    all_compared: Sequence[Compared], layout: Layout, before: Mapping[str, Any]
) -> Iterable[Finding]:
    """Indexes that came: used by whom, or by none of production's queries."""
    widths = dict(before["tables"])
    old, marks = ({each[place] for each in before["indexes"]} for place in (0, 1))
    plans = [(each, each.after) for each in all_compared if isinstance(each.after, Shape)]
    for index in layout.indexes:
        if index.oid in old or mark(index.name) in marks or index.of_partitions:
            continue  # a column's new type makes its indexes again, with other oids
        if index.table not in widths:
            continue  # nobody in production can ask a table that is new
        users = [each for each, plan in plans if index.oid in {oid for _, oid in plan.indexes}]
        table = layout.tables.get(index.table)
        severity, mitigation = Severity.OK, ""
        if users:
            rate = sum(each.query.calls_per_hour for each in users)
            message = f"the new index is used by {_queries(len(users))}{_rate(rate)}"
        elif index.constrains:
            message = "the new index holds a constraint; no query of production's uses it"
        elif index.serves_key:
            message = "the new index serves a foreign key; no query of production's uses it"
        elif index.last_column > widths[index.table]:
            severity = Severity.NOT_LOOKED_AT
            message = (
                "whether the new index is used: its columns are new, production's queries do not know them"
            )
        elif table is None or not table.large:
            severity = Severity.NOT_LOOKED_AT
            message = f"whether the new index is used: {index.table_name} is too small here to need one"
        elif not plans:
            continue
        else:
            severity = Severity.ATTENTION
            message = (
                f"none of the {_queries(len(plans))} that could be planned uses the new index on {index.table_name}; "
                "every write has to keep it"
            )
            mitigation = "leave it out of the goal, unless the new version of the app asks in a new way"
        yield Finding(
            check=CHECK,
            severity=severity,
            subject=index.name,
            message=message,
            mitigation=mitigation,
            evidence={"queries": [each.query.id for each in users[:20]]} if users else {},
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
        text = f"{_queries(count)}: {why}{f' ({code})' if code else ''}"
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


def _queries(count: int) -> str:
    return f"{count:,} {'query' if count == 1 else 'queries'}"


def _rate(per_hour: float) -> str:
    if per_hour <= 0:
        return ""
    return f" ({per_hour:,.0f} calls an hour)" if per_hour >= 1 else " (less than one call an hour)"
