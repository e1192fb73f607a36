"""Renames that the app notices come as late as they can, and the schema is the goal's all the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.migration.changeover import thirds, undone
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.schema.diff import describe_difference

SHOP = Path(__file__).parents[3] / "examples" / "shop"
V1 = (SHOP / "v1" / "schema.sql").read_text()


def test_the_shop_is_renamed_after_all_that_takes_long(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    main.run(V1)
    development.run(V1 + (SHOP / "development.sql").read_text())
    base, goal = main.inspect(), development.inspect()
    plan = make_plan(
        base, goal, answers={"rename:column:public.customers.full_name": "name"}, assume_defaults=True
    ).plan
    assert plan is not None
    before, middle, contract = thirds(plan)
    assert [each.sql for each in middle.statements] == [
        "ALTER TABLE public.customers RENAME COLUMN name TO full_name"
    ]
    assert any("CONCURRENTLY" in each.sql for each in before.statements)
    assert any("VALIDATE" in each.sql for each in before.statements)
    assert "fax" in contract.statements[0].sql
    apply(main.connect, before)
    there = main.inspect()
    apply(main.connect, middle)
    apply(main.connect, undone(middle))
    assert describe_difference(main.inspect(), there) == ()
    apply(main.connect, middle)
    apply(main.connect, contract)
    assert describe_difference(main.inspect(), goal) == ()


BEFORE = """
create table people (id int primary key, a text, b int, c text);
create table other (id int primary key, person int references people);
"""
VIEW = "create view names as select a, b from people;"


@pytest.mark.parametrize(
    ("after", "answers", "late"),
    [
        (  # an index over the new name comes after it
            "alter table people rename a to name; create index i on people (name); create index j on people (b);",
            {"rename:column:public.people.name": "a"}, ["RENAME COLUMN a", "INDEX CONCURRENTLY i"],
        ),
        (  # a table, and what is done to it by its new name
            "alter table people rename to persons; alter table persons add x int; alter table other add y int;",
            {"rename:table:public.persons": "people"}, ["RENAME TO persons", "ADD COLUMN x"],
        ),
        (  # views are made again in the same breath
            VIEW + "drop view names; alter table people rename a to name; create view names as select name as n"
            + " from people",
            {"rename:column:public.people.name": "a"}, [],
        ),
    ],
)  # fmt: skip
def test_what_uses_a_new_name_comes_after_it(
    database: Callable[..., Any], after: str, answers: dict[str, str], late: list[str]
) -> None:
    main, development = database(), database()
    main.run(BEFORE + (VIEW if VIEW in after else ""))
    development.run(BEFORE + after)
    base, goal = main.inspect(), development.inspect()
    plan = make_plan(base, goal, answers=answers, assume_defaults=True).plan
    assert plan is not None
    told = [each.sql for each in plan.statements]
    if late:
        last = told[-len(late) :]
        assert [words for words, sql in zip(late, last, strict=True) if words not in sql] == [], told
    apply(main.connect, plan)
    assert describe_difference(main.inspect(), goal) == ()
    assert make_plan(main.inspect(), goal).plan.statements == ()  # type: ignore[union-attr]
