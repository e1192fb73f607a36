"""Planning without a database: types, order, resuming, answers, hazards."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import DependencyCycle, Refused, UsageError
from orchestrator.migration import part_of, types
from orchestrator.migration.asking import expression, refuse_unfilled
from orchestrator.migration.hazards import CATALOGUE, blocks_promotion, hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.order import grouped, in_order
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.step import Phase, Step, ready
from orchestrator.schema.names import Key
from orchestrator.schema.questions import Choice, Question


def statement(sql: str, **more: object) -> Statement:
    return Statement(sql=sql, why="because", **more)  # type: ignore[arg-type]


def plan(*sql: str) -> Plan:
    return Plan(base="a", goal="b", statements=tuple(statement(each) for each in sql))


@pytest.mark.parametrize(
    ("before", "after", "using", "rewrites", "may_not_fit"),
    [
        ("integer", "bigint", None, True, False),
        ("bigint", "integer", None, True, True),
        ("character varying(10)", "text", None, False, False),
        ("character varying(10)", "character varying(20)", None, False, False),
        ("character varying(20)", "character varying(10)", None, True, True),
        ("character varying", "character varying(10)", None, True, True),
        ("character varying(10)", "character varying", None, False, False),
        ("text", "character varying(10)", None, True, True),
        ("text", "character varying", None, False, False),
        ("numeric(8,2)", "numeric(12,2)", None, False, False),
        ("numeric(8,2)", "numeric(8,4)", None, True, True),
        ("numeric(8,2)", "numeric", None, False, False),
        ("text", "integer", "c::integer", True, True),
        ("integer", "uuid", "c::text::uuid", True, True),
        ("integer", "boolean", "c::boolean", True, True),
        ("public.mood", "public.other", "c::text::public.other", True, True),
        ("integer[]", "bigint[]", None, True, False),
        ("integer", "integer[]", "c::text::integer[]", True, True),
        ("timestamp without time zone", "timestamp with time zone", None, True, False),
        ("timestamp(3) without time zone", "timestamp(6) without time zone", None, False, False),
        ("cidr", "inet", None, False, False),
        ("jsonb", "integer", "c::integer", True, True),
    ],
)
def test_type_changes(before: str, after: str, using: str | None, rewrites: bool, may_not_fit: bool) -> None:
    assert types.using(before, after, "c") == using
    assert types.rewrites(before, after) is rewrites
    assert types.may_not_fit(before, after) is may_not_fit


@pytest.mark.parametrize(
    ("kind", "storage"),
    [("numeric(8,2)", "MAIN"), ("numeric[]", "EXTENDED"), ("text", "EXTENDED"), ("public.mine", "DEFAULT")],
)
def test_own_storage(kind: str, storage: str) -> None:
    assert types.own_storage(kind) == storage


def step(
    name: str,
    phase: Phase = Phase.CREATE,
    *,
    gives: str = "",
    wants: str = "",
    hopes: str = "",
    **more: object,
) -> Step:
    def tokens(text: str) -> frozenset[object]:
        return frozenset(ready(Key("x", (each,))) for each in text.split())

    made = statement(
        name, **{key: more.pop(key) for key in ("transactional", "lock", "lock_on") if key in more}
    )
    return Step(
        statement=made, key=Key("table", ("s", name)), phase=phase,
        gives=tokens(gives), wants=tokens(wants), hopes=tokens(hopes), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def names(steps: list[Step]) -> list[str]:
    return [each.statement.sql for each in steps]


@given(st.permutations(range(6)))
def test_the_order_does_not_depend_on_where_steps_come_from(order: list[int]) -> None:
    steps = [
        step("f", wants="a"), step("a", gives="a", wants="c"), step("c", gives="c"),
        step("d", Phase.DROP), step("b", Phase.BUILD, wants="a"), step("z", hopes="a"),
    ]  # fmt: skip
    assert names(in_order([steps[i] for i in order])) == ["c", "a", "f", "z", "b", "d"]


def test_a_circle_is_spelled() -> None:
    with pytest.raises(DependencyCycle) as refused:
        in_order([step("a", gives="a", wants="b"), step("b", gives="b", wants="a"), step("c", wants="a")])
    assert "table s.a -> table s.b -> table s.a" in refused.value.message


def test_a_hope_never_makes_a_circle() -> None:
    assert names(in_order([step("a", gives="a", hopes="b"), step("b", gives="b", hopes="a")])) == ["a", "b"]


def test_groups_end_where_they_must_and_not_within_a_span() -> None:
    strong = {"lock": LockMode.ACCESS_EXCLUSIVE}
    steps = [
        step("1", lock_on=("t",), **strong), step("2", lock_on=("t",), **strong), step("3", lock_on=("u",), **strong),
        step("4", alone=True), step("5", transactional=False), step("6", commits=True), step("7"),
    ]  # fmt: skip
    assert [each.group for each in grouped(steps, [])] == [0, 0, 1, 2, 3, 4, 5]
    assert [each.group for each in grouped(steps, [(1, 3)])] == [0, 0, 0, 0, 1, 2, 3]


def test_what_is_left_must_be_approved() -> None:
    approved = plan(
        "ALTER TABLE a.t ADD COLUMN x int",
        "CREATE INDEX i ON a.t USING btree (x)",
        'ALTER TABLE a.t ADD CONSTRAINT "f k" FOREIGN KEY (x) REFERENCES a.u(x)',
    )
    assert part_of(plan("ALTER TABLE a.t ADD COLUMN x int"), approved) == ()
    assert part_of(plan("DROP TABLE a.t"), approved) == ("DROP TABLE a.t",)
    assert part_of(plan("CREATE INDEX CONCURRENTLY i ON a.t USING btree (x)"), approved) == ()
    gentler = 'ALTER TABLE a.t ADD CONSTRAINT "f k" FOREIGN KEY (x) REFERENCES a.u(x) NOT VALID'
    assert part_of(plan(gentler, 'ALTER TABLE a.t VALIDATE CONSTRAINT "f k"'), approved) == ()
    assert part_of(plan("ALTER TABLE a.t VALIDATE CONSTRAINT other"), approved) != ()
    repair = Plan(base="", goal="", statements=(statement("DROP INDEX CONCURRENTLY i", repair=True),))
    assert part_of(repair, approved) == ()
    aside = plan("ALTER TYPE a.mood RENAME TO preview_tmp_old_1")
    assert part_of(plan("DROP TYPE a.mood", "CREATE TYPE a.mood AS ENUM ('x')"), aside) == (
        "CREATE TYPE a.mood AS ENUM ('x')",
    )
    assert part_of(plan("DROP TYPE a.mood"), aside) == ("DROP TYPE a.mood",)
    assert part_of(replace(repair, statements=(statement("DROP INDEX CONCURRENTLY i"),)), approved) != ()


@pytest.mark.parametrize(
    "text",
    ["0", "'none'", "now()", "'a;b--c'", "(1 + 2) * 3", "ARRAY['x', 'y']", "\"Other\" || 'x'", "'it''s'"],
)
def test_expressions_that_are_taken(text: str) -> None:
    assert expression("fill:x", text) == f"({text})"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "1; drop table t",
        "1 -- x",
        "1 /* x",
        "'open",
        "(1",
        "1)",
        "1) , (2",
        "1, 2",
        "$$x$$",
        "'a' \\ 'b'",
        '"x',
        "1) not null, add y int default (2",
    ],
)
def test_expressions_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="fill:x"):
        expression("fill:x", text)


def test_only_deleting_data_blocks_a_promotion() -> None:
    assert [code for code in sorted(CATALOGUE) if blocks_promotion(hazard(code, "x", "y"))] == [
        "deletes_data"
    ]
    for kind in CATALOGUE.values():
        assert kind.title
        assert kind.effect.endswith(".")
        assert kind.advice.endswith(".")


def test_a_value_that_nobody_gave_is_refused_with_the_answers_to_give() -> None:
    rename = Question(
        id="rename:column:public.t.full_name", kind="rename", prompt="?",
        choices=(Choice(value="name", label="renamed"), Choice(value="-", label="new")), default="-",
    )  # fmt: skip
    fill = Question(
        id="fill:public.t.full_name", kind="fill", prompt="?", default="-",
        evidence=("public.t.full_name is text NOT NULL without a default", "public.t has 1 row"),
    )  # fmt: skip
    with pytest.raises(Refused, match=r"public\.t\.full_name is text NOT NULL") as refused:
        refuse_unfilled([rename, fill], {})
    assert "--answer fill:public.t.full_name=EXPRESSION" in refused.value.hint
    assert "--answer rename:column:public.t.full_name=name" in refused.value.hint
    assert refused.value.exit_code == 4

    refuse_unfilled([rename, fill], {fill.id: "'x'"})
    refuse_unfilled([rename], {})
