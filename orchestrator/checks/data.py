"""Values: a checksum of every column before the migration and after it, by key. Never writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at, reason
from orchestrator.checks.names import name_after, parts_of, updated_tables
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan

CHECK = "values"

#: Tables up to this size, in bytes, are read whole; larger ones are reported as not looked at.
EXACT_UP_TO_BYTES = 512 * 1024 * 1024

_COLUMNS = """
select a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated <> '',
       a.attnum = any (coalesce(k.conkey, '{}'))
from pg_attribute a
left join pg_constraint k on k.conrelid = a.attrelid and k.contype = 'p'
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""

_TABLE = """
select n.nspname, c.relname, pg_table_size(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSum:
    """What a column held at one moment.

    Attributes:
        name: the column's name at that moment.
        type: its type as PostgreSQL writes it.
        checksum: of all its values, each bound to its row's key; independent of the rows' order.
    """

    name: str
    type: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSums:
    """What a table held at one moment.

    Attributes:
        oid: the table; it survives renames.
        key: attribute numbers of its primary key at that moment; empty when it has none (then a value that
            moved from one row to another is not seen).
        rows: how many rows it had.
        columns: by attribute number, which survives renames; generated columns are left out.
        unseen: why it was not read; empty when it was.
    """

    oid: int
    key: tuple[int, ...] = ()
    rows: int = 0
    columns: Mapping[int, ColumnSum]
    unseen: str = ""

    def to_json(self) -> dict[str, Any]:
        """``{"oid", "key", "rows", "columns": {attnum: [name, type, checksum]}, "unseen"}``."""
        return {
            "oid": self.oid,
            "key": list(self.key),
            "rows": self.rows,
            "columns": {str(number): [c.name, c.type, c.checksum] for number, c in self.columns.items()},
            "unseen": self.unseen,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TableSums":
        """The reverse of to_json."""
        return cls(
            oid=value["oid"],
            key=tuple(value["key"]),
            rows=value["rows"],
            columns={
                int(number): ColumnSum(name=name, type=type_, checksum=checksum)
                for number, (name, type_, checksum) in value["columns"].items()
            },
            unseen=value["unseen"],
        )


def sum_tables(
    connection: Connection, tables: Iterable[str], *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> Mapping[str, TableSums]:
    """Read each table once, before the plan is applied; names as ``count_rows`` takes them, missing ones left out."""
    sums: dict[str, TableSums] = {}
    for table in sorted(tables):
        try:
            with looking(connection):
                row = connection.execute("select to_regclass(%s)::oid::bigint", (table,)).fetchone()
        except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
            sums[table] = TableSums(oid=0, columns={}, unseen=reason(error))
            continue
        if row and row[0] is not None:
            seen = sum_table(connection, int(row[0]), timeout_ms=timeout_ms)
            if seen is not None:
                sums[table] = seen
    return sums


def sum_again(
    connection: Connection, before: Mapping[str, TableSums], *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> Mapping[str, TableSums]:
    """Read the same tables after the plan, with the keys of before; found by oid, whatever they are called now."""
    after = {
        table: sum_table(connection, first.oid, key=first.key, timeout_ms=timeout_ms)
        for table, first in before.items()
        if not first.unseen
    }
    return {table: seen for table, seen in after.items() if seen is not None}


def sum_table(
    connection: Connection,
    oid: int,
    *,
    key: Iterable[int] | None = None,
    limit_bytes: int = EXACT_UP_TO_BYTES,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> TableSums | None:
    """Read a table once and sum up each of its columns; None when there is no such table.

    Args:
        connection: to the database to look at.
        oid: the table.
        key: attribute numbers that name a row; None takes the primary key.
        limit_bytes: larger tables are not read.
        timeout_ms: how long the reading may take, milliseconds.
    """
    try:
        with looking(connection, timeout_ms=timeout_ms):
            table = connection.execute(_TABLE, (oid,)).fetchone()
            if table is None:
                return None
            schema, name, size = table
            if size > limit_bytes:
                return TableSums(
                    oid=oid,
                    columns={},
                    unseen=f"it has {size / 1e6:,.0f} MB, the limit is {limit_bytes / 1e6:,.0f} MB",
                )
            columns = connection.execute(_COLUMNS, (oid,)).fetchall()
            numbers = tuple(key) if key is not None else tuple(int(c[0]) for c in columns if c[4])
            by_number = {int(c[0]): str(c[1]) for c in columns}
            if any(number not in by_number for number in numbers):
                return TableSums(oid=oid, columns={}, unseen="a column of its primary key is gone")
            plain = [(int(c[0]), str(c[1]), str(c[2])) for c in columns if not c[3]]
            if not plain:
                return TableSums(oid=oid, key=numbers, columns={})
            sums = connection.execute(
                sql.SQL("select count(*), {} from {}").format(
                    sql.SQL(", ").join(
                        _sum(column, [by_number[n] for n in numbers]) for _, column, _ in plain
                    ),
                    sql.Identifier(schema, name),
                )
            ).fetchone()
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
        return TableSums(oid=oid, columns={}, unseen=reason(error))
    rows, *values = sums or (0,)
    return TableSums(
        oid=oid,
        key=numbers,
        rows=int(rows),
        columns={
            number: ColumnSum(name=column, type=type_, checksum=str(value))
            for (number, column, type_), value in zip(plain, values, strict=True)
        },
    )


def _sum(column: str, key: list[str]) -> sql.Composed:
    """The sum of 64-bit hashes of (key, value); a sum does not care in which order rows are read."""
    value = sql.SQL("case when {0} is null then 'n' else 'v' || {0}::text end").format(sql.Identifier(column))
    parts = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in key] + [value]
    return sql.SQL("coalesce(sum(hashtextextended(concat_ws(E'\\x1f', {}), 0)), 0)::text").format(
        sql.SQL(", ").join(parts)
    )


def compare_sums(
    before: Mapping[str, TableSums], after: Mapping[str, TableSums], plan: Plan
) -> tuple[Finding, ...]:
    """Which columns hold other values than before.

    A column whose type stayed must keep every value; one whose type changed should still read the same. A
    table that the plan itself updates (a fill value) may differ and says so. A column that is gone blocks unless
    a hazard of the plan says that it deletes it.

    Args:
        before: by table, taken before the plan was applied.
        after: the same tables under the same names; a table that is gone is left out.
        plan: what was applied.
    """
    updated = updated_tables(plan)
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
            why = f"it had {first.rows:,} rows and has {second.rows:,}, so its values cannot be compared as a whole"
            findings.append(not_looked_at(CHECK, table, why))
            continue
        changed: list[Finding] = []
        # A column that was dropped and added again has a new number and, if all is well, the old values.
        by_name = {column.name: column for column in second.columns.values()}
        same = 0
        for number, old in first.columns.items():
            new = second.columns.get(number) or by_name.get(old.name)
            if new is None:
                changed += _gone(table, old, deleted, plan)
                continue
            if new.checksum == old.checksum:
                same += 1
                continue
            changed.append(
                _changed(table, old, new, by_plan=bool({parts_of(table), name_after(table, plan)} & updated))
            )
        findings.extend(changed)
        if same:
            columns = "column holds" if same == 1 else "columns hold"
            findings.append(
                Finding(
                    check=CHECK,
                    severity=Severity.OK,
                    subject=table,
                    message=f"{same} {columns} exactly the values of before (all rows read)",
                )
            )
    return tuple(findings)


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
