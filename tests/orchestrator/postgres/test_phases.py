"""Both phases on real databases: after the first the old statements still work, after the second the goal is there."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.migration import part_of
from orchestrator.migration.keeping import Keeping
from orchestrator.migration.phases import split
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.schema.diff import describe_difference

BEFORE = """
create table customers (id int primary key, name text, fax text, level smallint);
create table orders (id int primary key, customer int, total int);
create view faxes as select id, fax from customers;
create index orders_total on orders (total);
insert into customers values (1, 'a', 'f', 1);
insert into orders values (1, 1, 5);
"""
AFTER = """
create table customers (id int primary key, name text not null, level int, since date default current_date);
create table orders (id int primary key, customer int references customers, total bigint, note text);
create table shipments (id int primary key, orders int references orders);
create index orders_customer on orders (customer);
"""
OLD_APP = (
    "insert into customers (id, name, fax) values ({n}, null, 'x')",
    "insert into orders (id, customer, total) values ({n}, 99, 1)",
    "select id, fax from faxes",
    "select name, fax from customers",
)


@pytest.mark.parametrize("keeping", [Keeping(), Keeping(days=7)])
def test_the_running_app_survives_the_first_phase(database: Callable[..., Any], keeping: Keeping) -> None:
    main, goal = database(), database()
    main.run(BEFORE)
    goal.run(AFTER)
    wanted = goal.inspect()
    whole = make_plan(main.inspect(), wanted, assume_defaults=True, keeping=keeping).plan
    assert whole is not None
    phases = split(whole)
    apply(main.connect, phases.expand)
    assert main.value("select count(*) from shipments") == 0
    assert main.value("select count(*) from pg_class where relname = 'orders_customer'") == 1
    assert (
        main.value("select count(*) from information_schema.columns where column_name in ('since', 'note')")
        == 2
    )
    for text in OLD_APP:
        main.run(text.format(n=7))
    main.run("delete from customers where id = 7; delete from orders where id = 7")

    rest = make_plan(main.inspect(), wanted, assume_defaults=True, keeping=keeping).plan
    assert rest is not None
    assert part_of(rest, whole) == ()
    apply(main.connect, split(rest).expand)  # what shared a transaction with the second phase
    rest = make_plan(main.inspect(), wanted, assume_defaults=True, keeping=keeping).plan
    assert rest is not None
    assert part_of(rest, whole) == ()
    assert split(rest).expand.statements == ()
    apply(main.connect, rest)
    assert describe_difference(main.inspect(), wanted) == ()


def test_a_rename_and_all_that_names_it_is_the_second_phase(database: Callable[..., Any]) -> None:
    main, goal = database(), database()
    main.run("create table a (id int primary key, old text, x int); insert into a values (1, 'x', 2)")
    goal.run(
        "create table a (id int primary key, new text, x int); create index n on a (new); create index y on a (x)"
    )
    answers = {"rename:column:public.a.new": "old"}
    whole = make_plan(main.inspect(), goal.inspect(), answers=answers).plan
    assert whole is not None
    phases = split(whole)
    assert [each.sql for each in phases.expand.statements] == [
        "CREATE INDEX CONCURRENTLY y ON public.a USING btree (x)"
    ]
    apply(main.connect, phases.expand)
    rest = make_plan(main.inspect(), goal.inspect(), answers=answers).plan
    assert rest is not None
    assert part_of(rest, whole) == ()
    apply(main.connect, rest)
    assert describe_difference(main.inspect(), goal.inspect()) == ()
