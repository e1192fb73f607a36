"""Drops: what goes with each dropped table and column, and who uses it: before the plan and after it. Never writes.

What is bound to an object (views, keys, triggers) PostgreSQL knows. The text of a function it does not read: there the
names are looked for, which is a hint and no proof.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at, reason
from orchestrator.checks.names import joined, name_after, parts_of
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.sums import Limits
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan

CHECK = "drops"

_TABLE = """
select c.oid::int8, n.nspname, c.relname, pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::int8, c.relkind,
  coalesce(a.attnum, 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attname = %s and not a.attisdropped
where c.oid = to_regclass(%s)
"""

# Each kind of dependent: its word, its name. Column 0 means the whole table.
_BOUND = """
with dep as (
  select classid, objid, objsubid from pg_depend
  where refclassid = 'pg_class'::regclass and refobjid = %(oid)s and (%(column)s = 0 or refobjsubid = %(column)s)
    and deptype in ('n', 'a'))
select case v.relkind when 'm' then 'materialized view' else 'view' end, format('%%I.%%I', n.nspname, v.relname)
from dep join pg_rewrite w on dep.classid = 'pg_rewrite'::regclass and w.oid = dep.objid
join pg_class v on v.oid = w.ev_class join pg_namespace n on n.oid = v.relnamespace where v.oid <> %(oid)s
union
select 'foreign key', format('%%I.%%I.%%I', n.nspname, t.relname, k.conname)
from pg_constraint k join pg_class t on t.oid = k.conrelid join pg_namespace n on n.oid = t.relnamespace
where k.contype = 'f' and k.conparentid = 0 and k.confrelid = %(oid)s
  and (k.conrelid <> %(oid)s or %(column)s <> 0) and (%(column)s = 0 or %(column)s = any (k.confkey))
union
select 'trigger', format('%%I on %%I.%%I', g.tgname, n.nspname, t.relname)
from pg_trigger g join pg_class t on t.oid = g.tgrelid join pg_namespace n on n.oid = t.relnamespace
where g.tgrelid = %(oid)s and not g.tgisinternal and (%(column)s = 0 or %(column)s = any (g.tgattr::int2[])
  or exists (select from dep where dep.classid = 'pg_trigger'::regclass and dep.objid = g.oid))
union
select 'policy', format('%%I on %%I.%%I', p.polname, n.nspname, t.relname)
from pg_policy p join pg_class t on t.oid = p.polrelid join pg_namespace n on n.oid = t.relnamespace
where exists (select from dep where dep.classid = 'pg_policy'::regclass and dep.objid = p.oid)
union
select 'column', format('%%I.%%I.%%I', n.nspname, t.relname, a.attname)
from dep join pg_attrdef d on dep.classid = 'pg_attrdef'::regclass and d.oid = dep.objid
join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
join pg_class t on t.oid = d.adrelid join pg_namespace n on n.oid = t.relnamespace
where %(column)s <> 0 and (a.attrelid <> %(oid)s or a.attnum <> %(column)s)
union
select 'function', p.oid::regprocedure::text
from dep join pg_proc p on dep.classid = 'pg_proc'::regclass and p.oid = dep.objid
order by 1, 2
"""

_NAMING = """
select p.oid::regprocedure::text,
  array(select format('%%I.%%I', n.nspname, t.relname) from pg_trigger g join pg_class t on t.oid = g.tgrelid
        join pg_namespace n on n.oid = t.relnamespace where g.tgfoid = p.oid and not g.tgisinternal order by 1)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
where n.nspname !~ '^(pg_|preview_kept_)' and n.nspname not in ('information_schema', 'preview_internal')
  and l.lanname <> 'internal'
  and l.lanname <> 'c' and p.prosqlbody is null
  and not exists (select from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e')
  and p.prosrc ~* %(name)s
  and (%(table)s = '' or p.prosrc ~* %(table)s
       or exists (select from pg_trigger g where g.tgfoid = p.oid and g.tgrelid = to_regclass(%(on)s)))
order by 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drop:
    """A table or a column that the plan drops.

    Attributes:
        on: its name as the plan writes it.
        table: the table's schema and name.
        column: the column's name; empty for a table.
    """

    on: str
    table: tuple[str, ...]
    column: str = ""


def _drops(plan: Plan) -> Iterator[_Drop]:
    for statement in plan.statements:
        for hazard in statement.hazards:
            parts = parts_of(hazard.on)
            if (
                hazard.code != "deletes_data"
                or not (statement.keeps or " DROP " in f" {statement.sql.upper()} ")
                or statement.source
            ):
                continue
            if len(parts) == 2:
                yield _Drop(on=hazard.on, table=parts)
            elif len(parts) == 3:
                yield _Drop(on=hazard.on, table=parts[:2], column=parts[2])


def drops(
    connection: Connection,
    plan: Plan,
    *,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> tuple[Finding, ...]:
    """What each drop takes with it, asked before the plan runs: rows, bytes, and what is bound to the object.

    Args:
        connection: to the branch, before the plan is applied.
        plan: what will be applied.
        limits: larger tables are not read; their statistics are asked.
        timeout_ms: how long one query may take, milliseconds.
    """
    findings = []
    for drop in _drops(plan):
        try:
            with looking(connection, timeout_ms=timeout_ms):
                found = _at_stake(connection, drop, plan, limits)
        except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
            found = not_looked_at(CHECK, drop.on, reason(error))
        findings.append(found)
    return tuple(findings)


def _at_stake(connection: Connection, drop: _Drop, plan: Plan, limits: Limits) -> Finding:
    row = connection.execute(_TABLE, (drop.column, joined(_name_now(drop.table, plan)))).fetchone()
    if row is None or (drop.column and not row[6]):
        return not_looked_at(CHECK, drop.on, "the plan renames or makes it before it drops it")
    oid, schema, table, size, estimate, kind, number = row
    name, exact = sql.Identifier(schema, table), kind == "p" or size <= limits.exact_bytes
    if not drop.column:
        rows, lost = _count(connection, name) if exact else int(estimate), int(size)
    elif exact:
        column = sql.Identifier(drop.column)
        counted = connection.execute(
            sql.SQL("select count({0}), coalesce(sum(pg_column_size({0})), 0) from {1}").format(column, name)
        ).fetchone()
        rows, lost = (int(counted[0]), int(counted[1])) if counted else (0, 0)
    else:
        rows, lost = _estimated(connection, schema, table, drop.column, int(estimate))
    bound = connection.execute(_BOUND, {"oid": oid, "column": number}).fetchall()
    named = _naming(connection, drop, drop.table)
    users = [f"{what} {which}" for what, which in bound] + [f"function {each} (names it)" for each in named]
    what = "values" if drop.column else "rows"
    about = "" if exact else "about "
    message = f"{about}{rows:,} {what} ({_size(lost)}) go with it"
    message += f"; used by {', '.join(users)}" if users else "; nothing in the database uses it"
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION if rows or users else Severity.OK,
        subject=drop.on,
        message=message,
        mitigation="the plan drops or changes what is bound to it; ask who else reads these" if users else "",
        evidence={"rows": rows, "bytes": lost, "exact": exact, "used_by": users},
    )


def _name_now(table: tuple[str, ...], plan: Plan) -> tuple[str, ...]:
    """The name that a table has before the plan, which may rename it before it drops something of it."""
    for statement in plan.statements:
        for old in statement.lock_on:
            if parts_of(old) != table and name_after(old, plan) == table:
                return parts_of(old)
    return table


def _count(connection: Connection, table: sql.Identifier) -> int:
    row = connection.execute(sql.SQL("select count(*) from {}").format(table)).fetchone()
    return int(row[0]) if row else 0


def _estimated(connection: Connection, schema: str, table: str, column: str, rows: int) -> tuple[int, int]:
    """Values and bytes by ANALYZE's figures."""
    row = connection.execute(
        "select null_frac, avg_width from pg_stats where schemaname = %s and tablename = %s and attname = %s",
        (schema, table, column),
    ).fetchone()
    values = round(rows * (1 - float(row[0]))) if row else rows
    return values, values * int(row[1]) if row else 0


def _naming(connection: Connection, drop: _Drop, table: tuple[str, ...]) -> Sequence[str]:
    """Functions whose text names it: a column's name counts beside its table's, or in a trigger of that table."""

    def word(name: str) -> str:
        return rf"(^|\W){re.escape(name)}(\W|$)"

    found = connection.execute(
        _NAMING,
        {
            "name": word(drop.column or drop.table[-1]),
            "table": word(table[-1]) if drop.column else "",
            "on": joined(table),
        },
    ).fetchall()
    return [f"{function} (trigger of {', '.join(on)})" if on else function for function, on in found]


def still_named(
    connection: Connection, plan: Plan, *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> tuple[Finding, ...]:
    """Functions of the migrated branch whose text names what is gone: they fail when they are called.

    Args:
        connection: to the branch, after the plan was applied.
        plan: what was applied.
        timeout_ms: how long one query may take, milliseconds.
    """
    findings = []
    listed = list(_drops(plan))
    for drop in listed:
        table = name_after(joined(drop.table), plan)
        with looking(connection, timeout_ms=timeout_ms):
            named = _naming(connection, drop, table)
        findings += [
            Finding(
                check=CHECK,
                severity=Severity.ATTENTION,
                subject=f"function {each.partition(' (')[0]}",
                message=f"its text names {drop.on}, which is gone: {each} fails when it gets there",
                mitigation="change the function on the goal, or drop it",
                evidence={"names": drop.on},
            )
            for each in named
        ]
    if listed and not findings:
        message = "no function of the migrated branch names what was dropped"
        findings.append(Finding(check=CHECK, severity=Severity.OK, subject="functions", message=message))
    return tuple(findings)


def _size(count: float) -> str:
    """Bytes for a person, units of 1,024."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
