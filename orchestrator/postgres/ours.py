"""Whether our own tables in a database are ours: what others made under our names is never run. Only reads.

A view, a trigger, a default or a rule runs with the rights of whoever touches its table, and anybody who may create
a schema in the database may have made ours first. Decision 0061.
"""

from orchestrator.database import Connection
from orchestrator.errors import Refused
from orchestrator.schema.names import OURS, dotted, quote

# Only the catalogue is asked, so nothing of theirs runs. Trusted is who has our rights already, or has them all: our
# own role; a role whose rights we have, for its triggers run with ours wherever we change its tables (a superuser has
# everybody's, which says nothing); the database's owner; superusers.
_LOOK = """
with trusted as (
    select r.oid from pg_catalog.pg_roles r
    where r.rolname = current_user or r.rolsuper or r.rolname = 'pg_database_owner'
       or r.oid = (select d.datdba from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
       or (pg_catalog.pg_has_role(r.oid, 'USAGE')
           and not (select me.rolsuper from pg_catalog.pg_roles me where me.rolname = current_user))
), home as (
    select n.oid, n.nspname, n.nspowner from pg_catalog.pg_namespace n where n.nspname = %(schema)s
), it as (
    select c.oid, c.relname, c.relowner, c.relkind from pg_catalog.pg_class c
    join home on home.oid = c.relnamespace where c.relname = %(name)s
)
select 'table', relowner, relkind::text, null::name, relowner in (select oid from trusted), current_user from it
union all
select 'schema', nspowner, '', null, nspowner in (select oid from trusted), current_user from home
union all
select 'trigger', p.proowner, '', t.tgname, p.proowner in (select oid from trusted), current_user
from pg_catalog.pg_trigger t join it on it.oid = t.tgrelid join pg_catalog.pg_proc p on p.oid = t.tgfoid
where not t.tgisinternal
"""
_BY_NAME = """
select what, pg_catalog.pg_get_userbyid(owner)::text, kind, name::text, trusted, me::text
from ({look}) as found (what, owner, kind, name, trusted, me)
order by trusted, what
"""
_QUERY = _BY_NAME.format(look=_LOOK)


def is_there(connection: Connection, table: str) -> bool:
    """Whether one of our tables is there; to be asked before each use: once it is, only who is trusted changes it.

    Args:
        connection: to the database.
        table: its schema and name, as `keeping.RECORD`.

    Raises:
        Refused: somebody else made it, the schema it is in, or what runs when it is touched.
        psycopg.Error: as the server says.
    """
    schema, name = table.split(".")
    rows = connection.execute(_QUERY.encode(), {"schema": schema, "name": name}).fetchall()
    there = False
    for what, owner, kind, trigger, trusted, me in rows:
        if not trusted:
            raise _not_ours(what, owner, schema, name, trigger, me)
        if what == "table":
            there = True
            if kind != "r":
                raise Refused(
                    f"{table} in the database is no table, and Preview keeps its own record under that name",
                    hint=f"look at it, and rename it or drop it; {owner} owns it",
                )
    return there


def _not_ours(what: str, owner: str, schema: str, name: str, trigger: str | None, me: str) -> Refused:
    """The refusal, with the SQL for both cases."""
    table = dotted(schema, name)
    if trigger is not None:
        return Refused(
            f"the trigger {trigger} on {table} calls a function of the role {owner}, and would run with the rights "
            f"of {me}",
            hint=f"nothing of it was run. As the owner of {table}: DROP TRIGGER {quote(trigger)} ON {table};",
        )
    it = quote(schema) if what == "schema" else table
    away = f"DROP SCHEMA {it} CASCADE" if what == "schema" else f"DROP TABLE {it}"
    return Refused(
        f"the {what} {it} belongs to the role {owner}, which is none that {me} trusts: what is in it would run with "
        f"the rights of {me}",
        hint=f"nothing of it was run. If {owner} is an earlier role of your team, as a superuser or as {owner}: "
        f"ALTER {what.upper()} {it} OWNER TO {quote(me)}; if not, ask who made it, then: {away};",
    )


def uses(text: str) -> bool:
    """Whether SQL names the schema of our own tables."""
    return OURS in text
