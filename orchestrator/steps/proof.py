"""The proof after a promotion: rows of what was touched, before and after, and fresh statistics for it.

Touches main's PostgreSQL; changes only its statistics.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from orchestrator.checks.names import name_after, parts_of, touched_tables
from orchestrator.checks.rows import NOT_COUNTED, count_rows
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan
from orchestrator.schema.catalog import Snapshot

#: How long counting may take for all tables, and for one, milliseconds: main has other work.
ALL_MS = 5_000
ONE_MS = 2_000

_ESTIMATE = """
select case when c.relkind = 'p' then
           (select coalesce(sum(greatest(p.reltuples, 0)), 0) from pg_catalog.pg_partition_tree(c.oid) t
            join pg_catalog.pg_class p on p.oid = t.relid where t.isleaf)
       else greatest(c.reltuples, 0) end::int8
from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass(%s)
"""

Count = Mapping[str, Any]


def count(main: Connection, tables: Iterable[str]) -> dict[str, Count]:
    """Rows by table: ``{"rows", "exact"}``; the statistics' estimate where counting would take too long.

    Args:
        main: not inside a transaction.
        tables: qualified names, quoted as SQL needs it; those that do not exist are left out.
    """
    until = time.monotonic() + ALL_MS / 1000
    found: dict[str, Count] = {}
    for table in tables:
        left = min(ONE_MS, round((until - time.monotonic()) * 1000))
        counted = count_rows(main, [table], timeout_ms=left).get(table) if left > 0 else NOT_COUNTED
        if counted is None:
            continue
        if counted != NOT_COUNTED:
            found[table] = {"rows": counted, "exact": True}
            continue
        try:
            row = main.execute(_ESTIMATE, (table,)).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            row = None
        if row is not None:
            found[table] = {"rows": int(row[0]), "exact": False}
    return found


def touched(plan: Plan, snapshot: Snapshot) -> tuple[str, ...]:
    """The tables of a snapshot that a plan touches, qualified and quoted."""
    parts = touched_tables(plan)
    return tuple(key.name for key in snapshot.of_kind("table") if parts_of(key.name) in parts)


def compare(
    before: Mapping[str, Count], main: Connection, plan: Plan, after: Snapshot
) -> list[dict[str, Any]]:
    """``{"table", "now", "before", "after"}`` of each touched table; ``now`` is its name afterwards, None when gone."""
    names = {parts_of(key.name): key.name for key in after.of_kind("table")}
    now = {table: names.get(name_after(table, plan)) for table in before}
    new = [name for name in touched(plan, after) if name not in now.values()]
    counts = count(main, [*(name for name in now.values() if name), *new])
    said = [
        {"table": table, "now": name, "before": dict(before[table]), "after": counts.get(name or "")}
        for table, name in now.items()
    ]
    return said + [
        {"table": name, "now": name, "before": None, "after": counts[name]} for name in new if name in counts
    ]


def analyze(main: Connection, plan: Plan, after: Snapshot) -> list[str]:
    """Fresh statistics for what was touched: a rewritten column or a new index has none (Postgres docs, ANALYZE).

    Returns:
        The tables.
    """
    tables = sorted(touched(plan, after))
    for table in tables:
        main.execute(f"analyze (skip_locked) {table}".encode())
    return tables


def written(main: Connection) -> dict[str, list[int]]:
    """Rows inserted, updated and deleted so far, by table, as the server counts; a crash begins at 0 again."""
    rows = main.execute(
        "select pg_catalog.quote_ident(schemaname::text) || '.' || pg_catalog.quote_ident(relname::text), "
        "n_tup_ins::int8, n_tup_upd::int8, n_tup_del::int8 from pg_catalog.pg_stat_user_tables"
    ).fetchall()
    return {name: list(counts) for name, *counts in rows}
