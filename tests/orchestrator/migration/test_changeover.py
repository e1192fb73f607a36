"""A plan in three parts, and what takes the middle one back."""

from dataclasses import replace

import pytest

from orchestrator.migration.changeover import as_today, thirds, undone
from orchestrator.migration.hazards import hazard
from orchestrator.migration.plan import Plan, Statement

NOTICED = (hazard("breaks_running_code", "public.t.a", "x"),)


def statement(sql: str, *, group: int = 0, noticed: bool = False, contract: bool = False) -> Statement:
    return Statement(
        sql=sql,
        why=sql,
        group=group,
        hazards=NOTICED if noticed else (),
        contract=contract,
        lock_timeout_ms=1,
    )


def parts(*statements: Statement) -> list[list[str]]:
    return [
        [each.sql for each in part.statements]
        for part in thirds(Plan(base="a", goal="b", statements=statements))
    ]


RENAME = "ALTER TABLE public.t RENAME COLUMN a TO b"


def test_renames_are_the_middle() -> None:
    assert parts(
        statement("CREATE INDEX i ON public.t (c)"),
        statement(RENAME, group=1, noticed=True),
        statement("ALTER TABLE public.t RENAME CONSTRAINT x TO y", group=2),
        statement("DROP TABLE public.u", group=3, contract=True),
    ) == [
        ["CREATE INDEX i ON public.t (c)"],
        [RENAME, "ALTER TABLE public.t RENAME CONSTRAINT x TO y"],
        ["DROP TABLE public.u"],
    ]


@pytest.mark.parametrize(
    "more", ["UPDATE public.t SET b = 1", "CREATE INDEX i ON public.t (b)", "DROP VIEW public.v"]
)
def test_what_takes_long_or_cannot_be_taken_back_lets_nobody_wait(more: str) -> None:
    assert parts(statement(RENAME, noticed=True), statement(more, group=1)) == [[RENAME, more], [], []]


def test_what_is_noticed_only_by_what_takes_away_is_no_middle() -> None:
    assert parts(statement("DROP TABLE public.t", noticed=True, contract=True)) == [
        [],
        [],
        ["DROP TABLE public.t"],
    ]


def test_the_middle_is_one_transaction() -> None:
    _, middle, _ = thirds(
        Plan(
            base="a",
            goal="b",
            statements=(statement(RENAME, group=4, noticed=True), statement(RENAME, group=5, noticed=True)),
        )
    )
    assert {each.group for each in middle.statements} == {0}


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (RENAME, "ALTER TABLE public.t RENAME COLUMN b TO a"),
        (
            'ALTER TABLE s."T 1" RENAME COLUMN "a""b" TO "TO"',
            'ALTER TABLE s."T 1" RENAME COLUMN "TO" TO "a""b"',
        ),
        ("ALTER TABLE public.t RENAME TO u", "ALTER TABLE public.u RENAME TO t"),
        ("ALTER TYPE public.t RENAME TO u", "ALTER TYPE public.u RENAME TO t"),
        ("ALTER INDEX public.i RENAME TO j", "ALTER INDEX public.j RENAME TO i"),
        (
            "ALTER TYPE public.m RENAME VALUE 'it''s' TO 'b'",
            "ALTER TYPE public.m RENAME VALUE 'b' TO 'it''s'",
        ),
        ("ALTER TABLE public.t SET SCHEMA more", "ALTER TABLE more.t SET SCHEMA public"),
        ("ALTER TABLE public.t RENAME CONSTRAINT x TO y", "ALTER TABLE public.t RENAME CONSTRAINT y TO x"),
    ],
)
def test_each_rename_is_taken_back(there: str, back: str) -> None:
    plan = Plan(base="a", goal="b", statements=(statement("first"), statement(there)))
    assert undone(plan).statements[0].sql == back
    assert undone(Plan(base="a", goal="b", statements=(statement(back),))).statements[0].sql == there


def test_tables_to_be_locked_are_called_as_they_are_called_before() -> None:
    texts = (
        "ALTER TABLE public.a RENAME TO aside",
        "ALTER TABLE public.b RENAME TO a",
        "ALTER TABLE public.aside RENAME TO b",
        "ALTER TABLE public.b RENAME COLUMN x TO y",
        'ALTER TABLE public."C d" SET SCHEMA s',
        'ALTER TABLE s."C d" RENAME TO e',
        "ALTER TABLE public.f RENAME CONSTRAINT g TO h",
    )
    on = (
        ("public.b",),
        ("public.a",),
        ("public.b",),
        ("public.b",),
        ("s.e",),
        ("s.e",),
        ("public.f", "public.p"),
    )
    plan = Plan(
        base="a",
        goal="b",
        statements=tuple(
            replace(statement(sql), lock_on=names) for sql, names in zip(texts, on, strict=True)
        ),
    )
    today = as_today(plan)
    assert [each.sql for each in today.statements] == [*texts]
    assert [each.lock_on for each in today.statements] == [
        *(("public.a",), ("public.b",), ("public.a",), ("public.a",)),
        *(('public."C d"',), ('public."C d"',), ("public.f", "public.p")),
    ]
