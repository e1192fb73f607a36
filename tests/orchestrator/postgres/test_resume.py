"""Interrupted at every boundary between two groups, cases with renames and rebuilds end at the goal all the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.migration import part_of
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.schema.diff import describe_difference

CASES = Path(__file__).parents[2] / "cases"


@pytest.mark.parametrize(
    "name",
    [
        "mixed/shop",
        "type/widen",
        "index/create-change-drop",
        "constraint/primary-key-change-under-foreign-key",
        "partition/index-beside-the-traffic",
        "partition/keys",
        "partition/attach",
    ],
)
def test_every_boundary(name: str, database: Callable[..., Any]) -> None:
    folder = CASES / name
    goal_database = database()
    goal_database.run((folder / "after.sql").read_text())
    goal = goal_database.inspect()
    found = folder / "answers.json"
    answers = json.loads(found.read_text()) if found.exists() else {}

    def begin() -> Any:
        main = database()
        main.run((folder / "before.sql").read_text())
        seed = folder / "seed.sql"
        main.run(seed.read_text() if seed.exists() else "")
        return main

    main = begin()
    whole = make_plan(main.inspect(), goal, answers=answers, assume_defaults=True).plan
    assert whole is not None
    boundaries = sorted({each.group for each in whole.statements})
    assert len(boundaries) > 1
    for until in boundaries[1:]:
        main = begin()
        done = tuple(each for each in whole.statements if each.group < until)
        apply(main.connect, replace(whole, statements=done))
        rest = make_plan(main.inspect(), goal, answers=answers, assume_defaults=True).plan
        assert rest is not None
        assert part_of(rest, whole) == (), f"after group {until - 1}"
        apply(main.connect, rest)
        assert describe_difference(main.inspect(), goal) == ()


@pytest.mark.parametrize("name", ["column/rename-with-all-dependants", "table/rename"])
def test_a_rename_and_what_it_rebuilds_are_one_transaction(name: str, database: Callable[..., Any]) -> None:
    folder = CASES / name
    main, goal = database(), database()
    main.run((folder / "before.sql").read_text())
    goal.run((folder / "after.sql").read_text())
    answers = json.loads((folder / "answers.json").read_text())
    plan = make_plan(main.inspect(), goal.inspect(), answers=answers).plan
    assert plan is not None
    assert {each.group for each in plan.statements} == {0}
