"""The second look through a real pg_dump, and a database that was restored from a dump."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.migration.planner import make_plan
from orchestrator.postgres import dump
from orchestrator.postgres.apply import apply
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.dumped import unlike
from tests.orchestrator.postgres.conftest import BIN

LISTS = (Path(__file__).parent / "lists.sql").read_text()


def restored(source: Any, target: Any) -> None:
    """Make the target what a dump of the source says."""
    text = subprocess.run(
        [BIN / "pg_dump", "--schema-only", "-d", source.uri], capture_output=True, text=True, check=True
    ).stdout
    subprocess.run(
        [BIN / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", target.uri], input=text, text=True, check=True,
        capture_output=True,
    )  # fmt: skip


def test_a_development_database_that_was_restored_from_a_dump_is_no_change(
    database: Callable[..., Any],
) -> None:
    production, development = database(), database()
    production.run(LISTS)
    restored(production, development)
    base, goal = production.inspect(), development.inspect()
    assert describe_difference(base, goal) == ()
    assert base.fingerprint() == goal.fingerprint()
    assert unlike(production.dump(), development.dump()) == ()
    raw = "select pg_get_constraintdef(oid) from pg_constraint where conname = 'o_status_check'"
    assert production.value(raw) != development.value(raw)  # it would be one


def test_the_plan_is_the_same_text_after_a_restore_of_both_sides(database: Callable[..., Any]) -> None:
    """Other oids, no statistics, another order of everything in the catalogue."""
    folder = Path(__file__).parents[2] / "cases" / "column" / "rename-with-all-dependants"
    main, development, other_main, other_development = (database() for _ in range(4))
    main.run((folder / "before.sql").read_text())
    main.run(f"create schema lists; set search_path = lists; {LISTS.replace('public.', '')}")
    development.run((folder / "after.sql").read_text())
    for source, target in ((main, other_main), (development, other_development)):
        target.run("create table public.filler (id serial); drop table public.filler")
        restored(source, target)
    first = make_plan(main.inspect(), development.inspect(), assume_defaults=True).plan
    second = make_plan(other_main.inspect(), other_development.inspect(), assume_defaults=True).plan
    assert first is not None
    assert second is not None
    assert first.to_sql() == second.to_sql()
    assert first.digest == second.digest


def test_a_public_schema_that_was_dropped_and_made_again_is_reached(database: Callable[..., Any]) -> None:
    """How many people reset a development database; production has the one of initdb."""
    main, development = database(), database()
    development.run("drop schema public cascade; create schema public; create table public.t (id int)")
    planned = make_plan(main.inspect(), development.inspect(), assume_defaults=True).plan
    assert planned is not None
    apply(main.connect, planned)
    assert describe_difference(main.inspect(), development.inspect()) == ()
    assert unlike(main.dump(), development.dump()) == ()


def test_pg_dump_sees_what_a_blind_inspect_would_miss(database: Callable[..., Any]) -> None:
    one, other = database(), database()
    one.run("create table a (id int)")
    other.run("create table a (id int, constraint b check (id > 0))")
    [found] = unlike(one.dump(), other.dump())
    assert found.entry == "TABLE public.a"
    assert "CHECK" in found.want


def test_without_a_pg_dump_that_is_new_enough_it_says_so(
    database: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "_installed", lambda: ((15, Path("/nowhere/pg_dump")),))
    with database().connect() as connection:
        seen = dump.see(connection)
    assert seen.entries == {}
    assert seen.reason == "there is no pg_dump for PostgreSQL 16 (found: 15)"


def test_what_the_role_may_not_see_is_a_reason(database: Callable[..., Any]) -> None:
    home = database()
    home.run("create table secret (id int); create role nosy login; revoke all on schema public from public")
    try:
        with psycopg.connect(home.uri.replace("user=postgres", "user=nosy"), autocommit=True) as connection:
            seen = dump.see(connection)
        assert "permission denied" in seen.reason
    finally:
        home.run("drop owned by nosy; drop role nosy")


def test_the_password_is_no_argument(
    database: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pg_dump that writes down what it was given."""
    program = tmp_path / "pg_dump"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "$PGPASSWORD" > {tmp_path}/password\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(dump, "_installed", lambda: ((99, program),))
    monkeypatch.setitem(os.environ, "PGHOST", "elsewhere")
    home = database()
    with psycopg.connect(home.uri, password="s3cret o'clock", autocommit=True) as connection:
        assert dump.see(connection).reason == ""
    assert (tmp_path / "password").read_text() == "s3cret o'clock\n"
    arguments = (tmp_path / "arguments").read_text()
    assert "s3cret" not in arguments
    assert f"dbname='{home.name}'" in arguments
