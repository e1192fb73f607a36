"""Waiting for maintenance with nobody behind us: VACUUM, ANALYZE, index builds.

They hold SHARE UPDATE EXCLUSIVE, which conflicts with itself and with what changes a table, not with what reads or
writes rows (Postgres docs, 13.3.1). Who waits for ACCESS EXCLUSIVE has every visitor behind it; who waits for their own
mode has none. And the server itself ends an autovacuum that somebody has waited behind for deadlock_timeout (1 s),
unless it prevents wraparound; no visitor may be held up for so long, so asking for our own lock never has that effect.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from psycopg import errors

from orchestrator.database import Connection

#: How long it is waited for maintenance, milliseconds; then the lock is asked for all the same, as care allows.
LONGEST_MS = 10_000

_MAINTAINED = """
select distinct pg_catalog.quote_ident(n.nspname::text) || '.' || pg_catalog.quote_ident(c.relname::text)
from pg_catalog.pg_locks l
join pg_catalog.pg_class c on c.oid = l.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_database d on d.oid = l.database and d.datname = pg_catalog.current_database()
where l.granted and l.mode = 'ShareUpdateExclusiveLock' and l.pid <> pg_catalog.pg_backend_pid() and c.relkind = 'r'
  and pg_catalog.quote_ident(n.nspname::text) || '.' || pg_catalog.quote_ident(c.relname::text) = any (%s::text[])
"""
_LIMITS = "select pg_catalog.current_setting('lock_timeout'), pg_catalog.current_setting('statement_timeout')"
_SET_LIMITS = """
select pg_catalog.set_config('lock_timeout', %s, true), pg_catalog.set_config('statement_timeout', %s, true)
"""


def stand_aside(
    connection: Connection,
    tables: Iterable[str],
    say: Callable[[str, str], None],
    *,
    longest_ms: int = LONGEST_MS,
) -> None:
    """Wait until no maintenance is at the tables, or for so long; what came free is kept until the transaction ends.

    Without keeping it, the next worker of autovacuum would have it a moment later.

    Args:
        connection: in the transaction that will ask for stronger locks; its time-outs stay what they were.
        tables: qualified names, quoted where they must be.
        say: told for which table we wait, and the reason in words.
        longest_ms: for each table, milliseconds.

    Raises:
        psycopg.Error: the connection is lost, or the statement was cancelled.
    """
    wanted = sorted(set(tables))
    if not wanted:
        return
    found = connection.execute(_MAINTAINED, (wanted,)).fetchall()
    if not found:
        return
    row = connection.execute(_LIMITS).fetchone()
    for (name,) in found:
        say(name, f"for maintenance of {name} (a vacuum, or the build of an index), with nobody behind us")
        # Who may not ask for this mode, or asks too long, goes on without.
        with (
            suppress(errors.LockNotAvailable, errors.DeadlockDetected, errors.InsufficientPrivilege),
            connection.transaction(),
        ):
            connection.execute(_SET_LIMITS, (f"{longest_ms}ms", "0"))
            connection.execute(f"lock table only {name} in share update exclusive mode".encode())
    connection.execute(_SET_LIMITS, row)
