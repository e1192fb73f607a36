"""Questions on real catalogues: evidence, lineage, answers that are wrong, and probes that find the offenders."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.schema.diff import describe_difference

ID = "rename:column:public.t.full_name"


def test_lineage_is_evidence_and_puts_the_true_name_first(database: Callable[..., Any]) -> None:
    main = database()
    main.run(
        "CREATE TABLE t (id int PRIMARY KEY, fullname text, name text); INSERT INTO t VALUES (1, 'a', 'b')"
    )
    base = main.inspect()
    main.run("ALTER TABLE t DROP COLUMN fullname; ALTER TABLE t RENAME COLUMN name TO full_name")
    goal = main.inspect()
    assert base.origin == goal.origin != ""
    (question,) = make_plan(base, goal).questions
    assert question.id == ID
    assert [choice.value for choice in question.choices] == ["name", "fullname", "-"]
    assert question.default == "-"
    assert [choice.destructive for choice in question.choices] == [False, False, True]
    assert question.evidence[0].startswith("name: both have the same table oid and column number")
    assert any("public.t has" in fact for fact in question.evidence)


def test_oids_of_unrelated_databases_prove_nothing(database: Callable[..., Any]) -> None:
    main, other = database(), database()
    main.run("CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'a')")
    other.run("CREATE TABLE t (id int, full_name text)")
    (question,) = make_plan(main.inspect(), other.inspect()).questions
    assert not any("oid" in fact for fact in question.evidence)


def test_nobody_is_asked_about_tables_without_rows_but_a_given_answer_counts(
    database: Callable[..., Any],
) -> None:
    main, other = database(), database()
    main.run("CREATE TABLE t (id int, name text); CREATE TABLE old_things (a int)")
    other.run("CREATE TABLE t (id int, full_name text); CREATE TABLE things (a int)")
    base, goal = main.inspect(), other.inspect()
    planned = make_plan(base, goal)
    assert planned.questions == ()
    assert planned.plan is not None
    # Rows may come before the promotion: the danger is still named, and stops it until it is allowed.
    assert {hazard.code for hazard in planned.plan.hazards} >= {"deletes_data"}
    answered = make_plan(base, goal, answers={ID: "name", "rename:table:public.things": "old_things"})
    assert answered.plan is not None
    assert not any(hazard.code == "deletes_data" for hazard in answered.plan.hazards)


def test_wrong_answers_are_refused_with_the_choices(database: Callable[..., Any]) -> None:
    main, other = database(), database()
    main.run("CREATE TABLE t (id int, name text)")
    other.run("CREATE TABLE t (id int, full_name text, name_2 text)")
    base, goal = main.inspect(), other.inspect()
    with pytest.raises(UsageError) as refused:
        make_plan(base, goal, answers={ID: "nam"})
    assert ID in refused.value.message
    assert "name, -" in refused.value.message
    assert refused.value.exit_code == 2
    with pytest.raises(UsageError, match=r"both .* are answered with 'name'"):
        make_plan(base, goal, answers={ID: "name", "rename:column:public.t.name_2": "name"})
    planned = make_plan(
        base, goal, answers={ID: "name", "rename:column:public.t.name_2": "add", "fill:x": "1"}
    )
    assert planned.plan is not None
    assert planned.unused_answers == ("fill:x",)
    assert [question.id for question in planned.questions] == [ID, "rename:column:public.t.name_2"]


def test_an_answer_for_one_leaves_the_other_open(database: Callable[..., Any]) -> None:
    main, other = database(), database()
    main.run("CREATE TABLE t (id int, name text); CREATE TABLE u (id int); INSERT INTO u VALUES (1)")
    other.run("CREATE TABLE t (id int, full_name text); CREATE TABLE u (id int, must int NOT NULL)")
    base, goal = main.inspect(), other.inspect()
    planned = make_plan(base, goal, answers={ID: "name"})
    assert planned.plan is None
    assert [question.id for question in planned.questions] == ["fill:public.u.must"]
    assert planned.questions[0].free_text
    with pytest.raises(UsageError, match="no SQL expression"):
        make_plan(base, goal, answers={ID: "name", "fill:public.u.must": "1; DROP TABLE u"})


@pytest.mark.parametrize(
    ("before", "after", "seed", "kind", "count", "samples"),
    [
        ("id int PRIMARY KEY, a int", "id int PRIMARY KEY, a int NOT NULL", "(1,1),(2,NULL)", "null", 1, ["id=2"]),
        ("id int PRIMARY KEY, a int", "id int PRIMARY KEY, a int CHECK (a > 0)", "(1,1),(2,0)", "check", 1, ["id=2"]),
        ("id int PRIMARY KEY, a int", "id int PRIMARY KEY, a int UNIQUE", "(1,7),(2,7)", "unique", 1,
          ["id=1 and id=2"]),
        ("id int PRIMARY KEY, a text", "id int PRIMARY KEY, a int", "(1,'x'),(2,'7')", "cast", 1, ["id=1"]),
        ("id int PRIMARY KEY, a numeric", "id int PRIMARY KEY, a int", "(1,1.5),(2,7)", "cast", 1, ["id=1"]),
        ("id int, a int", "id int, a int REFERENCES p", "(1,1),(2,9)", "foreign_key", 1, ["ctid=(0,2)"]),
        ("id int, a text, b int", "id int, b int", "(1,'x',1),(2,NULL,1)", "rows_at_stake", 1, [""]),
    ],
)  # fmt: skip
def test_probes_count_and_name_the_offenders(
    database: Callable[..., Any],
    before: str,
    after: str,
    seed: str,
    kind: str,
    count: int,
    samples: list[str],
) -> None:
    main, other = database(), database()
    common = "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1); CREATE TABLE t"
    main.run(f"{common} ({before}); INSERT INTO t VALUES {seed}")
    other.run(f"{common} ({after})")
    plan = make_plan(main.inspect(), other.inspect(), assume_defaults=True).plan
    assert plan is not None
    (probe,) = {probe for statement in plan.statements for probe in statement.probes if probe.kind == kind}
    assert main.value(probe.count_sql) == count
    if probe.sample_sql:
        assert [row[0] for row in main.rows(probe.sample_sql)] == samples
    assert "{count}" in probe.problem


def test_probes_speak_the_names_from_before_the_rename(database: Callable[..., Any]) -> None:
    main, other = database(), database()
    main.run(
        "CREATE TABLE old (key int PRIMARY KEY, a text, x int, y int, z int);"
        " INSERT INTO old VALUES (1, NULL), (2, 'x')"
    )
    other.run("CREATE TABLE new (id int PRIMARY KEY, b text NOT NULL CHECK (b <> 'x'), x int, y int, z int)")
    answers = {
        "rename:table:public.new": "old",
        "rename:column:public.new.id": "key",
        "rename:column:public.new.b": "a",
    }
    base, goal = main.inspect(), other.inspect()
    first = make_plan(base, goal, answers=answers)
    assert first.plan is not None
    assert first.unused_answers == ()
    probes = [probe for statement in first.plan.statements for probe in statement.probes]
    found = {
        probe.kind: [row[0] for row in main.rows(probe.sample_sql)] for probe in probes if probe.sample_sql
    }
    assert found == {"null": ["key=1"], "check": ["key=2"]}


def test_owner_and_grants_survive_a_rebuild(database: Callable[..., Any]) -> None:
    main, other = database(), database()
    main.run(
        "CREATE ROLE gen_owner; CREATE ROLE \"gen Reader\"; CREATE TABLE t (id int, n varchar(5));"
        " CREATE VIEW v AS SELECT id, n FROM t; ALTER VIEW v OWNER TO gen_owner; GRANT SELECT ON v TO \"gen Reader\";"
        " CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f FROM PUBLIC;"
        " GRANT EXECUTE ON FUNCTION f TO \"gen Reader\""
    )  # fmt: skip
    other.run(
        "CREATE TABLE t (id int, n text); CREATE VIEW v AS SELECT id, n FROM t;"
        " CREATE FUNCTION f(b int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    try:
        goal = other.inspect()
        plan = make_plan(main.inspect(), goal, assume_defaults=True).plan
        assert plan is not None
        before = main.rows("select relowner::regrole::text, relacl::text from pg_class where relname = 'v'")
        functions = main.value("select proacl::text from pg_proc where proname = 'f'")
        apply(main.connect, plan)
        assert describe_difference(main.inspect(), goal) == ()
        assert (
            main.rows("select relowner::regrole::text, relacl::text from pg_class where relname = 'v'")
            == before
        )
        assert main.value("select proacl::text from pg_proc where proname = 'f'") == functions
    finally:
        main.run('DROP OWNED BY gen_owner, "gen Reader"; DROP ROLE gen_owner, "gen Reader"')
