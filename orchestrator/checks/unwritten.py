"""Tables that nobody wrote, proved by their rows' own transaction numbers: their values need not be read. Never writes.

A row's version does not change in place: who updates it writes another one, with the number of its transaction in it
(``xmin``). So where a table's file is the same, no row that is seen now has the number of a transaction that ended
after the first look, and there are as many rows as there were, they are the very same rows. That is said of all rows,
where the sums of a large table speak of a sample; and it rests on no counter, no statistics and no word of the plan.
"""

from collections.abc import Iterable, Mapping

from psycopg import sql

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking
from orchestrator.checks.names import parts_of, updated_tables
from orchestrator.checks.rows import NOT_COUNTED
from orchestrator.checks.sums import UNREAD, TableSums, Unread, Unwritten
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan

#: So many transactions since are looked for among the rows' numbers; of more nobody says anything.
_MOST_TRANSACTIONS = 100_000
#: What a transaction's number is written into a row with: 32 bits of it.
_ROUND = 2**32

_OLDEST = "select pg_snapshot_xmin(pg_current_snapshot())::text::int8"
_NEXT = "select pg_snapshot_xmax(pg_current_snapshot())::text::int8"
_FILE = """
select n.nspname, c.relname, pg_relation_filenode(c.oid)::int8 from pg_class c
join pg_namespace n on n.oid = c.relnamespace where c.oid = %s
"""
_COLUMNS = """
select a.attnum::int4, a.attname, format_type(a.atttypid, a.atttypmod)
from pg_attribute a where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
"""


def moment(connection: Connection) -> int:
    """Whoever changes rows and has a smaller transaction number has ended by now; asked for before rows are counted."""
    with looking(connection):
        row = connection.execute(_OLDEST).fetchone()
    return int(row[0]) if row else 0


def expected(plan: Plan, since: int, rows: Mapping[str, int], *, triggers: bool) -> Unread | None:
    """Which tables a plan will not write, as far as it says; whether that was true is proved afterwards (``written``).

    Args:
        plan: to be applied.
        since: what ``moment`` gave before the rows were counted.
        rows: what ``count_rows`` saw.
        triggers: whether there are any, which may write what the plan does not name.

    Returns:
        None where nobody can tell: statements are a person's own, or the plan changes rows and triggers follow.
    """
    busy = updated_tables(plan)
    if not since or any(each.source for each in plan.statements) or (busy and triggers):
        return None
    busy |= {parts_of(each.by_blocks) for each in plan.statements if each.by_blocks}
    busy |= {parts_of(hazard.on)[:2] for hazard in plan.hazards if hazard.code == "rewrites_table"}
    left = {
        name: count for name, count in rows.items() if count != NOT_COUNTED and parts_of(name) not in busy
    }
    return Unread(since=since, rows=left)


def written(
    connection: Connection, sums: Mapping[str, TableSums], *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> tuple[str, ...]:
    """The tables with columns that were not read, of which it cannot be proved that they hold what they held.

    Args:
        connection: to the branch, after the plan was applied and before anybody else writes there.
        sums: as ``sum_tables`` gave them before.
        timeout_ms: how long reading one table may take, milliseconds.
    """
    found = []
    for name, each in sums.items():
        try:
            same = each.proof is None or _same(connection, each, each.proof, timeout_ms)
        except Exception:  # noqa: BLE001 - what cannot be looked at is not proved, whatever the reason
            same = False
        if not same:
            found.append(name)
    return tuple(found)


def _same(connection: Connection, before: TableSums, proof: Unwritten, timeout_ms: int) -> bool:
    with looking(connection, timeout_ms=timeout_ms):
        table = connection.execute(_FILE, (before.oid,)).fetchone()
        if table is None:
            return True  # what is gone has no values; that it is gone is for others to say
        schema, name, file = table
        if file != proof.file:
            return False
        columns = {number: (name, type_) for number, name, type_ in _columns(connection, before.oid)}
        again = {name for number, (name, _) in columns.items() if number not in before.columns}
        for number, each in before.columns.items():
            # What was dropped and made again has other values under its name, and its rows are the same ones.
            if each.way == UNREAD and (
                each.name in again if number not in columns else columns[number][1] != each.type
            ):
                return False
        row = connection.execute(_NEXT).fetchone()
        since = range(proof.since, int(row[0]) if row else proof.since)
        if not row or len(since) > _MOST_TRANSACTIONS:
            return False
        # `age(xmin)` would say the same, but keeps PostgreSQL from reading with several processes.
        query = sql.SQL("select count(*), count(*) filter (where xmin = any (%s::xid[])) from only {}")
        numbers = [str(each % _ROUND) for each in since]
        counted = connection.execute(query.format(sql.Identifier(schema, name)), (numbers,)).fetchone()
    return counted is not None and tuple(counted) == (proof.rows, 0)


def _columns(connection: Connection, oid: int) -> Iterable[tuple[int, str, str]]:
    for number, name, type_ in connection.execute(_COLUMNS, (oid,)).fetchall():
        yield int(number), str(name), str(type_)
