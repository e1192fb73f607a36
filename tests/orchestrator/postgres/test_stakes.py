"""Questions that are put only when rows are in the way: what is asked, with which rows, and what each answer does."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import blocking
from orchestrator.checks.stakes import open_questions
from orchestrator.errors import UsageError
from orchestrator.migration.online import Online
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.schema.diff import describe_difference

KEYED = "CREATE TABLE t (id int PRIMARY KEY, v {});"
PARENT = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v int{});"
MOOD = "CREATE TYPE mood AS ENUM ({});" + KEYED.format("mood")

CASES = {
    "null": (
        KEYED.format("text"), KEYED.format("text NOT NULL"), "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, NULL)",
        "fill:public.t.v", "2 rows of public.t have no v: for example id=2, id=3",
        {"''": ["a", "", ""], "'n' || id": ["a", "n2", "n3"]},
    ),
    "too long": (
        KEYED.format("text"), KEYED.format("varchar(3)"), "INSERT INTO t VALUES (1, 'abc'), (2, 'abcdef')",
        "narrow:public.t.v", "1 rows of public.t have a value in v that is no character varying(3): for example id=2",
        {"truncate": ["abc", "abc"], "null": ["abc", None], "left(v, 1)": ["abc", "a"]},
    ),
    "no number": (
        KEYED.format("text"), KEYED.format("int"), "INSERT INTO t VALUES (1, '12'), (2, 'twelve')",
        "narrow:public.t.v", "1 rows of public.t have a value in v that is no integer: for example id=2",
        {"null": [12, None], "-1": [12, -1], "length(v)": [12, 6]},
    ),
    "lost label": (
        MOOD.format("'ok', 'sad', 'mad'"), MOOD.format("'ok', 'mad'"), "INSERT INTO t VALUES (1, 'ok'), (2, 'sad')",
        "label:public.mood.sad",
        "1 rows of public.t have the label 'sad' in v, which public.mood loses: for example id=2",
        {"ok": ["ok", "ok"], "mad": ["ok", "mad"]},
    ),
    "orphans": (
        PARENT.format(""), PARENT.format(" REFERENCES p"),
        "INSERT INTO p VALUES (7); INSERT INTO t VALUES (1, 7), (2, 8)",
        "orphans:public.t.t_v_fkey", "1 rows of public.t point at no row of public.p: for example id=2",
        {"null": [7, None], "delete": [7]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "online"),
    [*((name, "never") for name in CASES), ("no number", "always"), ("too long", "always")],
)
def test_asked_with_rows_and_done_as_answered(database: Callable[..., Any], name: str, online: Any) -> None:
    before, after, seed, asked, evidence, outcomes = CASES[name]
    development = database()
    development.run(after)
    goal = development.inspect()
    policy = Online(mode=online)
    for answer, rows in outcomes.items():
        main = database()
        main.run(before)
        main.run(seed)
        base = main.inspect()
        planned = make_plan(base, goal, policy=policy)
        with main.connect() as connection:
            (question,) = open_questions(connection, planned.at_stake, {})
            assert question.id == asked
            assert evidence in question.evidence
            assert question.default == "-"
            assert open_questions(connection, planned.at_stake, {asked: "-"}) == ()
            assert planned.plan is not None
            assert blocking(preflight(connection, planned.plan))
        told = make_plan(base, goal, answers={asked: answer}, policy=policy)
        assert told.plan is not None
        assert told.unused_answers == ()
        assert told.plan == make_plan(base, goal, answers={asked: answer}, policy=policy).plan
        with main.connect() as connection:
            assert not blocking(preflight(connection, told.plan))
        apply(main.connect, told.plan)
        assert describe_difference(main.inspect(), goal) == ()
        assert [row[0] for row in main.rows("SELECT v FROM t ORDER BY id")] == rows
        loses = any(each.code == "deletes_data" for each in told.plan.hazards)
        assert loses == (asked.split(":")[0] in {"narrow", "orphans", "label"})


def test_nobody_is_asked_where_no_row_is_in_the_way(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    main.run(KEYED.format("text") + "INSERT INTO t VALUES (1, '1')")
    development.run(KEYED.format("int NOT NULL"))
    planned = make_plan(main.inspect(), development.inspect())
    assert {each.question.id for each in planned.at_stake} == {"fill:public.t.v", "narrow:public.t.v"}
    with main.connect() as connection:
        assert open_questions(connection, planned.at_stake, {}) == ()


def test_an_answer_that_is_no_expression_is_refused(database: Callable[..., Any]) -> None:
    main, development = database(), database()
    main.run(KEYED.format("text") + "INSERT INTO t VALUES (1, '1')")
    development.run(KEYED.format("int"))
    with pytest.raises(UsageError, match=r"narrow:public\.t\.v is no SQL expression"):
        make_plan(main.inspect(), development.inspect(), answers={"narrow:public.t.v": "0; DROP TABLE t"})
