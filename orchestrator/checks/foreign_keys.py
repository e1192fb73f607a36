"""Foreign keys: rows that point at nothing, also where a constraint was never validated. Never writes.

PostgreSQL checks each write, unless its triggers were off (a restore, replication) or the constraint is NOT VALID.
"""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at, reason
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection
from orchestrator.schema.names import dotted

CHECK = "integrity"
#: How many rows are named.
SAMPLE = 5
#: From so many rows on, what is pointed at is no small hash table: then both sides are read in the order of their
#: indexes, where they have such ones and so much of both tables need not be looked up beside them.
_MANY_ROWS = 200_000
_VISIBLE = 0.9

# A constraint on a partition that a partitioned table's stands above is counted there. conpfeqop compares the
# referenced column with the referencing one (Postgres docs, pg_constraint).
_KEYS = """
select k.oid::int8, n.nspname, t.relname, k.conname, k.convalidated, t.relkind = 'p',
  rn.nspname, r.relname, r.relkind = 'p',
  array(select a.attname::text from unnest(k.conkey) with ordinality u(number, n)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number order by u.n),
  array(select a.attname::text from unnest(k.confkey) with ordinality u(number, n)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number order by u.n),
  array(select format('operator(%%I.%%s)', pn.nspname, p.oprname) from unnest(k.conpfeqop) with ordinality u(op, n)
        join pg_operator p on p.oid = u.op join pg_namespace pn on pn.oid = p.oprnamespace order by u.n),
  array(select a.attname::text from pg_index i, unnest(i.indkey::int2[]) with ordinality u(number, n)
        join pg_attribute a on a.attnum = u.number
        where i.indrelid = k.conrelid and i.indisprimary and a.attrelid = k.conrelid order by u.n),
  case when t.relkind = 'p' then (select coalesce(sum(pg_table_size(p.relid)), 0) from pg_partition_tree(t.oid) p)
       else pg_table_size(t.oid) end::int8,
  r.reltuples > %s and least(t.relallvisible::float8 / greatest(t.relpages, 1),
                             r.relallvisible::float8 / greatest(r.relpages, 1)) > %s
    and exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
                where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null and m.amname = 'btree'
                  and (i.indkey::int2[])[0 : cardinality(k.conkey) - 1] = k.conkey)
from pg_constraint k
join pg_class t on t.oid = k.conrelid join pg_namespace n on n.oid = t.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
where k.contype = 'f' and k.conparentid = 0 and n.nspname <> all (%s)
order by n.nspname, t.relname, k.conname
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    oid: int
    schema: str
    table: str
    name: str
    validated: bool
    partitioned: bool
    there_schema: str
    there: str
    there_partitioned: bool
    columns: list[str]
    there_columns: list[str]
    operators: list[str]
    primary: list[str]
    size: int
    in_order: bool

    @property
    def tables(self) -> set[tuple[str, ...]]:
        """Both sides."""
        return {(self.schema, self.table), (self.there_schema, self.there)}

    @property
    def subject(self) -> str:
        """The table and the constraint, quoted as SQL needs it."""
        return dotted(self.schema, self.table, self.name)


def foreign_keys(
    connection: Connection,
    *,
    foreign_schemas: Collection[str],
    touched: Collection[tuple[str, ...]] = (),
    untouched_bytes: int,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> tuple[Finding, ...]:
    """Count the rows of every foreign key that point at nothing: NOT VALID ones first, then those of touched tables.

    Args:
        connection: to the branch, after the plan was applied.
        foreign_schemas: not ours to judge.
        touched: tables that the plan touched, as ``parts_of`` takes names apart.
        untouched_bytes: other tables are read, the smallest first, up to so much in all.
        timeout_ms: how long one query may take, milliseconds.

    Returns:
        A finding for each that has such rows, was never validated or could not be looked at; one for all where there
        is none of these.
    """
    with looking(connection, timeout_ms=timeout_ms):
        names = _Key.__slots__
        keys = [
            _Key(**dict(zip(names, row, strict=True)))
            for row in connection.execute(
                _KEYS.encode(), (_MANY_ROWS, _VISIBLE, list(foreign_schemas))
            ).fetchall()
        ]
    first = [
        key
        for key in keys
        if not key.validated or {(key.schema, key.table), (key.there_schema, key.there)} & {*touched}
    ]
    rest = sorted((key for key in keys if key not in first), key=lambda key: key.size)
    findings, looked, left, unread = [], 0, untouched_bytes, 0
    for key in [*first, *rest]:
        if key in rest:
            left -= key.size
            if left < 0:
                unread += 1
                continue
        try:
            found = _orphans(connection, key, timeout_ms)
        except Exception as error:  # noqa: BLE001 - one that cannot be read must not hide the others
            findings.append(not_looked_at(CHECK, key.subject, f"rows that point at nothing: {reason(error)}"))
            continue
        looked += 1
        if found is not None:
            findings.append(found)
    if unread:
        why = f"{unread:,} of untouched tables were not read (report.untouched_up_to)"
        findings.append(not_looked_at(CHECK, "foreign keys", why))
    if looked and not findings:
        noun = "foreign key" if looked == 1 else "foreign keys"
        message = f"every row of {looked:,} {noun} points at a row that is there"
        findings.append(Finding(check=CHECK, severity=Severity.OK, subject="foreign keys", message=message))
    return tuple(findings)


def _orphans(connection: Connection, key: _Key, timeout_ms: int) -> Finding | None:
    here, there = sql.Identifier("here"), sql.Identifier("there")

    def of(alias: sql.Identifier, column: str) -> sql.Composed:
        return sql.SQL("{}.{}").format(alias, sql.Identifier(column))

    matches = sql.SQL(" and ").join(
        sql.SQL("{} {} {}").format(of(there, b), sql.SQL(operator), of(here, a))
        for a, b, operator in zip(key.columns, key.there_columns, key.operators, strict=True)
    )
    filled = sql.SQL(" and ").join(sql.SQL("{} is not null").format(of(here, each)) for each in key.columns)
    source = sql.SQL("from {}{} as here where {} and not exists (select from {}{} as there where {})").format(
        sql.SQL("" if key.partitioned else "only "),
        sql.Identifier(key.schema, key.table),
        filled,
        sql.SQL("" if key.there_partitioned else "only "),
        sql.Identifier(key.there_schema, key.there),
        matches,
    )
    with looking(connection, timeout_ms=timeout_ms):
        if key.in_order:
            # PostgreSQL thinks pages of an index dear, and would write both tables to the disk in pieces to hash them:
            # of 12,500,000 rows that took three times the processor.
            connection.execute("set local enable_hashjoin = off")
        row = connection.execute(sql.SQL("select count(*) {}").format(source)).fetchone()
        count = int(row[0]) if row else 0
        if not count:
            return None if key.validated else _unvalidated(key)
        label = (
            sql.SQL(" || ', ' || ").join(
                sql.SQL("{} || {}::text").format(sql.Literal(f"{each}="), of(here, each))
                for each in key.primary
            )
            if key.primary
            else sql.SQL("'ctid=' || here.ctid::text")
        )
        sample = connection.execute(
            sql.SQL("select {} {} limit {}").format(label, source, sql.Literal(SAMPLE))
        ).fetchall()
    shown = ", ".join(str(each[0]) for each in sample)
    more = f" and {count - len(sample):,} more" if count > len(sample) else ""
    one, where = count == 1, dotted(key.there_schema, key.there)
    message = (
        f"{count:,} row{'' if one else 's'} point{'s' if one else ''} at no row of {where}, "
        f"for example {shown}{more}"
    )
    return Finding(
        check=CHECK,
        # A validated one promises that there is none: the planner and every reader trust it.
        severity=Severity.BLOCKED if key.validated else Severity.ATTENTION,
        subject=key.subject,
        message=message
        + ("; the constraint says that there is none" if key.validated else "; it was never validated"),
        mitigation=f"add the missing rows, or correct or remove these; then {_validate(key)}",
        evidence={"rows": count, "validated": key.validated},
    )


def _unvalidated(key: _Key) -> Finding:
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION,
        subject=key.subject,
        message="the foreign key was never validated, though every row points at a row that is there; "
        + _validate(key),
        evidence={"rows": 0, "validated": False},
    )


def _validate(key: _Key) -> str:
    return f"ALTER TABLE {dotted(key.schema, key.table)} VALIDATE CONSTRAINT {dotted(key.name)}"
