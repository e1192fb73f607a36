"""Owners and grants: what makes no difference, what is refused, and what counts how much."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from orchestrator.errors import UnsupportedObject
from orchestrator.migration.planner import NOT_COMPARED, make_plan
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.names import Key
from orchestrator.schema.privileges import Compare, Privileges

ROLES = """
DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY '{one_dev,one_main,one_reader}'::text[] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN EXECUTE format('CREATE ROLE %I LOGIN', r); END IF;
END LOOP; END $$;
"""


def as_role(database: Any, role: str) -> Snapshot:
    with psycopg.connect(database.uri, user=role, autocommit=True) as connection:
        return inspect(connection)


def test_the_role_that_inspects_is_nobodys_name(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    for each, role in ((main, "one_main"), (development, "one_dev")):
        each.run(
            f"{ROLES} GRANT CREATE ON SCHEMA public TO PUBLIC; SET ROLE {role}; CREATE TABLE t (a int);"
            f"GRANT SELECT ON t TO one_reader; REVOKE DELETE ON t FROM {role};"
        )
    base, goal = as_role(main, "one_main"), as_role(development, "one_dev")
    table = Key("table", ("public", "t"))
    assert base.privileges[table] == Privileges(
        granted=(("SELECT", "one_reader", False),), revoked=(("DELETE", ""),)
    )
    assert describe_difference(base, goal, compare=Compare.ALL) == ()
    planned = make_plan(base, goal, compare=Compare.ALL)
    assert planned.plan is not None
    assert planned.plan.statements == ()


def test_explicit_defaults_are_the_defaults(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    things = "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    main.run(things)
    development.run(
        f"{things} GRANT ALL ON t TO CURRENT_USER; GRANT EXECUTE ON FUNCTION f() TO PUBLIC;"
        "GRANT SELECT (a) ON t TO PUBLIC; REVOKE SELECT (a) ON t FROM PUBLIC;"
    )
    goal = development.inspect()
    assert describe_difference(main.inspect(), goal, compare=Compare.ALL) == ()


def test_a_role_that_main_does_not_have_is_named(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    development.run(f"{ROLES} CREATE TABLE t (a int); GRANT SELECT ON t TO one_reader;")
    base = replace(main.inspect(), roles=("postgres",))
    goal = development.inspect()
    with pytest.raises(UnsupportedObject, match=r"role one_reader is not there on main, but table public\.t"):
        make_plan(base, goal, compare=Compare.ADD)
    ignored = make_plan(base, goal).plan
    assert ignored is not None
    assert "GRANT" not in ignored.to_sql()
    assert ignored.notes == (NOT_COMPARED[Compare.IGNORE],)


def test_grants_count_in_a_fingerprint_only_when_asked(database: Callable[..., Any]) -> None:
    main = database()
    main.run(f"{ROLES} CREATE TABLE t (a int);")
    before = main.inspect()
    main.run("GRANT SELECT ON t TO one_reader;")
    after = main.inspect()
    assert before.fingerprint() == after.fingerprint()
    assert before.fingerprint(privileges=True) != after.fingerprint(privileges=True)
    assert describe_difference(after, before) == ()
    assert describe_difference(after, before, compare=Compare.ADD) == ()
    assert describe_difference(after, before, compare=Compare.ALL) == (
        (
            "table public.t: owner and grants are the role that migrates, +SELECT one_reader,"
            " should be the role that migrates"
        ),
    )


def test_hazards_of_giving_and_taking(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    main.run(f"{ROLES} CREATE TABLE t (a int); GRANT SELECT ON t TO one_reader;")
    development.run("CREATE TABLE t (a int); GRANT SELECT ON t TO PUBLIC;")
    plan = make_plan(main.inspect(), development.inspect(), compare=Compare.ALL).plan
    assert plan is not None
    assert [(each.sql, [found.code for found in each.hazards]) for each in plan.statements] == [
        ("REVOKE SELECT ON TABLE public.t FROM one_reader", ["breaks_running_code"]),
        ("GRANT SELECT ON TABLE public.t TO PUBLIC", ["opens_to_everybody"]),
    ]
