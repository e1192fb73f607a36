"""Blockers: who holds what a statement could not get. Only reads pg_locks and pg_stat_activity."""

from dataclasses import dataclass

import psycopg

from orchestrator.database import Connection
from orchestrator.migration.plan import Statement

# Those who hold, or stand in line for, a lock on the statement's tables; for a statement that also waits for
# old transactions (CONCURRENTLY), those with an old transaction. Never the query's text: it may hold values.
_HOLDERS = """
select a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''), l.mode, c.relname,
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8
from pg_catalog.pg_locks l
join pg_catalog.pg_class c on c.oid = l.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.granted and l.pid <> pg_catalog.pg_backend_pid()
  and pg_catalog.quote_ident(n.nspname::text) || '.' || pg_catalog.quote_ident(c.relname::text) = any (%s::text[])
order by a.xact_start, a.pid
"""
_OLD = """
select pid, coalesce(application_name, ''), coalesce(state, ''), '', '',
       extract(epoch from clock_timestamp() - xact_start)::float8
from pg_catalog.pg_stat_activity
where pid <> pg_catalog.pg_backend_pid() and backend_xmin is not null and datname = current_database()
order by xact_start, pid
"""


# Those whom a waiting backend waits for, by the server's own account: who holds, and who stands before it in the line.
_BEFORE_US = """
select a.pid,
       case when a.backend_type = 'autovacuum worker' then 'autovacuum' else coalesce(a.application_name, '') end,
       coalesce(a.state, ''), '', '', coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8,
       a.backend_type <> 'client backend'
from pg_catalog.pg_stat_activity a
where a.pid = any (pg_catalog.pg_blocking_pids(%s))
order by a.xact_start, a.pid
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that stands in the way.

    Attributes:
        pid: its process id on the server.
        application: its application_name.
        state: its state in pg_stat_activity, e.g. ``idle in transaction``.
        mode: the lock it holds; empty when its old snapshot is what counts.
        relation: on what.
        seconds: how long its transaction has been open.
        background: whether it is no client's session, but the server's own.
    """

    pid: int
    application: str
    state: str
    mode: str
    relation: str
    seconds: float
    background: bool = False

    def __str__(self) -> str:
        who = f"pid {self.pid}" + (f" ({self.application})" if self.application else "")
        holds = f", holds {self.mode} on {self.relation}" if self.mode else ""
        return f"{who}, {self.state or 'unknown state'} for {self.seconds:.0f} s{holds}"


def blockers(connection: Connection, statement: Statement) -> tuple[Blocker, ...]:
    """Who stands in the statement's way at this moment, oldest first; empty when nobody does, or nobody may know.

    The server forgets who blocked a request once that has timed out, so this looks for conflicting locks now.
    """
    try:
        rows = connection.execute(_HOLDERS, (list(statement.lock_on),)).fetchall()
        if not statement.transactional:
            rows += connection.execute(_OLD).fetchall()
    except psycopg.Error:
        return ()
    found: dict[int, Blocker] = {}
    for pid, application, state, mode, relation, seconds in rows:
        if mode and not _conflict(mode, statement):
            continue
        found.setdefault(
            pid,
            Blocker(
                pid=pid,
                application=application,
                state=state,
                mode=mode,
                relation=relation,
                seconds=float(seconds),
            ),
        )
    return tuple(found.values())


def in_the_way(connection: Connection, pid: int) -> tuple[Blocker, ...]:
    """Whom a backend waits for at this moment, oldest first."""
    rows = connection.execute(_BEFORE_US, (pid,)).fetchall()
    return tuple(
        Blocker(
            pid=pid,
            application=application,
            state=state,
            mode=mode,
            relation=relation,
            seconds=float(seconds),
            background=background,
        )
        for pid, application, state, mode, relation, seconds, background in rows
    )


#: Which granted modes a request must wait for (Postgres docs, table 13.2), for the requests that plans make.
_CONFLICTS = {
    "ShareUpdateExclusiveLock": frozenset(
        {
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        }
    ),
    "ShareRowExclusiveLock": frozenset(
        {
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        }
    ),
}


def _conflict(mode: str, statement: Statement) -> bool:
    conflicts = _CONFLICTS.get(statement.lock.value)
    return conflicts is None or mode in conflicts
