"""Main changes between the rehearsal and the end of the promotion: each case ends as described, and says so."""

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import MainMoved, OrchestratorError, Refused, WaitingForAnswers
from orchestrator.lifecycle import State
from tests.orchestrator.promotion.conftest import Yard

SCHEMA = """
create table customers (id int primary key, name text);
create table orders (id int primary key, total int);
insert into customers select n, 'c' || n from generate_series(1, 100) n;
"""
CHANGE = "alter table customers add column note text; alter table orders add column paid boolean"
COLUMNS = "select table_name, column_name from information_schema.columns where table_schema = 'public' \
and column_name not like 'preview_kept_%' order by 1, 2"

MakeYard = Callable[..., Yard]


@pytest.fixture
def yard(make_yard: MakeYard) -> Yard:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up()
    return yard


def approve(yard: Yard) -> None:
    with yard.open() as rooms:
        rooms.controller.approve("pr-1", allow=[], note="yes")


def is_development(yard: Yard) -> bool:
    return yard.main(COLUMNS) == yard.on("development", COLUMNS)


def test_a_part_that_main_has_already_is_left_out(yard: Yard) -> None:
    approve(yard)
    yard.main("alter table customers add column note text")

    yard.promote()

    assert is_development(yard)
    assert [each["why"] for each in yard.last().statements] == ["add column public.orders.paid"]


def test_what_main_and_goal_both_got_keeps_the_yes(yard: Yard) -> None:
    """A hotfix reached main and development: the plan on main as it is now is the same, statement by statement."""
    approve(yard)
    yard.both("create table hotfix (id int)")
    # The goal's schema is a fact of the yes; so it is said again, for the goal as it is now.
    with pytest.raises(Refused, match="the goal's schema"):
        yard.promote()
    old = _id(yard)
    with yard.open() as rooms:
        rooms.controller.rebase("pr-1", answers={})
        kept = rooms.controller.show("pr-1")
    assert kept.id != old
    assert kept.facts["approval"]["note"] == "yes"

    yard.promote()

    assert is_development(yard)
    assert yard.last().facts["approval"]["who"] == kept.facts["approval"]["who"]


def test_promote_rebases_by_itself_and_goes_on_when_nothing_is_different(yard: Yard) -> None:
    # Somebody adds what a comparison must act on, and takes it back from the goal's side: the new plan is the old one.
    yard.both("create table hotfix (id int)")
    old = _id(yard)

    closed = yard.promote()

    assert closed.state is State.CLOSED
    assert closed.id != old
    assert is_development(yard)
    assert [each.state for each in _promotions(yard)] == ["superseded", "done"]
    assert yard.apps == {}
    assert [each for each in yard.branches() if each.startswith("preview/")] == []


def test_a_plan_that_became_another_waits_for_another_yes(yard: Yard) -> None:
    approve(yard)
    old = _id(yard)
    yard.main(
        "alter table orders add column urgent boolean"
    )  # development does not have it: it would be dropped

    with pytest.raises(Refused) as caught:
        yard.promote()

    assert caught.value.exit_code == 4
    assert "main has moved since pr-1 was rehearsed" in caught.value.message
    assert "urgent" in caught.value.detail
    assert "preview promote pr-1" in caught.value.hint
    assert yard.main(COLUMNS) != yard.on("development", COLUMNS)
    with yard.open() as rooms:
        now = rooms.controller.show("pr-1")
    assert now.state is State.READY
    assert now.id != old
    assert "approval" not in now.facts
    assert list(yard.apps) == [now.id]

    yard.promote()  # this is another yes, to what is shown now

    assert is_development(yard)


def test_without_a_rebase_it_says_so_and_leaves_everything(yard: Yard) -> None:
    old = _id(yard)
    yard.main("alter table orders add column urgent boolean")

    with pytest.raises(MainMoved) as caught:
        yard.promote(rebase=False)

    assert "preview rebase pr-1" in caught.value.hint
    assert _id(yard) == old
    assert yard.last().state == "refused"
    assert not yard.last().touched


def test_another_promotion_moves_main(make_yard: MakeYard) -> None:
    """Both were rehearsed on the same main with goals of their own; the second is rehearsed again on the first's."""
    yard = make_yard(SCHEMA)
    yard.on("development", "alter table customers add column note text")
    yard.up("pr-1")
    yard.on("development", "alter table orders add column paid boolean")
    yard.up("pr-2")
    yard.promote("pr-1")

    yard.promote("pr-2")

    assert is_development(yard)
    assert [each["why"] for each in yard.last().statements] == ["add column public.orders.paid"]


@pytest.mark.prove
def test_two_goals_that_do_not_know_each_other_are_not_mixed(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", "alter table customers add column note text")
    yard.up("pr-1")
    yard.on(
        "development", "alter table customers drop column note; alter table orders add column paid boolean"
    )
    yard.up("pr-2")
    yard.promote("pr-1")

    with pytest.raises(Refused) as caught:
        yard.promote("pr-2")

    assert "note" in caught.value.detail
    assert ("customers", "note") in yard.main(COLUMNS)


def test_main_changes_during_the_promotion(yard: Yard) -> None:
    """Half of the plan is on main when somebody adds a table: no rebase by itself; by hand it goes on."""

    def die(text: str) -> None:
        if text.startswith("2/"):
            raise KeyboardInterrupt

    yard.told.on_detail = die
    with pytest.raises(KeyboardInterrupt):
        yard.promote()
    yard.told.on_detail = lambda _text: None
    half = [each for each in (("customers", "note"), ("orders", "paid")) if each in yard.main(COLUMNS)]
    yard.main("create table sneaky (id int)")

    with pytest.raises(MainMoved) as caught:
        yard.promote()

    assert caught.value.nothing_done is (not half)
    assert "preview rebase pr-1" in caught.value.hint
    with yard.open() as rooms:
        assert rooms.controller.show("pr-1").state is State.FAILED
        rooms.controller.rebase("pr-1", answers={})
    yard.main("drop table sneaky")

    yard.promote()

    assert is_development(yard)


def test_the_old_preview_stays_up_until_the_new_one_is_ready(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _id(yard)
    yard.both("create table hotfix (id int)")
    seen: list[Any] = []

    def look(text: str) -> None:
        with yard.open() as rooms:
            shown = rooms.controller.show("pr-1")
            seen.append((shown.id, shown.state, old in yard.apps))

    yard.told.on_detail = look
    with yard.open() as rooms:
        new = rooms.controller.rebase("pr-1", answers={})
    yard.told.on_detail = lambda _text: None

    until = [each for each in seen if each[0] == old]
    assert len(until) > 3
    assert all(state is State.READY and up for _, state, up in until)
    assert list(yard.apps) == [new.id]
    assert [each for each in yard.branches() if each.startswith("preview/")] == [f"preview/pr-1-{new.id}"]


@pytest.mark.prove
def test_a_rebase_that_fails_leaves_the_old_preview_and_is_gone_on_with(yard: Yard) -> None:
    old = _id(yard)
    yard.both("create table hotfix (id int)")
    yard.on(
        "development", "delete from customers; alter table customers add constraint c check (name <> 'c1')"
    )
    with pytest.raises(OrchestratorError), yard.open() as rooms:
        rooms.controller.rebase("pr-1", answers={})
    assert _id(yard) == old
    assert list(yard.apps) == [old]
    yard.on("development", "alter table customers drop constraint c")

    with yard.open() as rooms:
        new = rooms.controller.rebase("pr-1", answers={})

    assert new.id != old
    assert list(yard.apps) == [new.id]


def test_a_rebase_asks_what_main_made_a_question(yard: Yard) -> None:
    yard.both("create table hotfix (id int)")
    yard.main("alter table customers add column telephon text; update customers set telephon = 'x'")
    yard.on("development", "alter table customers add column telephone text")
    with pytest.raises(WaitingForAnswers) as caught, yard.open() as rooms:
        rooms.controller.rebase("pr-1", answers={}, by="bob")
    assert caught.value.hint.startswith("preview rebase pr-1 --answer ")
    answers = dict(each.split("=", 1) for each in shlex.split(caught.value.hint) if "=" in each)

    with yard.open() as rooms:
        new = rooms.controller.rebase("pr-1", answers=answers, by="eve")

    assert new.state is State.READY
    assert new.facts["answers"] == answers
    # Whoever answered made it what it is, and may not approve it where the settings ask for another; bob only moved it.
    assert new.facts["authors"] == ["eve"]


@pytest.mark.prove
@pytest.mark.parametrize("line", ["branching", "asking the data"])
def test_killed_anywhere_a_rebase_goes_on_and_discard_leaves_nothing(
    yard: Yard, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.both("create table hotfix (id int)")

    def die(text: str) -> None:
        if text.startswith(line):
            raise KeyboardInterrupt

    yard.told.on_detail = die
    try:
        with yard.open() as rooms:
            rooms.controller.rebase("pr-1", answers={})
    except KeyboardInterrupt:
        pass
    yard.told.on_detail = lambda _text: None

    with yard.open() as rooms:
        rooms.controller.rebase("pr-1", answers={})
        rooms.controller.discard("pr-1")
        assert [each.name for each in rooms.store.live() if each.project == rooms.project.key] == []

    assert yard.branches() == ["development", "main"]
    assert yard.apps == {}


def test_killed_right_after_they_changed_places(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.both("create table hotfix (id int)")
    with yard.open() as rooms, monkeypatch.context() as patched:
        patched.setattr(type(rooms.controller), "_close", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            rooms.controller.rebase("pr-1", answers={})
        assert len([each for each in rooms.store.live() if each.project == rooms.project.key]) == 2

    yard.promote()

    assert is_development(yard)
    assert yard.apps == {}
    assert [each for each in yard.branches() if each.startswith("preview/")] == []


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _id(yard: Yard) -> str:
    with yard.open() as rooms:
        return rooms.controller.show("pr-1").id


def _promotions(yard: Yard) -> tuple[Any, ...]:
    with yard.open() as rooms:
        return rooms.store.promotions(rooms.project.key).all()


def test_a_trial_of_the_way_back_that_was_killed_leaves_nothing_though_main_has_moved(
    make_yard: MakeYard,
) -> None:
    yard = make_yard(SCHEMA)
    settings = yard.folder / "preview.toml"
    settings.write_text(settings.read_text().replace("prove_reverse = false", "prove_reverse = true"))
    yard.on("development", CHANGE)

    def die(text: str) -> None:
        if text.startswith("checking"):
            raise KeyboardInterrupt

    yard.told.on_detail = die
    with pytest.raises(KeyboardInterrupt):
        yard.up()
    yard.told.on_detail = lambda _: None
    [parent] = [each for each in yard.neon.branches(yard.project_id) if each.name.startswith("preview/")]
    yard.neon.update_branch(yard.project_id, parent.id, never_expires=True)
    yard.neon.create_branch(yard.project_id, name=f"{parent.name}-back", parent_id=parent.id)
    yard.main("create table hotfix (id int)")

    assert yard.up().state is State.READY

    assert [each for each in yard.branches() if each.startswith("preview/")] == [parent.name]
