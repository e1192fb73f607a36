"""A change-over that is taken back: tried until nobody is in the way, and said when somebody always is."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from orchestrator.errors import DatabaseUnreachable, LockNotAcquired, StepFailed
from orchestrator.migration.plan import Hazard, Plan, Statement
from orchestrator.postgres.at_once import InDoubt
from orchestrator.postgres.trace import StatementTrace
from orchestrator.steps import changeover
from orchestrator.steps.changeover import ChangeOver
from orchestrator.steps.in_order import in_order

SQL = "ALTER TABLE public.t RENAME COLUMN a TO b"
BACK = "ALTER TABLE public.t RENAME COLUMN b TO a"
BROKEN = Hazard(code="breaks_running_code", on="public.t.a", detail="code that names it fails")


class Main:
    """A door: applies, or is in the way so often, beginning with the way back; may be cut at COMMIT."""

    def __init__(self, in_the_way: int = 0, *, cut: bool = False) -> None:
        self.in_the_way = in_the_way
        self.cut = cut
        self.ran: list[str] = []
        self.written: list[str] = []
        self.ends: dict[str, bool] = {}

    def prepare(self, plan: Plan) -> Any:
        return Ready(self, plan), lambda: self.written.append(plan.statements[0].sql)

    def whereabouts(self) -> dict[str, Any]:
        return {"uri": "postgresql://main"}

    def connect(self, seconds: float) -> Any:
        return nullcontext(self)


class Ready:
    """One transaction of it."""

    def __init__(self, main: Main, plan: Plan) -> None:
        self.main, self.plan = main, plan

    def go(self, before_commit: Callable[[str], None]) -> tuple[StatementTrace, ...]:
        main, sql = self.main, self.plan.statements[0].sql
        if sql == BACK and main.in_the_way:
            main.in_the_way -= 1
            raise LockNotAcquired("somebody reads")
        before_commit(str(len(main.ran) + 1))
        main.ran += [each.sql for each in self.plan.statements]
        traces = (StatementTrace(index=0, milliseconds=1.0),)
        if main.cut:
            raise InDoubt("the connection was lost at COMMIT", transaction=str(len(main.ran)), traces=traces)
        return traces

    def close(self) -> None: ...


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(changeover.time, "sleep", lambda _: None)
    monkeypatch.setattr(changeover, "committed", lambda main, transaction, seconds: main.ends[transaction])
    monkeypatch.setattr(changeover, "blockers", lambda *_: ())
    statement = Statement(sql=SQL, why="rename", hazards=(BROKEN,))
    return Plan(base="b", goal="g", statements=(statement,))


def over(plan: Plan, main: Main) -> ChangeOver:
    made = ChangeOver(plan, main, None, attempts=4, say=lambda _: None)  # type: ignore[arg-type]
    made.ready()
    return made


def test_what_was_lost_at_commit_and_is_done_is_done(plan: Plan) -> None:
    main = Main(cut=True)
    main.ends["1"] = True
    change = over(plan, main)
    assert change.act()
    assert change.traces()
    assert main.written == [SQL]


def test_what_was_lost_at_commit_and_is_not_done_is_tried_again(plan: Plan) -> None:
    main = Main(cut=True)
    main.ends["1"] = False
    change = over(plan, main)
    assert not change.act()
    assert (change.traces(), main.written) == ((), [])
    main.cut = False
    change.ready()
    assert change.act()
    assert main.written == []
    assert change.traces()
    assert main.written == [SQL]


def test_while_it_cannot_be_told_the_way_back_looks_again(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> bool:
        raise DatabaseUnreachable("main is away")

    main = Main(cut=True)
    change = over(plan, main)
    with monkeypatch.context() as away:
        away.setattr(changeover, "committed", unknown)
        with pytest.raises(DatabaseUnreachable):
            change.act()
    main.cut = False
    main.ends["1"] = True
    change.undo()
    assert main.ran == [SQL, BACK]


def test_whoever_finds_us_dead_is_told_what_takes_it_back(plan: Plan) -> None:
    told: list[Any] = []
    main = Main()
    change = over(plan, main)
    change.act(lambda text: told.append(json.loads(text)))
    order = {"uri": "postgresql://main", "transaction": "1", "unless": "", "statements": [BACK]}
    assert told == [order]
    change.undo()
    assert told[1:] == [{**order, "unless": "2"}]


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
