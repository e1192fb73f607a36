"""What promotions set aside in a database: its record, listing, and purging. Changes only what is set aside."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import errors, sql

from orchestrator.database import Connection
from orchestrator.errors import DatabaseUnreachable, StatementFailed
from orchestrator.migration.keeping import RECORD, Kept
from orchestrator.migration.plan import Keeps
from orchestrator.postgres.ours import is_there
from orchestrator.schema.names import KEPT_PREFIX

_TABLE = (
    f"create table if not exists {RECORD} (name text primary key, was text[] not null, at timestamptz not null,"
    " until timestamptz not null, promotion text not null, by text not null)"
)
_SETUP = ("create schema if not exists preview_internal", _TABLE)
_WRITE = (
    f"insert into {RECORD} (name, was, at, until, promotion, by) values (%s, %s, now(),"  # noqa: S608 - a constant
    " now() + pg_catalog.make_interval(days => %s), coalesce(current_setting('preview.promotion', true), ''),"
    " current_setting('application_name')) on conflict (name) do update set was = excluded.was, at = excluded.at,"
    " until = excluded.until, promotion = excluded.promotion, by = excluded.by"
)
# Where it is by now: tables by the schema that holds them, columns by their name, whatever their table is called.
# A copy of that table (LIKE, AS TABLE) has a column of this name as well, which is not ours: the table that still has
# its name is the one that was meant, else the oldest.
_LIST = f"""
with there as (
    select n.nspname as name, n.nspname as schema, c.relname as relation,
           pg_catalog.pg_total_relation_size(c.oid) as bytes, c.oid
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname ~ '^{KEPT_PREFIX}'
    union all
    select a.attname, n.nspname, c.relname, 0, c.oid
    from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where a.attname ~ '^{KEPT_PREFIX}' and not a.attisdropped and c.relkind = 'r'
)
select distinct on (k.at, k.name)
       k.name, k.was, t.schema, t.relation, k.at, k.until, k.promotion, k.by, t.bytes::int8, t.oid::int8
from {RECORD} k join there t on t.name = k.name
where %(promotion)s::text is null or k.promotion = %(promotion)s
order by k.at, k.name, k.was[1:2] = array[t.schema, t.relation]::text[] desc, t.oid
"""  # noqa: S608 - constants
#: Everybody who comes after waits behind a purge that waits.
_PURGE_LOCK_MS = 500


def prepare(connection: Connection) -> None:
    """Make the record, where it is not there yet.

    Raises:
        Refused: what is there is not ours.
    """
    if not is_there(connection, RECORD):
        for text in _SETUP:
            connection.execute(text.encode())
        is_there(connection, RECORD)  # somebody may have been quicker


def remember(connection: Connection, keeps: Keeps) -> None:
    """Write down what a statement has set aside, in its own transaction."""
    connection.execute(_WRITE.encode(), (keeps.name, list(keeps.was), keeps.days))


def forget(connection: Connection, name: str) -> None:
    """Strike out what is set aside no more; a database without a record has nothing to strike out."""
    if is_there(connection, RECORD):
        connection.execute(f"delete from {RECORD} where name = %s".encode(), (name,))  # noqa: S608 - a constant


def kept(connection: Connection, promotion: str | None = None) -> tuple[Kept, ...]:
    """What is set aside and still there, oldest first; of one promotion, or of all.

    Raises:
        StatementFailed, DatabaseUnreachable: it could not be read.
        Refused: the record is not ours.
    """
    try:
        if not is_there(connection, RECORD):
            return ()
        rows = connection.execute(_LIST.encode(), {"promotion": promotion}).fetchall()
    except psycopg.Error as error:
        raise _translated(connection, error, "reading what is set aside") from None
    return tuple(_kept(row) for row in rows)


def _kept(row: tuple[Any, ...]) -> Kept:
    name, was, schema, relation, at, until, promotion, by, size, oid = row
    return Kept(
        name=name,
        was=tuple(was),
        table=(schema, relation),
        at=at.astimezone(UTC).isoformat(timespec="seconds"),
        until=until.astimezone(UTC).isoformat(timespec="seconds"),
        promotion=promotion,
        by=by,
        bytes=size,
        oid=oid,
    )


def purge(connection: Connection, now: datetime | None = None) -> tuple[Kept, ...]:
    """Really drop what was set aside long enough, each thing in a transaction of its own; twice is harmless.

    What somebody holds a lock on, or stands on by now, stays until the next time.

    Args:
        connection: as the owner, in autocommit mode.
        now: drop what may go by then; default: the present, as this machine and the server both have it: a clock
            that jumped drops nothing.

    Returns:
        What is gone.

    Raises:
        StatementFailed, DatabaseUnreachable: it could not be read, or the connection was lost.
    """
    at = (now or min(datetime.now(UTC), _server_time(connection))).astimezone(UTC)
    gone = []
    for each in kept(connection):
        if datetime.fromisoformat(each.until) > at:
            continue
        try:
            drop(connection, each)
        except (errors.LockNotAvailable, errors.DeadlockDetected, errors.DependentObjectsStillExist):
            continue
        except psycopg.Error as error:
            raise _translated(connection, error, f"dropping {each.name}, which was set aside") from None
        gone.append(each)
    _strike_out(connection, at)
    return tuple(gone)


def _server_time(connection: Connection) -> datetime:
    try:
        row = connection.execute("select pg_catalog.clock_timestamp()").fetchone()
    except psycopg.Error as error:
        raise _translated(connection, error, "asking the server for the time") from None
    assert row is not None  # noqa: S101 - it has one
    found: datetime = row[0]
    return found


def drop(connection: Connection, each: Kept) -> None:
    """Really drop one thing.

    Raises:
        psycopg.Error: as the server says.
    """
    with connection.transaction():
        connection.execute("select pg_catalog.set_config('lock_timeout', %s, true)", (f"{_PURGE_LOCK_MS}ms",))
        if each.is_column:
            text = sql.SQL("alter table {} drop column if exists {}")
            connection.execute(text.format(sql.Identifier(*each.table), sql.Identifier(each.name)))
        else:
            connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(*each.table)))
            connection.execute(sql.SQL("drop schema if exists {}").format(sql.Identifier(each.name)))
        forget(connection, each.name)


def _strike_out(connection: Connection, at: datetime) -> None:
    """Lines about what somebody else has removed."""
    names: Iterable[str] = {each.name for each in kept(connection)}
    if is_there(connection, RECORD):
        connection.execute(
            f"delete from {RECORD} where until <= %s and name <> all (%s)".encode(), (at, list(names))  # noqa: S608
        )  # fmt: skip


def _translated(
    connection: Connection, error: psycopg.Error, what: str
) -> StatementFailed | DatabaseUnreachable:
    if connection.broken or connection.closed:
        return DatabaseUnreachable(f"the connection was lost while {what}", hint="try again")
    return StatementFailed(
        f"{what} was refused ({error.sqlstate}): {error.diag.message_primary or error}",
        hint="the role must own the schema preview_internal and what is set aside",
    )
