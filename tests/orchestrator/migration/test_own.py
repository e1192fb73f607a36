"""A person's own steps and the rows of migration tools: split, placed, run once. Pure."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SettingsError, UsageError
from orchestrator.migration.books import Book, differences, statements
from orchestrator.migration.compose import compose
from orchestrator.migration.own import own_step, pending
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.split import split
from orchestrator.settings import load
from orchestrator.steps.own import OwnSteps

SETTINGS = """
[project]
name = "shop"
database = "shop"
[goal]
branch = "development"
[[migration.steps]]
file = "a fill's.sql"
"""


@pytest.mark.parametrize(
    "text",
    [
        "select ';' ",
        "select E'\\';'",
        'select ";"',
        "select $$;$$",
        "select $a$;$$;$a$",
        "select (1 /* ; /* ; */ ; */ ) -- ;",
        "create function f() returns int language sql begin atomic select 1; select case when true then 1 end; end",
        "create rule r as on insert to t do also (select 1; select 2)",
        "select 'never ended ;",
    ],
)
def test_what_holds_a_semicolon_is_one_statement(text: str) -> None:
    assert [piece.sql for piece in split(f"-- first\n;;{text}")] == [text.strip()]


def test_statements_know_their_lines() -> None:
    pieces = split("\n-- a; b\nselect 1;\n\n  update x\nset y = 1 ; -- end\n")

    assert [(piece.line, piece.words[0]) for piece in pieces] == [(3, "SELECT"), (5, "UPDATE")]


@given(st.lists(st.sampled_from(["select 1", "update x set y = ';'", "do $x$ begin; end $x$"]), max_size=5))
def test_splitting_what_was_joined_gives_it_back(parts: list[str]) -> None:
    assert [piece.sql for piece in split(";\n".join(parts))] == parts


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (None, SettingsError, "cannot be read: No such file"),
        (b"-- nothing\n", UsageError, "holds no statement"),
        (b"\xff\xfe", SettingsError, "is not UTF-8"),
        (
            b"begin; select 1; commit;",
            UsageError,
            "line 1: BEGIN: transactions are begun and ended by preview",
        ),
        (b"copy x from stdin;", UsageError, "COPY FROM STDIN"),
        (b"\\i other.sql", UsageError, "is a command of psql"),
    ],
)
def test_a_file_that_cannot_run_is_named(
    tmp_path: Path, content: bytes | None, error: type[Exception], said: str
) -> None:
    (tmp_path / "preview.toml").write_text(SETTINGS)
    if content is not None:
        (tmp_path / "a fill's.sql").write_bytes(content)

    with pytest.raises(error, match=r"a fill's\.sql") as caught:
        OwnSteps(load(tmp_path / "preview.toml")).read()
    assert said in str(caught.value)


def plan(*each: Statement) -> Plan:
    return Plan(base="", goal="", statements=each)


ADD = Statement(sql="ADD", why="", group=0)
DROP = Statement(sql="DROP", why="", group=0, contract=True)
CONCURRENT = Statement(sql="CONCURRENTLY", why="", group=1, transactional=False)


def test_each_step_has_its_place_and_its_transactions() -> None:
    steps = [
        own_step("a.sql", "update a set b = 1; update a set c = 1", when="before"),
        own_step("b.sql", "delete from b", when="before_contract", batch=True),
        own_step("c.sql", "vacuum; vacuum a", when="after", transaction=False),
    ]
    made = compose(plan(ADD, DROP), own=pending(steps, {}), rows=(Statement(sql="ROWS", why=""),)).statements

    assert [(each.sql.split(" ")[0], each.group) for each in made] == [
        *[("CREATE", 0), ("CREATE", 0), ("update", 1), ("update", 1), ("INSERT", 1), ("ADD", 2)],
        *[("delete", 3), ("INSERT", 4), ("DROP", 5), ("ROWS", 5)],
        *[("vacuum", 6), ("INSERT", 7), ("vacuum", 8), ("INSERT", 9)],
    ]
    assert [each.sql for each in compose(plan(ADD, DROP)).statements] == ["ADD", "DROP"]
    assert len({each.group for each in compose(plan(ADD, DROP)).statements}) == 1
    alone = compose(plan(ADD, CONCURRENT), rows=(Statement(sql="ROWS", why=""),)).statements
    assert [each.group for each in alone] == [0, 1, 2]


def test_what_ran_does_not_run_again_and_may_not_change() -> None:
    step = own_step("c.sql", "vacuum; vacuum a", when="after", transaction=False)
    ledger = {("c.sql", 1): step.digest}

    left = [each.sql for block in pending([step], ledger)["after"] for each in block]
    assert left[0] == "vacuum a"
    assert not any(pending([step], {**ledger, ("c.sql", 2): step.digest}).values())
    with pytest.raises(UsageError, match="ran already and has changed"):
        pending([own_step("c.sql", "vacuum b; vacuum c", when="after", transaction=False)], ledger)


def book(*rows: tuple[str | None, ...], at: int = 1) -> dict[str, Book]:
    made = Book(
        schema="public",
        name="django_migrations",
        columns=("id", "name"),
        key=("id",),
        rows=rows,
        counters=(("public.django_migrations_id_seq", at, True),),
    )
    return {made.table: made}


def test_rows_are_carried_by_their_key_and_numbers_never_go_back() -> None:
    found, wanted = book(("1", "a"), ("2", "it's")), book(("1", "b"), ("3", None), at=3)

    assert [each.sql for each in statements(found, wanted)] == [
        "DELETE FROM public.django_migrations WHERE (id = '2')",
        "UPDATE public.django_migrations SET name = 'b' WHERE (id = '1')",
        "INSERT INTO public.django_migrations (id, name) OVERRIDING SYSTEM VALUE VALUES\n  ('3', NULL)",
        "SELECT pg_catalog.setval('public.django_migrations_id_seq', 3, true)",
    ]
    assert differences(found, wanted) == ("rows of public.django_migrations differ",)
    assert differences(wanted, wanted) == ()
    assert statements(wanted, wanted) == ()
    assert statements(book(at=5), book(at=3)) == ()
