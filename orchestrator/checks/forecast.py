"""Forecast: who a promotion would wait for on main at this moment. Only reads; never writes to main."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at, reason
from orchestrator.checks.names import joined, parts_of
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection
from orchestrator.migration.plan import Plan

CHECK = "forecast"

#: From this part of the age at which PostgreSQL begins a vacuum to prevent wraparound it may begin at any time.
NEAR = 0.95
#: A transaction that is open for this many seconds is worth a person's attention; younger ones come and go.
LONG_SECONDS = 5.0

# Never a query's text: it may hold values. Dumps are known by the name that pg_dump gives itself, autovacuum
# by its backend type; only its own text says whether it is the kind that does not give way (Postgres docs,
# 25.1.5: an autovacuum to prevent wraparound is not interrupted). Nobody waits for a vacuum's snapshot.
_SESSIONS = """
select a.pid, coalesce(nullif(a.application_name, ''), a.backend_type, ''), coalesce(a.state, ''),
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8,
       (a.backend_xmin is not null or a.backend_xid is not null) and a.backend_type <> 'autovacuum worker'
         and not exists (select from pg_stat_progress_vacuum v where v.pid = a.pid),
       a.backend_type = 'autovacuum worker',
       a.backend_type = 'autovacuum worker' and a.query like '%%(to prevent wraparound)',
       coalesce((select array_agg(distinct format('%%I.%%I', n.nspname, c.relname))
                 from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
                 where l.pid = a.pid and l.granted and c.oid = any (%s::oid[])), '{}')
from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.datname = current_database() and a.xact_start is not null
order by a.xact_start, a.pid
"""
# A table's partitions are locked with it.
_TOUCHED = """
select distinct o::int8 from unnest(%s::text[]) t cross join lateral (
  select to_regclass(t)::oid union all select p.relid::oid from pg_partition_tree(to_regclass(t)) p) x(o)
where o is not null
"""
# The age of each table and of what is stored beside it, with the limit: a table's own can only be lower (Postgres docs,
# CREATE TABLE, storage parameters). What holds no rows itself has no age.
_AGES = """
select distinct on (name) name, what, age, most from (
  select format('%%I.%%I', n.nspname, c.relname) as name, x.what, x.age, least(
    current_setting(x.setting)::int8,
    (select o.option_value::int8 from pg_options_to_table(coalesce(s.reloptions, c.reloptions)) o
     where o.option_name = x.setting)) as most
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_class s on s.oid in (c.oid, c.reltoastrelid)
  cross join lateral (values
    ('transactions', 'autovacuum_freeze_max_age', case when s.relfrozenxid <> '0' then age(s.relfrozenxid) end::int8),
    ('multixacts', 'autovacuum_multixact_freeze_max_age',
     case when s.relminmxid <> '0' then mxid_age(s.relminmxid) end::int8)) x(what, setting, age)
  where c.oid = any (%s::oid[])) a
where age >= most * %s::float8
order by name, age / most::float8 desc
"""
_HIDDEN = """
select count(*) from pg_stat_activity
where pid <> pg_backend_pid() and datname = current_database() and backend_type is null
"""
_PREPARED = """
select gid, extract(epoch from clock_timestamp() - prepared)::float8 from pg_prepared_xacts
where database = current_database() order by prepared
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    pid: int
    who: str
    state: str
    seconds: float
    old_snapshot: bool
    vacuums: bool
    wraparound: bool
    holds: tuple[str, ...]

    def __str__(self) -> str:
        doing = "dump" if self.who == "pg_dump" else self.state or "working"
        return f"pid {self.pid} ({self.who}), {doing}, transaction open for {self.seconds:.0f} s"


def forecast(
    connection: Connection, plan: Plan, *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> tuple[Finding, ...]:
    """Look at main's sessions: long transactions, those that idle in one, dumps, vacuums that do not give way, or will.

    Args:
        connection: to main; a read-only one will do.
        plan: what would be applied.
        timeout_ms: how long one query may take, milliseconds.
    """
    if not plan.statements:
        return ()
    tables = sorted({joined(parts_of(name)) for statement in plan.statements for name in statement.lock_on})
    waits_for_all = [n for n, each in enumerate(plan.statements, 1) if not each.transactional]
    try:
        with looking(connection, timeout_ms=timeout_ms):
            oids = [row[0] for row in connection.execute(_TOUCHED, (tables,)).fetchall()]
            ages = connection.execute(_AGES, (oids, NEAR)).fetchall()
            sessions = [
                _Session(
                    pid=pid,
                    who=who,
                    state=state,
                    seconds=seconds,
                    old_snapshot=bool(old),
                    vacuums=bool(vacuums),
                    wraparound=bool(wraparound),
                    holds=tuple(holds),
                )
                for pid, who, state, seconds, old, vacuums, wraparound, holds in connection.execute(
                    _SESSIONS, (oids,)
                ).fetchall()
            ]
            row = connection.execute(_HIDDEN).fetchone()
            hidden = int(row[0]) if row else 0
            prepared = connection.execute(_PREPARED).fetchall()
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
        return (not_looked_at(CHECK, "main", reason(error)),)
    findings = [
        *_in_the_way(sessions, waits_for_all),
        *_vacuums_to_come(ages, sessions),
        *_prepared(prepared),
    ]
    if hidden:
        why = f"{hidden:,} sessions of other roles cannot be seen; grant pg_read_all_stats to see them"
        findings.append(not_looked_at(CHECK, "other sessions", why))
    if findings:
        return tuple(findings)
    return (
        Finding(
            check=CHECK,
            severity=Severity.OK,
            subject="main",
            message=f"no transaction older than {LONG_SECONDS:.0f} s is in the way at this moment",
        ),
    )


def _in_the_way(sessions: Sequence[_Session], waits_for_all: Sequence[int]) -> list[Finding]:
    findings = []
    for session in sessions:
        if session.wraparound and session.holds:
            message = (
                f"{session} on {', '.join(session.holds)}: a vacuum to prevent wraparound does not give way"
            )
            mitigation = "promote when it is done (pg_stat_progress_vacuum tells how far it is)"
        elif session.vacuums or session.seconds < LONG_SECONDS:
            continue  # any other work of autovacuum is ended by PostgreSQL when somebody waits for it
        elif session.holds:
            message = f"{session}, holds {', '.join(session.holds)}: statements on it would wait"
            mitigation = (
                "end it, or promote when it is done; promotion waits in short turns and lets others by"
            )
        elif session.old_snapshot and waits_for_all:
            numbers = ", ".join(map(str, waits_for_all))
            message = f"{session}: CONCURRENTLY (statement {numbers}) waits for every older transaction"
            mitigation = "end it, or promote when it is done; readers and writers go on meanwhile"
        else:
            continue
        findings.append(
            Finding(
                check=CHECK,
                severity=Severity.ATTENTION,
                subject=f"pid {session.pid}",
                message=message,
                mitigation=mitigation,
                evidence={"seconds": round(session.seconds, 1), "holds": list(session.holds)},
            )
        )
    return findings


def _vacuums_to_come(
    ages: Sequence[tuple[str, str, int, int]], sessions: Sequence[_Session]
) -> list[Finding]:
    """Tables so old that a vacuum which does not give way may begin at any time, and has not yet."""
    begun = {name for session in sessions if session.wraparound for name in session.holds}
    return [
        Finding(
            check=CHECK,
            severity=Severity.ATTENTION,
            subject=name,
            message=f"its oldest row is {age:,} {what} old, and at {most:,} PostgreSQL begins a vacuum to prevent "
            "wraparound, which does not give way",
            mitigation=f"VACUUM (FREEZE) {name} at a quiet time, then promote",
            evidence={"age": age, "limit": most, "of": what},
        )
        for name, what, age, most in ages
        if name not in begun
    ]


def _prepared(rows: Sequence[tuple[str, float]]) -> list[Finding]:
    return [
        Finding(
            check=CHECK,
            severity=Severity.ATTENTION,
            subject="prepared transaction",
            message=f"a prepared transaction is open for {seconds:.0f} s and keeps its locks until somebody ends it",
            mitigation="COMMIT PREPARED or ROLLBACK PREPARED it; select gid from pg_prepared_xacts names it",
        )
        for _, seconds in rows
        if seconds >= LONG_SECONDS
    ]
