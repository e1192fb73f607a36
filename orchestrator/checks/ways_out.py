"""Ways out of the branch's own server: foreign servers, subscriptions, extensions that call out. Never writes.

A preview's closed network holds its containers. What a statement makes the database server do comes from elsewhere:
from Neon's machine, with the credentials that are stored in the database and came to the branch with it.
"""

from typing import LiteralString

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, not_looked_at
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection

CHECK = "safety"

#: Who may use a mapping is told, never what is in it.
_SERVERS: LiteralString = """
select s.srvname, w.fdwname, coalesce((
    select string_agg(split_part(option, '=', 2), ':' order by option) from unnest(s.srvoptions) option
    where split_part(option, '=', 1) in ('host', 'port')), ''),
    coalesce(string_agg(m.usename, ', ' order by m.usename), '')
from pg_foreign_server s
join pg_foreign_data_wrapper w on w.oid = s.srvfdw
left join pg_user_mappings m on m.srvid = s.oid
where w.fdwname <> 'file_fdw'
group by s.oid, s.srvname, w.fdwname, s.srvoptions
order by s.srvname
"""
_SUBSCRIPTIONS: LiteralString = """
select subname, subenabled from pg_subscription
where subdbid = (select oid from pg_database where datname = current_database()) order by subname
"""
#: By their names: no catalogue says which of them call out.
_EXTENSIONS: LiteralString = """
select e.extname, (
    select coalesce(string_agg(p.oid::regprocedure::text, ', ' order by p.oid::regprocedure::text), '')
    from pg_proc p
    where e.extname = 'dblink' and p.prosrc ~* 'dblink' and p.pronamespace <> 'pg_catalog'::regnamespace
    and not exists (
        select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'))
from pg_extension e
where e.extname in ('dblink', 'http', 'pg_net', 'pg_cron', 'aws_s3', 'aws_lambda', 'plpython3u', 'plperlu', 'plsh')
order by e.extname
"""


def ways_out(connection: Connection, *, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> tuple[Finding, ...]:
    """What of the branch leads elsewhere whatever the network of the preview is."""
    with looking(connection, timeout_ms=timeout_ms):
        servers = connection.execute(_SERVERS).fetchall()
        subscriptions = connection.execute(_SUBSCRIPTIONS).fetchall()
        extensions = connection.execute(_EXTENSIONS).fetchall()
    findings = [_server(*row) for row in servers]
    findings += [_subscription(name) for name, enabled in subscriptions if enabled]
    findings += [_extension(*row) for row in extensions]
    return tuple(findings) or (
        Finding(
            check=CHECK,
            severity=Severity.OK,
            subject="database",
            message="no foreign server, subscription or extension lets the branch's own server call out",
        ),
    )


def _server(name: str, wrapper: str, where: str, users: str) -> Finding:
    to = f" to {where}" if where else ""
    if not users:
        return Finding(
            check=CHECK,
            severity=Severity.OK,
            subject=f"server {name}",
            message=f"a {wrapper} server{to} without a user mapping: nobody's credentials came to the branch",
        )
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION,
        subject=f"server {name}",
        message=f"the branch has production's user mapping for {users}: the app can read and write{to} by {wrapper}, "
        "from the branch's server, which no closed network of a preview holds",
        mitigation="give that role no more on the other server than a preview may do, or keep the app off its tables",
        evidence={"mappings": users.split(", "), "to": where},
    )


def _subscription(name: str) -> Finding:
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION,
        subject=f"subscription {name}",
        message="it is enabled on the branch, too: where the branch's server runs it, it takes changes from the "
        "publisher's slot that production would miss",
        mitigation="see in the publisher's pg_stat_replication that only production is connected",
    )


def _extension(name: str, functions: str) -> Finding:
    if functions:
        return Finding(
            check=CHECK,
            severity=Severity.ATTENTION,
            subject=f"extension {name}",
            message=f"{functions} call out by it, from the branch's server, as on production",
            mitigation="do not let the app call them in a preview, or let them read the address from a table that "
            "safety.scrub changes",
        )
    return not_looked_at(
        CHECK,
        f"extension {name}",
        "it can call out from the branch's server; whether the app does so is not seen",
    )
