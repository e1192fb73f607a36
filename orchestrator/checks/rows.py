"""Rows: how many rows each table had before the migration and has after it. Never writes."""

from collections.abc import Iterable, Mapping

from psycopg import sql

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at
from orchestrator.checks.names import joined, name_after, parts_of, same_name
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan

CHECK = "rows"

_NAME = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass(%s)
"""

_OIDS = "select n, to_regclass(n)::oid::int8 from unnest(%s::text[]) n"

#: Stands for the count of a table that exists and could not be counted (no permission, too slow).
NOT_COUNTED = -1


def count_rows(
    connection: Connection, tables: Iterable[str], *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> Mapping[str, int]:
    """Exact row counts by table.

    Args:
        connection: to the database to look at.
        tables: qualified names, quoted as SQL needs it; they are resolved by the server, never pasted.
        timeout_ms: how long one table may take, milliseconds.

    Returns:
        For each name of a table that exists its number of rows, or ``NOT_COUNTED``; others are left out.
    """
    counts: dict[str, int] = {}
    for table in tables:
        try:
            with looking(connection, timeout_ms=timeout_ms):
                name = connection.execute(_NAME, (table,)).fetchone()
                if name is None:
                    continue
                row = connection.execute(
                    sql.SQL("select count(*) from {}").format(sql.Identifier(*name))
                ).fetchone()
            counts[table] = int(row[0]) if row else NOT_COUNTED
        except Exception:  # noqa: BLE001 - one table that cannot be counted must not hide the others
            counts[table] = NOT_COUNTED
    return counts


def count_again(
    connection: Connection,
    before: Mapping[str, int],
    plan: Plan,
    *,
    known: Mapping[str, tuple[int, int]] | None = None,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> Mapping[str, int]:
    """Count the same tables after the plan was applied; under the names of before, also where it renamed them.

    Args:
        connection: to the branch.
        before: what ``count_rows`` saw.
        plan: what was applied.
        known: by table its oid and its number of rows, where that was counted since (unwritten.py).
        timeout_ms: how long one table may take, milliseconds.
    """
    now = {table: joined(name_after(table, plan)) for table in before}
    with looking(connection, timeout_ms=timeout_ms):
        there: dict[str, int | None] = dict(connection.execute(_OIDS, (list(now.values()),)).fetchall())
    kept = {
        table: rows
        for table, (oid, rows) in (known or {}).items()
        if table in now and there.get(now[table]) == oid
    }
    counts = count_rows(
        connection, [name for table, name in now.items() if table not in kept], timeout_ms=timeout_ms
    )
    return {**{table: counts[name] for table, name in now.items() if name in counts}, **kept}


def _of_a_gone_table(*, planned: bool, empty: bool) -> Severity:
    if planned and empty:
        return Severity.OK
    return Severity.ATTENTION if planned or empty else Severity.BLOCKED


def compare(before: Mapping[str, int], after: Mapping[str, int], plan: Plan) -> tuple[Finding, ...]:
    """What became of the rows: lost ones block, unless the plan says by a hazard that it deletes that table.

    Args:
        before: counts taken before the plan was applied.
        after: counts taken afterwards, under the names of ``before`` (``count_again``).
        plan: what was applied.
    """
    deleted = [hazard.on for hazard in plan.hazards if hazard.code == "deletes_data"]
    aside = {each.keeps.was: each.keeps.days for each in plan.statements if each.keeps}
    findings = []
    for table in sorted(before):
        had, has = before[table], after.get(table)
        if has is None and name_after(table, plan) != parts_of(table):
            findings.append(
                not_looked_at(CHECK, table, "the plan renames it, and it was not counted under its new name")
            )
        elif has is None:
            planned = any(same_name(table, on) for on in deleted)
            where = f"set aside for {aside[parts_of(table)]} days" if parts_of(table) in aside else "gone"
            rows = "an unknown number of" if had == NOT_COUNTED else f"{had:,}"
            findings.append(
                Finding(
                    check=CHECK,
                    severity=_of_a_gone_table(planned=planned, empty=had == 0),
                    subject=table,
                    message=f"the table is {where}, and {rows} rows with it; "
                    + (
                        "the plan says so"
                        if planned
                        else "no statement of the plan says that it deletes this table"
                    ),
                )
            )
        elif NOT_COUNTED in (had, has):
            when = "before" if had == NOT_COUNTED else "after"
            findings.append(
                not_looked_at(CHECK, table, f"its rows could not be counted {when} the migration")
            )
        elif has < had and any(same_name(table, on) for on in deleted):
            findings.append(
                Finding(
                    check=CHECK,
                    severity=Severity.ATTENTION,
                    subject=table,
                    message=f"{had - has:,} of {had:,} rows are gone; the plan says so",
                )
            )
        elif has < had:
            findings.append(
                Finding(
                    check=CHECK,
                    severity=Severity.BLOCKED,
                    subject=table,
                    message=f"{had - has:,} of {had:,} rows were lost; find the statement that deletes them",
                )
            )
        elif has > had:
            findings.append(
                Finding(
                    check=CHECK,
                    severity=Severity.ATTENTION,
                    subject=table,
                    message=f"{has - had:,} rows more than the {had:,} before; something inserted during the migration",
                )
            )
        else:
            findings.append(
                Finding(
                    check=CHECK, severity=Severity.OK, subject=table, message=f"all {had:,} rows are there"
                )
            )
    return tuple(findings)
