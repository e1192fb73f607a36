"""The way back on real databases: renames are taken back, columns get values, losses are said and counted."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orchestrator.migration.planner import make_plan
from orchestrator.migration.reverse import reverse_plan
from orchestrator.postgres.apply import apply
from orchestrator.schema.diff import describe_difference
from orchestrator.steps.way_back import counted

BEFORE = """
create type mood as enum ('sad', 'ok');
create table customers (id int primary key, name text not null, fax text not null, m mood not null default 'sad',
                        feeling mood not null, price numeric(8,3), tags text[] not null);
create table old_things (id int primary key, what text);
create table gone (id int);
insert into customers values (1, 'Ada', '1', 'ok', 'ok', 1.234, '{a}'), (2, 'Bob', '2', 'sad', 'sad', 2, '{}');
insert into old_things values (1, 'x');
insert into gone select generate_series(1, 7);
"""
AFTER = """
create type mood as enum ('unhappy', 'ok');
create table customers (id int primary key, full_name text not null, m mood not null default 'unhappy',
                        price numeric(8,1), since date);
create table things (id int primary key, what text);
"""
ANSWERS = {
    "rename:column:public.customers.full_name": "name",
    "rename:table:public.things": "old_things",
    "rename:label:public.mood.unhappy": "sad",
}


def test_there_and_back_again(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    main.run(BEFORE)
    development.run(AFTER)
    base, goal = main.inspect(), development.inspect()
    before = main.dump()
    planned = make_plan(base, goal, answers=ANSWERS, assume_defaults=True)
    assert planned.plan is not None

    beforehand = reverse_plan(base, goal, planned)
    with main.connect() as connection:
        losses = {(each.kind, each.on): each for each in counted(connection, beforehand).losses}
    assert losses["before", "public.customers.fax"].count == 2
    assert losses["before", "public.gone"].count == 7
    assert losses["before", "public.customers.price"].count == 1
    assert losses["value", "public.customers.fax"].detail == "comes back with '' in every row"
    assert losses["value", "public.customers.tags"].detail == "comes back with '{}'::text[] in every row"
    assert (
        losses["value", "public.customers.feeling"].detail
        == "comes back with 'sad'::public.mood in every row"
    )
    assert ("later", "public.customers.since") in losses

    apply(main.connect, planned.plan)
    main.run("insert into customers values (3, 'Eve', 'unhappy', 9.9, '2026-01-01')")
    back = reverse_plan(base, main.inspect(), planned)
    assert back.plan is not None
    assert beforehand.plan is not None
    assert [each.sql for each in back.plan.statements] == [each.sql for each in beforehand.plan.statements]
    apply(main.connect, back.plan)

    assert describe_difference(main.inspect(), base) == ()
    assert main.dump() == before
    assert main.rows("select id, name, fax, m::text from customers order by id") == [
        (1, "Ada", "", "ok"), (2, "Bob", "", "sad"), (3, "Eve", "", "sad"),
    ]  # fmt: skip
    assert main.rows("select id, what from old_things") == [(1, "x")]
    assert main.rows("select count(*) from gone") == [(0,)]


def test_what_cannot_be_counted_says_so(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    main.run("create table a (id int, b bigint); insert into a values (1, 5000000000)")
    development.run("create table a (id int, b int)")
    planned = make_plan(main.inspect(), development.inspect(), assume_defaults=True)
    with main.connect() as connection:
        [loss] = counted(connection, reverse_plan(main.inspect(), development.inspect(), planned)).losses
    assert loss.count is None
    assert "not counted" in loss.detail
    assert "5000000000" not in loss.detail


def test_text_that_is_no_such_value_is_counted_with_what_does_not_come_back(
    database: Callable[..., Any],
) -> None:
    main, development = database(), database()
    main.run("create table a (id int, b text)")
    main.run("insert into a values (1, 'x'), (2, '2026-01-01'), (3, '2026-1-1'), (4, null)")
    development.run("create table a (id int, b date)")
    planned = make_plan(main.inspect(), development.inspect(), assume_defaults=True)
    with main.connect() as connection:
        [loss] = counted(connection, reverse_plan(main.inspect(), development.inspect(), planned)).losses
    assert (loss.count, loss.detail) == (2, "values of public.a.b that do not survive text to date and back")


def test_no_way_back_is_named(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    main.run("create table a (id int); create unlogged table b (id int); insert into a values (1), (1);")
    with pytest.raises(psycopg.errors.UniqueViolation):
        main.run("create unique index concurrently i on a (id)")
    development.run("create table a (id int); create unlogged table b (id int)")
    planned = make_plan(main.inspect(), development.inspect(), assume_defaults=True)
    back = reverse_plan(main.inspect(), development.inspect(), planned)
    assert back.plan is None
    assert "index public.i is INVALID" in back.refused
    assert back.to_json()["plan"] is None
