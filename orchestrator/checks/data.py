"""Values: a checksum of every column before the migration and after it, by key. Never writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at, reason
from orchestrator.checks.names import parts_of
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
        key: attribute numbers of its primary key at that moment; empty when it has none (then a value that
            moved from one row to another is not seen).
        columns: by attribute number, which survives renames; generated columns are left out.
        unseen: why it was not read; empty when it was.
    """

    key: tuple[int, ...] = ()
    columns: Mapping[int, ColumnSum]
    unseen: str = ""

    def to_json(self) -> dict[str, Any]:
        """``{"key", "columns": {attnum: [name, type, checksum]}, "unseen"}``."""
        return {
            "key": list(self.key),
            "columns": {str(number): [c.name, c.type, c.checksum] for number, c in self.columns.items()},
            "unseen": self.unseen,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TableSums":
        """The reverse of to_json."""
        return cls(
            key=tuple(value["key"]),
            columns={
                int(number): ColumnSum(name=name, type=type_, checksum=checksum)
                for number, (name, type_, checksum) in value["columns"].items()
            },
            unseen=value["unseen"],
        )


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
                    columns={},
                    unseen=f"it has {size / 1e6:,.0f} MB, the limit is {limit_bytes / 1e6:,.0f} MB",
                )
            columns = connection.execute(_COLUMNS, (oid,)).fetchall()
            numbers = tuple(key) if key is not None else tuple(int(c[0]) for c in columns if c[4])
            by_number = {int(c[0]): str(c[1]) for c in columns}
            if any(number not in by_number for number in numbers):
                return TableSums(columns={}, unseen="a column of its primary key is gone")
            plain = [(int(c[0]), str(c[1]), str(c[2])) for c in columns if not c[3]]
            if not plain:
                return TableSums(key=numbers, columns={})
            sums = connection.execute(
                sql.SQL("select {} from {}").format(
                    sql.SQL(", ").join(
                        _sum(column, [by_number[n] for n in numbers]) for _, column, _ in plain
                    ),
                    sql.Identifier(schema, name),
                )
            ).fetchone()
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
        return TableSums(columns={}, unseen=reason(error))
    return TableSums(
        key=numbers,
        columns={
            number: ColumnSum(name=column, type=type_, checksum=str(value))
            for (number, column, type_), value in zip(plain, sums or (), strict=True)
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
    table that the plan itself updates (a fill value) may differ and says so. Dropped columns are not judged
    here: the plan's hazards name them.

    Args:
        before: by table, taken before the plan was applied.
        after: the same tables under the same names; a table that is gone is left out.
        plan: what was applied.
    """
    updated = {parts_of(name) for statement in plan.statements if (name := _updates(statement.sql))}
    findings: list[Finding] = []
    for table in sorted(before):
        first, second = before[table], after.get(table)
        if second is None:
            continue
        if first.unseen or second.unseen:
            findings.append(not_looked_at(CHECK, table, first.unseen or second.unseen))
            continue
        changed = []
        same = 0
        for number, old in first.columns.items():
            new = second.columns.get(number)
            if new is None:
                continue
            if new.checksum == old.checksum:
                same += 1
                continue
            changed.append(_changed(table, old, new, by_plan=parts_of(table) in updated))
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


def _updates(statement: str) -> str:
    """The table of an UPDATE of our own generator's plain form; empty for any other statement."""
    words = statement.split(maxsplit=2)
    if len(words) < 3 or words[0].upper() != "UPDATE":
        return ""
    rest = statement[len(words[0]) :].lstrip().removeprefix("ONLY ")
    return rest[: _end_of_name(rest)]


def _end_of_name(text: str) -> int:
    """Where a qualified name ends: at the first blank outside double quotes."""
    quoted = False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character.isspace() and not quoted:
            return position
    return len(text)
