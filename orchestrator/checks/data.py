"""Values: what every column held before the migration, compared with what it holds after it. Pure: no I/O."""

from collections.abc import Mapping, Sequence

from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.names import name_after, parts_of, relabelled_types, updated_tables
from orchestrator.checks.one_pass import ColumnSum
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.sums import UNREAD, TableSums, reads_alike
from orchestrator.migration.plan import Plan

CHECK = "values"


def compare_sums(
    before: Mapping[str, TableSums], after: Mapping[str, TableSums], plan: Plan
) -> tuple[Finding, ...]:
    """Which columns hold other values than before.

    A column whose type stayed must keep every value; one whose type changed must hold what the cast of the old values
    gives, or still read the same. A table that the plan itself updates (a fill value) may differ and says so, and so
    may a column of a type whose labels it renames. A column that is gone blocks unless a hazard of the plan says that
    it deletes it.

    Args:
        before: by table, taken before the plan was applied.
        after: the same tables under the same names; a table that is gone is left out.
        plan: what was applied.
    """
    updated, relabelled = updated_tables(plan), relabelled_types(plan)
    deleted = {parts_of(hazard.on) for hazard in plan.hazards if hazard.code == "deletes_data"}
    findings: list[Finding] = []
    for table in sorted(before):
        first, second = before[table], after.get(table)
        unseen = first.unseen or (second.unseen if second else "")
        if unseen:
            findings.append(not_looked_at(CHECK, table, unseen))
            continue
        if second is None:
            continue
        if second.rows != first.rows:
            had, has = f"{first.rows:,} rows", f"{second.rows:,}"
            which = f"the sample's keys had {had} and have" if first.ranges else f"it had {had} and has"
            why = f"{which} {has}, so its values cannot be compared as a whole"
            findings.append(not_looked_at(CHECK, table, why))
            continue
        changed: list[Finding] = []
        # A column that was dropped and added again has a new number and, if all is well, the old values.
        by_name = {column.name: column for column in second.columns.values()}
        same: list[ColumnSum] = []
        for number, old in first.columns.items():
            new = second.columns.get(number) or by_name.get(old.name)
            if new is None:
                changed += _gone(table, old, deleted, plan)
                continue
            if reads_alike(old, new):
                same.append(old)
                continue
            if old.cast and (old.cast_type, old.cast) == (new.type, new.checksum):
                changed.append(_cast(table, old, new, first))
                continue
            if parts_of(new.type.removesuffix("[]"))[-1] in relabelled:
                changed.append(_relabelled(table, new))
                continue
            changed.append(
                _changed(table, old, new, by_plan=bool({parts_of(table), name_after(table, plan)} & updated))
            )
        findings.extend(changed)
        if same:
            columns = "column holds" if len(same) == 1 else "columns hold"
            findings.append(
                Finding(
                    check=CHECK,
                    severity=Severity.OK,
                    subject=table,
                    message=f"{len(same)} {columns} exactly the values of before ({_known(first, same)})",
                    evidence={
                        "rows": first.rows,
                        "exact": not first.ranges or all(each.way == UNREAD for each in same),
                    },
                )
            )
    return tuple(findings)


def _known(sums: TableSums, same: Sequence[ColumnSum]) -> str:
    """By what it is known that columns are the same, in words."""
    unread = sum(each.way == UNREAD for each in same)
    if not unread:
        return _read(sums)
    proved = "no row was written"
    return proved if unread == len(same) else f"{unread}: {proved}; {len(same) - unread}: {_read(sums)}"


def _read(sums: TableSums) -> str:
    """How many rows were compared, in words."""
    if not sums.ranges:
        return "all rows read"
    return f"a sample: {sums.rows:,} rows of {len(sums.ranges)} ranges of keys read"


def _cast(table: str, old: ColumnSum, new: ColumnSum, sums: TableSums) -> Finding:
    """A column whose type changed, and that holds exactly what the cast gives; compared by value."""
    cast = f"what the cast from {old.type} to {new.type} makes of the values of before"
    message = f"the column holds exactly {cast} ({_read(sums)})"
    if old.lossy > 0:
        message = (
            f"{old.lossy:,} of {sums.rows:,} values lost something: the column holds {cast} ({_read(sums)})"
        )
    elif old.lossy == 0:
        message += "; cast back, all are as they were"
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION if old.lossy > 0 else Severity.OK,
        subject=f"{table}.{new.name}",
        message=message,
        mitigation="compare some of them; a type that holds all digits or characters keeps them"
        if old.lossy > 0
        else "",
        evidence={"rows": sums.rows, "lossy": old.lossy, "from": old.type, "to": new.type},
    )


def _gone(table: str, old: ColumnSum, deleted: set[tuple[str, ...]], plan: Plan) -> list[Finding]:
    """A column that vanished without a hazard that says so; the announced ones were judged before (preflight)."""
    if {(*parts_of(table), old.name), (*name_after(table, plan), old.name)} & deleted:
        return []
    return [
        Finding(
            check=CHECK,
            severity=Severity.BLOCKED,
            subject=f"{table}.{old.name}",
            message="the column is gone with its values, and no statement of the plan says that it deletes them",
        )
    ]


def _relabelled(table: str, new: ColumnSum) -> Finding:
    message = f"values read differently: the plan renames labels of {new.type}; compare some of them"
    return Finding(check=CHECK, severity=Severity.ATTENTION, subject=f"{table}.{new.name}", message=message)


def _changed(table: str, old: ColumnSum, new: ColumnSum, *, by_plan: bool) -> Finding:
    severity = Severity.ATTENTION
    if old.type != new.type:
        message = f"values read differently since the type changed from {old.type} to {new.type}; compare some of them"
    elif by_plan:
        message = "values changed; the plan updates this table itself; compare some of them"
    else:
        severity = Severity.BLOCKED
        message = "values changed, though no statement of the plan says so; find the statement or trigger that does it"
    return Finding(check=CHECK, severity=severity, subject=f"{table}.{new.name}", message=message)
