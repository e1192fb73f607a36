"""Integrity: indexes, constraints and sequences that do not do what they promise. Never writes."""

from collections.abc import Collection
from typing import Any

from psycopg import sql

from orchestrator.checks.foreign_keys import foreign_keys
from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at, reason
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.sums import Limits
from orchestrator.database import Connection

CHECK = "integrity"

#: Not ours to judge: the server's schemas and our own.
_FOREIGN_SCHEMAS = ["pg_catalog", "information_schema", "pg_toast", "preview_internal"]

_INVALID_INDEXES = """
select format('%%I.%%I', n.nspname, c.relname), format('%%I.%%I', tn.nspname, t.relname), i.indisunique
from pg_index i
join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = i.indrelid join pg_namespace tn on tn.oid = t.relnamespace
where not (i.indisvalid and i.indisready) and n.nspname <> all (%s) and n.nspname !~ '^(pg_temp|preview_kept_)'
order by 1
"""

_NOT_VALID = """
select format('%%I.%%I', n.nspname, t.relname), quote_ident(c.conname), c.contype
from pg_constraint c
join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace
where not c.convalidated and c.contype <> 'f' and n.nspname <> all (%s) and n.nspname !~ '^preview_kept_'
order by 1, 2
"""

_SEQUENCES = """
select sn.nspname, s.relname, tn.nspname, t.relname, a.attname, q.seqincrement, q.seqcycle
from pg_depend d
join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
join pg_sequence q on q.seqrelid = s.oid
join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
  and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  and sn.nspname <> all (%s) and sn.nspname !~ '^(pg_temp|preview_kept_)'
order by 1, 2
"""


def integrity(
    connection: Connection,
    *,
    touched: Collection[tuple[str, ...]] = (),
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> tuple[Finding, ...]:
    """Look for invalid indexes, constraints that were never validated, orphans and sequences behind their columns.

    An invalid index slows every write and serves no query; a NOT VALID constraint says nothing about old rows
    (Postgres docs, CREATE INDEX and ALTER TABLE); a sequence behind its column makes an INSERT fail.

    Args:
        connection: to the branch, after the plan was applied.
        touched: tables that the plan touched, as ``parts_of`` takes names apart.
        limits: how much of other tables is read for orphans.
        timeout_ms: how long one query may take, milliseconds.
    """
    findings: list[Finding] = []

    def _foreign_keys(connection: Connection, timeout_ms: int) -> tuple[Finding, ...]:
        return foreign_keys(
            connection,
            foreign_schemas=_FOREIGN_SCHEMAS,
            touched=touched,
            untouched_bytes=limits.untouched_bytes,
            timeout_ms=timeout_ms,
        )

    for look in (_indexes, _constraints, _foreign_keys, _sequences):
        try:
            findings.extend(look(connection, timeout_ms))
        except Exception as error:  # noqa: BLE001 - a look that fails is a finding and stops no other
            findings.append(
                not_looked_at(CHECK, look.__name__.removeprefix("_").replace("_", " "), reason(error))
            )
    return tuple(findings)


def _rows(connection: Connection, query: str, timeout_ms: int) -> list[tuple[Any, ...]]:
    with looking(connection, timeout_ms=timeout_ms):
        return connection.execute(query.encode(), (_FOREIGN_SCHEMAS,)).fetchall()


def _indexes(connection: Connection, timeout_ms: int) -> list[Finding]:
    found = [
        Finding(
            check=CHECK,
            severity=Severity.BLOCKED if unique else Severity.ATTENTION,
            subject=index,
            message=(
                f"the {'unique ' if unique else ''}index on {table} is invalid: no query uses it"
                + (", and duplicates may be there" if unique else "")
                + f"; REINDEX INDEX CONCURRENTLY {index}, or drop it"
            ),
        )
        for index, table, unique in _rows(connection, _INVALID_INDEXES, timeout_ms)
    ]
    return found or [_ok("indexes", "every index is valid")]


def _constraints(connection: Connection, timeout_ms: int) -> list[Finding]:
    kinds = {"c": "check", "n": "not-null constraint"}
    found = [
        Finding(
            check=CHECK,
            severity=Severity.ATTENTION,
            subject=f"{table}.{name}",
            message=(
                f"the {kinds.get(kind, 'constraint')} was never validated, so old rows may violate it; "
                f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"
            ),
        )
        for table, name, kind in _rows(connection, _NOT_VALID, timeout_ms)
    ]
    return found or [_ok("constraints", "every check and NOT NULL is validated")]


def _sequences(connection: Connection, timeout_ms: int) -> list[Finding]:
    found: list[Finding] = []
    looked = 0
    for sequence_schema, sequence, schema, table, column, increment, cycles in _rows(
        connection, _SEQUENCES, timeout_ms
    ):
        subject = f"{schema}.{table}.{column}"
        try:
            with looking(connection, timeout_ms=timeout_ms):
                behind = _behind(
                    connection,
                    sql.Identifier(sequence_schema, sequence),
                    sql.Identifier(schema, table),
                    sql.Identifier(column),
                    increment,
                )
        except Exception as error:  # noqa: BLE001 - one sequence that cannot be read must not hide the others
            found.append(not_looked_at(CHECK, subject, reason(error)))
            continue
        looked += 1
        if behind is None or cycles:
            continue
        following, extreme, taken = behind
        name = sql.Identifier(sequence_schema, sequence).as_string(connection)
        mend = sql.SQL("select setval({}, {})").format(name, extreme).as_string(connection)
        found.append(
            Finding(
                check=CHECK,
                severity=Severity.BLOCKED if taken else Severity.ATTENTION,
                subject=subject,
                message=(
                    f"its sequence gives {following:,} next, but the column already holds up to {extreme:,}: "
                    + (
                        "the next new row may be refused as a duplicate"
                        if taken
                        else "it will meet existing values later"
                    )
                    + f"; {mend}"
                ),
            )
        )
    if not found:
        noun = "sequence is" if looked == 1 else "sequences are"
        found.append(_ok("sequences", f"{looked} {noun} ahead of the columns that they feed"))
    return found


def _behind(
    connection: Connection,
    sequence: sql.Identifier,
    table: sql.Identifier,
    column: sql.Identifier,
    increment: int,
) -> tuple[int, int, bool] | None:
    """The sequence's next value, the column's extreme, and whether the next value is taken; None when all is well."""
    function = sql.SQL("max") if increment > 0 else sql.SQL("min")
    row = connection.execute(
        sql.SQL("select s.last_value, s.is_called, (select {}({}) from {}) from {} s").format(
            function, column, table, sequence
        )
    ).fetchone()
    if row is None or row[2] is None:
        return None
    last, called, extreme = int(row[0]), bool(row[1]), int(row[2])
    following = last + increment if called else last
    if (following > extreme) if increment > 0 else (following < extreme):
        return None
    taken = connection.execute(
        sql.SQL("select exists (select from {} where {} = %s)").format(table, column), (following,)
    ).fetchone()
    return following, extreme, bool(taken and taken[0])


def _ok(subject: str, message: str) -> Finding:
    return Finding(check=CHECK, severity=Severity.OK, subject=subject, message=message)
