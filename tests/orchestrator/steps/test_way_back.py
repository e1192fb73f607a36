"""What is said of a way back that was tried: planted faults and the clean twin. The branch itself is played."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from orchestrator.checks.report import Severity
from orchestrator.errors import StepFailed
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.reverse import Loss, Reverse
from orchestrator.schema.catalog import Snapshot
from orchestrator.steps.project import NeonProject
from orchestrator.steps.way_back import MovedOn, WayBack

PLAN = Plan(base="b", goal="a", statements=(Statement(sql="select 1", why="x"),))


@dataclass(frozen=True, kw_only=True)
class Played(WayBack):
    outcome: Callable[[], Sequence[str]]

    def _applied(
        self, branch_id: str, reverse: Reverse, base: Snapshot | None, detail: Any, ending: Any
    ) -> Sequence[str]:
        return self.outcome()


def fails() -> Sequence[str]:
    raise StepFailed("statement 1 of 1 failed")


def moved() -> Sequence[str]:
    raise MovedOn


def tried(
    outcome: Callable[[], Sequence[str]], *, prove: bool = True, **reverse: Any
) -> list[tuple[Severity, str, str]]:
    played = Played(project=cast("NeonProject", None), prove=prove, outcome=outcome)
    told = Reverse(**{"plan": PLAN, **reverse})
    found = played.try_out("br-1", told, lambda: cast("Snapshot", None), lambda _: None)
    return [(each.severity, each.subject, each.message) for each in found]


@pytest.mark.parametrize(
    ("outcome", "severity", "words"),
    [
        (lambda: (), Severity.OK, "1 statement leads back"),
        (lambda: ("table public.t is missing",), Severity.ATTENTION, "leaves 1 difference: table public.t"),
        (moved, Severity.NOT_LOOKED_AT, "main's schema has changed since the branch was made"),
        (fails, Severity.ATTENTION, "statement 1 of 1 failed; only a restore point"),
    ],
)
def test_what_a_trial_says(outcome: Callable[[], Sequence[str]], severity: Severity, words: str) -> None:
    [(said, subject, message)] = tried(outcome)
    assert (said, subject) == (severity, "plan")
    assert words in message


def test_no_way_back_names_the_reason() -> None:
    [(severity, _, message)] = tried(tuple, plan=None, refused="index public.i is INVALID")
    assert severity is Severity.ATTENTION
    assert "index public.i is INVALID" in message


def test_what_is_lost_is_told_even_when_nothing_was_tried() -> None:
    loss = Loss(kind="before", on="public.customers.fax", detail="the values of fax", count=2)
    found = tried(tuple, prove=False, losses=(loss,))
    assert [(severity, subject) for severity, subject, _ in found] == [
        (Severity.NOT_LOOKED_AT, "plan"),
        (Severity.ATTENTION, "public.customers.fax"),
    ]
    assert "2 values" in found[1][2]


def test_what_runs_in_batches_is_tried_in_one_statement_and_that_is_said() -> None:
    tried_with: list[Plan | None] = []

    class Watched(Played):
        def _applied(
            self, branch_id: str, reverse: Reverse, base: Snapshot | None, detail: Any, ending: Any
        ) -> Sequence[str]:
            tried_with.append(reverse.plan)
            return ()

    short = Plan(base="b", goal="a", statements=(Statement(sql="select 2", why="x"),))
    [found] = Watched(project=cast("NeonProject", None), outcome=tuple).try_out(
        "br-1", Reverse(plan=PLAN), lambda: cast("Snapshot", None), lambda _: None, short=short
    )
    assert tried_with == [short]
    assert "in one statement" in found.message
