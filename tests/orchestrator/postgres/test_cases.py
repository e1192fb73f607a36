"""Every folder of tests/cases: plan, apply, look again with our own eyes and with pg_dump's."""

import json
from collections.abc import Callable
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


def test_there_are_cases() -> None:
    assert len(FOLDERS) >= 60


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case(folder: Path, database: Callable[..., Any]) -> None:
    expected = load(folder, "expect.json")
    answers = load(folder, "answers.json")
    main, development = database(), database()
    main.run(read(folder, "before.sql"))
    development.run(read(folder, "after.sql"))
    main.run(read(folder, "seed.sql"))
    base, goal = main.inspect(), development.inspect()
    compare = Compare(expected.get("compare", "ignore"))
    near, far = closely(main, development)
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
