"""A change-over that is taken back: tried until nobody is in the way, and said when somebody always is."""

from typing import Any

import pytest

from orchestrator.errors import LockNotAcquired, StepFailed
from orchestrator.migration.plan import Hazard, Plan, Statement
from orchestrator.postgres.trace import StatementTrace
from orchestrator.steps import changeover
from orchestrator.steps.changeover import ChangeOver
from orchestrator.steps.in_order import in_order

SQL = "ALTER TABLE public.t RENAME COLUMN a TO b"
BACK = "ALTER TABLE public.t RENAME COLUMN b TO a"
BROKEN = Hazard(code="breaks_running_code", on="public.t.a", detail="code that names it fails")


class Main:
    """Applies, or is in the way so often, beginning with the way back."""

    def __init__(self, in_the_way: int) -> None:
        self.in_the_way = in_the_way
        self.ran: list[str] = []

    def apply(self, plan: Plan, _: Any) -> Any:
        if plan.statements[0].sql == BACK and self.in_the_way:
            self.in_the_way -= 1
            raise LockNotAcquired("somebody reads")
        self.ran += [each.sql for each in plan.statements]
        return (StatementTrace(index=0, milliseconds=1.0),), lambda: None


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(changeover.time, "sleep", lambda _: None)
    statement = Statement(sql=SQL, why="rename", hazards=(BROKEN,))
    return Plan(base="b", goal="g", statements=(statement,))


def over(plan: Plan, main: Main) -> ChangeOver:
    made = ChangeOver(plan, main.apply, lambda: None, None, attempts=4, say=lambda _: None)  # type: ignore[arg-type, return-value]
    made._connection = object()  # type: ignore[assignment]
    return made


def test_taking_back_is_tried_while_somebody_is_in_the_way(plan: Plan) -> None:
    main = Main(3)
    change = over(plan, main)
    assert change.act()
    change.undo()
    change.undo()  # once
    assert main.ran == [SQL, BACK]


def test_what_could_not_be_taken_back_is_said(plan: Plan) -> None:
    main = Main(99)
    change = over(plan, main)

    def release(_: Any) -> None:
        change.act()
        try:
            change.undo()
        except LockNotAcquired as error:
            raise StepFailed(error.message) from None

    with pytest.raises(StepFailed) as caught:
        in_order(plan, lambda _: (), release, lambda _: change)
    assert caught.value.message == (
        "somebody reads; the earlier version may not survive what changed: public.t.a"
    )
    assert main.ran == [SQL]

    healthy = over(plan, Main(0))

    def put_back(_: Any) -> None:
        healthy.act()
        healthy.undo()
        raise StepFailed("not healthy")

    with pytest.raises(StepFailed) as caught:
        in_order(plan, lambda _: (), put_back, lambda _: healthy)
    assert caught.value.message == "not healthy; nothing was taken away, so that the earlier version goes on"
