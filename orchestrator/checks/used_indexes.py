"""Indexes as production's queries use them: those that went, those that came. Values only, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.checks.comparing import Compared, at_rate, count_of
from orchestrator.checks.layout import Layout, mark
from orchestrator.checks.plans import Shape
from orchestrator.checks.report import Finding, Severity

CHECK = "performance"


def dropped_indexes(all_compared: Sequence[Compared], layout: Layout) -> Iterable[Finding]:
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
        message = f"the index is gone; {count_of(len(group))} used it{at_rate(rate)}, "
        message += f"{len(dearer)} of them much dearer now" if dearer else "none of them much dearer now"
        yield Finding(
            check=CHECK,
            severity=Severity.ATTENTION if dearer else Severity.OK,
            subject=name,
            message=message,
            mitigation="keep it in the goal until these queries are gone" if dearer else "",
            evidence={"queries": [each.query.id for each in group]},
        )


def new_indexes(
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
            message = f"the new index is used by {count_of(len(users))}{at_rate(rate)}"
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
                f"none of the {count_of(len(plans))} that could be planned uses the new index on {index.table_name}; "
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
