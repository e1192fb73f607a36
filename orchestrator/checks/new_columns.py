"""New columns: how many of the rows have a value in them, and whether it is the default. Never writes."""

import re
from collections.abc import Mapping
from typing import Any

from psycopg import sql

from orchestrator.checks.data import CHECK
from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at, reason
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.sample import within
from orchestrator.checks.sums import TableSums
from orchestrator.database import Connection

_COLUMNS = """
select a.attnum, a.attname, pg_get_expr(d.adbin, d.adrelid), a.attidentity <> ''
from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = %s and a.attnum = any (%s) and a.attgenerated = '' order by a.attnum
"""
_NAME = """
select n.nspname, c.relname, array(
  select array[a.attname::text, format_type(a.atttypid, a.atttypmod)]
  from unnest(%s::int2[]) with ordinality k(number, n)
  join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number order by k.n)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = %s
"""
#: A default that is one constant: only such a one can be compared with, others differ by row or by moment.
_CONSTANT = re.compile(r"""(?:'(?:[^']|'')*'|-?\d+(?:\.\d+)?|true|false|\(-\d+(?:\.\d+)?\))(?:::[^()']+)?""")


def new_columns(
    connection: Connection,
    before: Mapping[str, TableSums],
    after: Mapping[str, TableSums],
    *,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> tuple[Finding, ...]:
    """What the rows hold in columns that the migration added; one finding a column, sorted by table.

    A column with a default that is NULL in old rows needs attention: whoever added it first and gave it the default
    later filled none of them.

    Args:
        connection: to the branch, after the plan was applied.
        before: what the tables held before.
        after: what they hold now, under the same names.
        timeout_ms: how long reading one table may take, milliseconds.
    """
    findings: list[Finding] = []
    for table in sorted(before):
        first, second = before[table], after.get(table)
        if second is None or first.unseen or second.unseen:
            continue
        names = {column.name for column in first.columns.values()}
        numbers = [n for n, c in second.columns.items() if n not in first.columns and c.name not in names]
        # A table without rows has nothing to say, and one whose columns cannot be read was reported before.
        if not numbers or not second.rows:
            continue
        try:
            with looking(connection, timeout_ms=timeout_ms):
                findings += _looked(connection, table, second, numbers)
        except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
            findings.append(not_looked_at(CHECK, table, f"its new columns: {reason(error)}"))
    return tuple(findings)


def _looked(connection: Connection, table: str, sums: TableSums, numbers: list[int]) -> list[Finding]:
    named = connection.execute(_NAME, (list(sums.key), sums.oid)).fetchone()
    columns = connection.execute(_COLUMNS, (sums.oid, numbers)).fetchall()
    if named is None or not columns:
        return []
    schema, name, key = named
    counts: list[sql.Composable] = [sql.SQL("count(*)")]
    for _, column, default, _ in columns:
        constant = default if default and _CONSTANT.fullmatch(default) else "null"
        counts.append(sql.SQL("count({})").format(sql.Identifier(column)))
        # The server wrote the expression itself, and it is one constant.
        counts.append(
            sql.SQL("count(*) filter (where {} = {})").format(
                sql.Identifier(column),
                sql.SQL(constant),
            )
        )
    row = connection.execute(
        sql.SQL("select {} from {}{}").format(
            sql.SQL(", ").join(counts),
            sql.Identifier(schema, name),
            within([(str(each[0]), str(each[1])) for each in key], sums.ranges),
        )
    ).fetchone()
    rows, *values = row or (0,)
    return [
        _finding(table, column, int(rows), int(values[2 * n]), int(values[2 * n + 1]), default, identity)
        for n, (_, column, default, identity) in enumerate(columns)
    ]


def _finding(
    table: str, column: str, rows: int, filled: int, as_default: int, default: Any, identity: bool
) -> Finding:
    nulls = rows - filled
    constant = bool(default and _CONSTANT.fullmatch(default))
    given = bool(default or identity)
    if not filled:
        message = f"new: all {rows:,} rows are NULL"
    elif not nulls:
        message = f"new: none of {rows:,} rows is NULL"
    else:
        message = f"new: {nulls:,} of {rows:,} rows are NULL"
    if constant and filled:
        message += f", {as_default:,} have the default"
    missing = given and nulls
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION if missing else Severity.OK,
        subject=f"{table}.{column}",
        message=message + (", though it has a default" if missing else ""),
        mitigation="fill the old rows, or add the column with its default in one statement"
        if missing
        else "",
        evidence={"rows": rows, "nulls": nulls} | ({"default": as_default} if constant else {}),
    )
