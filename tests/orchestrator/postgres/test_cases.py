"""Every folder of tests/cases: plan, apply, look again with our own eyes and with pg_dump's."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import OrchestratorError, UnsupportedObject
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import make_plan
from orchestrator.migration.reverse import reverse_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.pair import inspect_pair
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference, diff
from orchestrator.schema.privileges import Compare

CASES = Path(__file__).parents[2] / "cases"
FOLDERS = sorted(found.parent for found in CASES.glob("*/*/after.sql"))


def read(folder: Path, name: str) -> str:
    found = folder / name
    return found.read_text(encoding="utf-8") if found.exists() else ""


def load(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(folder, name) or "{}")
    return found


def closely(main: Any, development: Any) -> tuple[Snapshot, Snapshot]:
    """Both read as a pair, however few the equal relations are that this leaves out."""
    with main.connect() as base, development.connect() as goal:
        return inspect_pair(base, goal, fewest=0, most=1)


def test_cases_that_run_on_18_with_every_change_exist() -> None:
    assert {name(folder) for folder in FOLDERS} >= SOON


def test_there_are_cases() -> None:
    assert len(FOLDERS) >= 60


def name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def lowest(folder: Path) -> int:
    """The major version that a case needs: the number in its file ``min_version``."""
    return int(read(folder, "min_version") or 16)


#: Run on PostgreSQL 18 with every change, beside those that need it: where catalogues differ. The others are proved.
SOON = frozenset(
    """
    column/generated column/not-null-safe constraint/primary-key-add constraint/foreign-key-stays-not-valid
    domain/rules-in-place extension/members foreign/in-place identity/options inherit/create mixed/shop
    names/63-bytes owner/every-kind partition/create-everything partition/keys-changed privileges/rebuilt-keeps
    publication/in-place table/create-everything type/rename-with-all-dependants
    """.split()  # noqa: SIM905 - a list of quoted words is not easier to read
)
LATER = [
    pytest.param(
        folder,
        id=name(folder),
        marks=[] if name(folder) in SOON or lowest(folder) > 16 else [pytest.mark.prove],
    )
    for folder in FOLDERS
]


@pytest.mark.parametrize("folder", [each for each in FOLDERS if lowest(each) <= 16], ids=name)
def test_case(folder: Path, database: Callable[..., Any]) -> None:
    lead_there_and_back(folder, database)


@pytest.mark.parametrize("folder", LATER)
def test_case_on_18(folder: Path, database_18: Callable[..., Any]) -> None:
    lead_there_and_back(folder, database_18)


def lead_there_and_back(folder: Path, database: Callable[..., Any]) -> None:
    """Plan a case, apply it, look with both pairs of eyes, and go the way back."""
    expected = load(folder, "expect.json")
    answers = load(folder, "answers.json")
    main, development = database(), database()
    main.run(read(folder, "before.sql"))
    development.run(read(folder, "after.sql"))
    main.run(read(folder, "seed.sql"))
    base, goal = main.inspect(), development.inspect()
    compare = Compare(expected.get("compare", "ignore"))
    near, far = closely(main, development)
    # A server says how much is written from its sixtieth second on, which may fall between the two looks.
    near = replace(near, writes=base.writes)
    assert diff(near, far) == diff(base, goal)

    if "refused" in expected:
        with pytest.raises(UnsupportedObject) as refused:
            make_plan(base, goal, answers=answers, assume_defaults=True, compare=compare)
        with pytest.raises(UnsupportedObject) as again:
            make_plan(near, far, answers=answers, assume_defaults=True, compare=compare)
        assert again.value.message == refused.value.message
        for words in expected["refused"]:
            assert words in refused.value.message
        return
    if "questions" in expected:
        assert [question.id for question in make_plan(base, goal).questions] == expected["questions"]
    planned = make_plan(base, goal, answers=answers, assume_defaults=True, compare=compare)
    assert planned.plan is not None
    beside = make_plan(near, far, answers=answers, assume_defaults=True, compare=compare)
    assert beside.plan is not None
    assert (beside.plan.statements, beside.plan.notes) == (planned.plan.statements, planned.plan.notes)
    assert beside.questions == planned.questions
    assert planned.unused_answers == ()
    for words in expected.get("sql", []):
        assert words in planned.plan.to_sql()
    for words in expected.get("not_sql", []):
        assert words not in planned.plan.to_sql()
    if "hazards" in expected:
        assert sorted({hazard.name for hazard in planned.plan.hazards}) == expected["hazards"]
    assert Plan.from_json(json.loads(json.dumps(planned.plan.to_json()))) == planned.plan
    for statement in planned.plan.statements:
        assert statement.lock_timeout_ms > 0
        for probe in statement.probes:
            main.rows(probe.count_sql)
            if probe.sample_sql:
                main.rows(probe.sample_sql)
    if "fails" in expected:
        with pytest.raises(OrchestratorError, match=expected["fails"]):
            apply(main.connect, planned.plan)
        return
    traces = apply(main.connect, planned.plan)
    assert [trace.index for trace in traces] == list(range(len(planned.plan.statements)))

    after = main.inspect()
    assert describe_difference(after, goal, compare=compare) == ()
    assert main.dump() == development.dump()
    assert compare is not Compare.ALL or main.owned() == development.owned()
    again = make_plan(after, goal, assume_defaults=True, compare=compare)
    assert again.plan is not None
    assert again.plan.statements == ()
    for query, rows in expected.get("rows", {}).items():
        assert [list(row) for row in main.rows(query)] == rows

    back = reverse_plan(base, after, planned, compare=compare)
    if back.plan is None:
        assert expected.get("no_way_back", "?") in back.refused
        return
    assert "no_way_back" not in expected
    if "back_fails" in expected:
        with pytest.raises(OrchestratorError, match=expected["back_fails"]):
            apply(main.connect, back.plan)
        return
    apply(main.connect, back.plan)
    assert list(describe_difference(main.inspect(), base, compare=back.compare)) == expected.get(
        "back_leaves", []
    )
