"""Our own tables in a database where somebody else may make schemas: nothing of theirs runs with our rights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from orchestrator.database import Connection
from orchestrator.errors import Refused
from orchestrator.migration.keeping import RECORD
from orchestrator.migration.own import LEDGER, own_step, pending
from orchestrator.migration.plan import Plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.kept import kept, prepare, purge
from orchestrator.postgres.ledger import begun, read_ledger

#: What runs with the rights of whoever comes along says so by this.
TRAP = """
create schema preview_internal;
create function preview_internal.trap() returns boolean language plpgsql as
  $$begin execute 'insert into public.taken values (current_user)'; return true; end$$;
create function preview_internal.fired() returns trigger language plpgsql as
  $$begin perform preview_internal.trap(); return new; end$$;
grant all on schema preview_internal to public;
"""
VIEWS = """
create view preview_internal.kept as select 'a'::text as name, array['public', 'a'] as was, now() as at, now() as until,
  ''::text as promotion, ''::text as by where preview_internal.trap();
create view preview_internal.steps as select 'a'::text as file, 0 as part, ''::text as digest
  where preview_internal.trap();
grant all on all tables in schema preview_internal to public;
"""
TABLES = """
create table preview_internal.kept (name text primary key, was text[], at timestamptz, until timestamptz,
  promotion text, by text, trap boolean default preview_internal.trap());
create table preview_internal.steps (file text, part int, digest text);
create trigger trap before insert on preview_internal.steps for each row execute function preview_internal.fired();
grant all on all tables in schema preview_internal to public;
"""
USES: dict[str, Callable[[Any], object]] = {
    "kept": lambda us: kept(us()),
    "purge": lambda us: purge(us()),
    "prepare": lambda us: prepare(us()),
    "ledger": lambda us: read_ledger(us()),
    "begun": lambda us: begun(us()),
    "apply": lambda us: apply(us, _own()),
}


def _own() -> Plan:
    found = pending([own_step("a.sql", "select 1", when="before")], {})
    return Plan(statements=tuple(each for block in found["before"] for each in block), base="", goal="")


@contextmanager
def roles(database: Any) -> Iterator[tuple[str, str]]:
    """Us and somebody else; both may make schemas in the database."""
    us, other = f"{database.name}_us", f"{database.name}_other"
    database.run(f"""
    create role {us} login; create role {other} login;
    grant create on database {database.name} to {us}, {other};
    create table taken (who text); grant all on taken to public;
    """)
    try:
        yield us, other
    finally:
        with database.connect() as connection:
            for role in (us, other):
                connection.execute(f"drop owned by {role} cascade; drop role {role}".encode())


def as_(database: Any, role: str) -> Callable[[], Connection]:
    def connect() -> Connection:
        connection: Connection = psycopg.connect(database.uri, user=role, autocommit=True)
        return connection

    return connect


def test_what_somebody_made_under_our_names_is_refused_and_never_run(database: Callable[..., Any]) -> None:
    there = database()
    with roles(there) as (us, other):
        connect = as_(there, us)
        for made in (TRAP, TRAP + VIEWS, TRAP + TABLES):
            with as_(there, other)() as squatter:
                squatter.execute(made.encode())
            for name, use in USES.items():
                with pytest.raises(
                    Refused, match=f"schema preview_internal belongs to the role {other}"
                ) as caught:
                    use(connect)
                assert f"ALTER SCHEMA preview_internal OWNER TO {us}" in caught.value.hint, name
            with as_(there, other)() as squatter:
                squatter.execute("drop schema preview_internal cascade")

        # In a schema of ours that lets others in: their table, and their trigger on ours.
        with connect() as ours:
            prepare(ours)
            ours.execute(f"grant all on schema preview_internal to {other}".encode())
            ours.execute(f"grant trigger on {RECORD} to {other}".encode())
        with as_(there, other)() as squatter:
            squatter.execute("create table preview_internal.steps (file text, part int, digest text)")
        with pytest.raises(Refused, match=f"table {LEDGER} belongs to the role {other}"):
            read_ledger(connect())
        with as_(there, other)() as squatter:
            squatter.execute(TRAP.partition(";")[2].partition("grant")[0].encode())
            squatter.execute(
                f"create trigger trap before insert on {RECORD} for each row execute function"
                " preview_internal.fired()".encode()
            )
        with pytest.raises(Refused, match=r"trigger trap on preview_internal\.kept") as caught:
            prepare(connect())
        assert "DROP TRIGGER" in caught.value.hint
        assert there.rows("select * from taken") == []


def test_a_team_that_changed_its_role_goes_on(database: Callable[..., Any]) -> None:
    there = database()
    with roles(there) as (us, other):
        with as_(there, other)() as before:
            apply(as_(there, other), _own())
            prepare(before)
        there.run(f"grant {other} to {us}")  # who has their rights
        with as_(there, us)() as ours:
            assert list(read_ledger(ours)) == [("a.sql", 0)]
            assert kept(ours) == ()
        there.run(f"revoke {other} from {us}")
        there.run(f"alter database {there.name} owner to {other}")  # or the database is theirs
        there.run(f"grant usage on schema preview_internal to {us}; grant select on {LEDGER} to {us}")
        with as_(there, us)() as ours:
            assert list(read_ledger(ours)) == [("a.sql", 0)]
        there.run(f"alter database {there.name} owner to postgres")
        with pytest.raises(Refused, match=f"belongs to the role {other}"):
            read_ledger(there.connect())  # a superuser has everybody's rights, and nobody has its own
