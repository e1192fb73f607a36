"""Promotions that stopped half-way, or whose rest went on as another one, taken back: to main as it was before."""

import re
from collections.abc import Callable

import pytest

from orchestrator.errors import MainMoved, PromotionUnderWay, Refused, StepFailed
from orchestrator.lifecycle import Promotion, State
from tests.orchestrator.promotion.conftest import Yard
from tests.orchestrator.promotion.test_reverting import (
    ANSWERS,
    CHANGE,
    CUSTOMERS,
    SCHEMA,
    MakeYard,
    fingerprint_of,
    look,
    revert,
)


class Killed(BaseException):
    """The process is gone: nothing of ours tidies up."""


def die_at(count: int) -> Callable[[str], None]:
    """Die in front of this statement, counted from 1 over all parts of a promotion."""
    left = count

    def on_detail(text: str) -> None:
        nonlocal left
        if re.match(r"\d+/\d+ ", text):
            left -= 1
            if not left:
                raise Killed

    return on_detail


def stopped(yard: Yard, count: int, name: str = "pr-1") -> Promotion:
    """A promotion that died in front of this statement."""
    yard.told.on_detail = die_at(count)
    with pytest.raises(Killed):
        yard.promote(name)
    yard.told.on_detail = lambda _text: None
    return yard.last()


def fail(_text: str) -> None:
    raise StepFailed("the wire is cut")


def half_done(yard: Yard, count: int, change: str = CHANGE) -> Promotion:
    yard.on("development", change)
    yard.up("pr-1", **ANSWERS)
    return stopped(yard, count)


def state_of(yard: Yard, name: str = "pr-1") -> State:
    with yard.open() as rooms:
        return rooms.controller.mine(name).state


def test_what_was_really_done_goes_back_and_the_preview_is_ready_again(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    before, fingerprint = yard.main(CUSTOMERS), fingerprint_of(yard)
    made = half_done(yard, 4)
    assert made.state == "running"
    assert fingerprint_of(yard) != fingerprint
    yard.main("insert into orders values (100, 1, 7); create table later (id int primary key)")

    outlook = look(yard)
    assert outlook.promotion.id == made.id
    assert 0 < len(outlook.plan.statements) < len(made.plan["statements"])
    assert outlook.others == 3
    back = revert(yard)

    assert (back.state, back.reverts) == ("done", made.id)
    yard.main("drop table later")
    assert fingerprint_of(yard) == fingerprint
    assert yard.main(CUSTOMERS) == before
    assert yard.main("select count(*) from orders") == [(51,)]
    assert yard.main("select count(*) from old_prices") == [(50,)]
    with yard.open() as rooms:
        preview = rooms.controller.mine("pr-1")
    assert preview.state is State.READY
    assert "promotion_id" not in preview.facts
    assert "approval" not in preview.facts  # another promotion needs another yes


@pytest.mark.prove
def test_the_first_phase_alone_goes_back(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    fingerprint = fingerprint_of(yard)
    yard.on("development", CHANGE)
    yard.up("pr-1", **ANSWERS)
    yard.promote(phase="expand")
    made = yard.last()
    with pytest.raises(Refused, match="first phase"), yard.open() as rooms:
        rooms.controller.discard("pr-1")

    assert revert(yard).reverts == made.id

    assert fingerprint_of(yard) == fingerprint
    with yard.open() as rooms:
        assert rooms.controller.discard("pr-1").state is State.CLOSED
    with pytest.raises(Refused, match="no promotion to revert"):
        look(yard)


@pytest.mark.prove
def test_what_somebody_else_changed_in_between_is_named(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    half_done(yard, 4)
    yard.main("alter table orders alter column total type numeric")

    with pytest.raises(MainMoved, match=r"column public\.orders\.total was changed since"):
        look(yard)


@pytest.mark.prove
def test_while_it_is_being_done_nobody_takes_it_back(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    seen: list[str] = []

    def meanwhile(text: str) -> None:
        if text.startswith("2/") and not seen:
            with pytest.raises(PromotionUnderWay) as caught:
                look(yard)
            seen.append(caught.value.message)

    yard.on("development", CHANGE)
    yard.up("pr-1", **ANSWERS)
    yard.told.on_detail = meanwhile
    yard.promote()

    assert "promotion of pr-1 by" in seen[0]


@pytest.mark.prove
@pytest.mark.parametrize("migration", ["", 'online = "always"'], ids=["in place", "beside the traffic"])
def test_killed_before_each_statement_it_goes_back(make_yard: MakeYard, migration: str) -> None:
    yard = make_yard(SCHEMA)
    yard.settings(migration=migration)
    fingerprint = fingerprint_of(yard)
    yard.on("development", CHANGE)
    yard.up("pr-1", **ANSWERS)
    customers, count = yard.main(CUSTOMERS), 50
    for number in range(1, 60):
        yard.told.on_detail = die_at(number)
        try:
            yard.promote(keep=True)
        except Killed:
            yard.told.on_detail = lambda _text: None
        else:
            break
        count += 1
        yard.main(f"insert into orders values ({1000 + number}, 1, 1)")

        assert revert(yard).state == "done", number

        assert fingerprint_of(yard) == fingerprint, number
        assert yard.main(CUSTOMERS) == customers, number
        assert yard.main("select count(*) from orders") == [(count,)]
        assert yard.main("select count(*) from old_prices") == [(50,)]
        assert state_of(yard) is State.READY
    yard.told.on_detail = lambda _text: None
    assert number > 5
    assert revert(yard).state == "done"
    assert fingerprint_of(yard) == fingerprint
    assert yard.main(CUSTOMERS) == customers


@pytest.mark.prove
def test_a_revert_of_a_half_done_promotion_that_is_killed_goes_on(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    fingerprint = fingerprint_of(yard)
    made = half_done(yard, 6)
    kills = 0
    for number in range(1, 60):
        yard.told.on_detail = die_at(number)
        try:
            done = revert(yard, made.id)
        except Killed:
            kills += 1
        else:
            break
    assert kills > 1
    assert done.state == "done"
    assert fingerprint_of(yard) == fingerprint
    assert state_of(yard) is State.READY


@pytest.mark.prove
def test_a_promotion_may_go_on_after_its_revert_has_stopped_and_goes_back_later(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    fingerprint = fingerprint_of(yard)
    made = half_done(yard, 6)
    yard.told.on_detail = die_at(3)
    with pytest.raises(Killed):
        revert(yard)
    yard.told.on_detail = lambda _text: None

    yard.promote()

    assert (yard.last().kind, yard.last().state) == ("revert", "superseded")
    back = revert(yard)
    assert (back.state, back.reverts) == ("done", made.id)
    assert fingerprint_of(yard) == fingerprint


@pytest.mark.prove
def test_what_another_promotion_went_on_with_goes_back_after_that(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    before, fingerprint = yard.main(CUSTOMERS), fingerprint_of(yard)
    first = half_done(yard, 4)
    middle = fingerprint_of(yard)
    yard.told.on_detail = fail
    with pytest.raises(StepFailed):
        yard.promote()
    yard.told.on_detail = lambda _text: None
    with yard.open() as rooms:
        rooms.controller.rebase("pr-1", answers={})
    yard.promote()
    second = yard.last()
    assert second.id != first.id
    with yard.open() as rooms:
        assert rooms.store.promotions(rooms.project.key).get(first.id).state == "superseded"
    with pytest.raises(Refused, match=f"stopped half-way, and {second.id} went on") as caught:
        look(yard, first.id)
    assert f"preview revert {second.id}" in caught.value.hint

    assert revert(yard).reverts == second.id
    assert fingerprint_of(yard) == middle
    assert revert(yard).reverts == first.id

    assert fingerprint_of(yard) == fingerprint
    assert yard.main(CUSTOMERS) == before
    assert yard.main("select count(*) from old_prices") == [(50,)]


@pytest.mark.prove
def test_it_goes_back_when_its_preview_is_gone_and_to_its_restore_point(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    fingerprint = fingerprint_of(yard)
    first = half_done(yard, 4)
    with yard.open() as rooms:
        rooms.controller.discard("pr-1", force=True)
    assert revert(yard).reverts == first.id
    assert fingerprint_of(yard) == fingerprint
    yard.up("pr-1", **ANSWERS)
    second = stopped(yard, 4)
    yard.main("insert into orders values (1000, 1, 1)")

    assert revert(yard, to_restore_point=True).reverts == second.id

    assert fingerprint_of(yard) == fingerprint
    assert yard.main("select count(*) from orders") == [(50,)]
    assert state_of(yard) is State.READY
