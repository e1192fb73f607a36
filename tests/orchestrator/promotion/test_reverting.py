"""Promotions taken back, with writes in between: values compared row by row, losses named, kills survived."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from orchestrator.acts.table import ACTS, Request, Revert
from orchestrator.errors import MainMoved, OrchestratorError, PromotionUnderWay, Refused
from orchestrator.lifecycle import Promotion
from tests.orchestrator.promotion.conftest import Yard

SCHEMA = """
create type mood as enum ('sad', 'happy');
create table customers (id int primary key, name text not null, fax text, age int, mood mood not null default 'sad');
create table orders (id int primary key, customer int references customers, total int);
create table old_prices (id int primary key, price int);
create index on old_prices (price);
insert into customers select n, 'c' || n, 'f' || n, n, 'happy' from generate_series(1, 50) n;
insert into orders select n, n, n from generate_series(1, 50) n;
insert into old_prices select n, n from generate_series(1, 50) n;
"""
#: One of each: drops, renames, another type, a new NOT NULL, another label, a new column and a new table.
CHANGE = """
alter table customers drop column fax;
alter table customers rename column name to full_name;
alter table customers alter column age type bigint;
alter type mood add value 'angry';
alter table customers add column note text;
alter table orders alter column total set not null;
drop table old_prices;
create table reviews (id int primary key, text text);
"""
ANSWERS = {
    "rename:column:public.customers.full_name": "name",
    "rename:column:public.customers.note": "-",
    "rename:table:public.reviews": "-",
}
CUSTOMERS = "select id, name, fax, age, mood from customers order by id"

MakeYard = Callable[..., Yard]


def look(yard: Yard, promotion_id: str | None = None, **more: Any) -> Any:
    with yard.open() as rooms:
        return rooms.reverts.look(rooms.reverts.choose(promotion_id), **{"to_restore_point": False, **more})


def revert(yard: Yard, promotion_id: str | None = None, **more: Any) -> Promotion:
    with yard.open() as rooms:
        outlook = rooms.reverts.look(
            rooms.reverts.choose(promotion_id), **{"to_restore_point": False, **more}
        )
        return rooms.reverts.revert(outlook)


def promoted(yard: Yard, change: str = CHANGE, answers: Mapping[str, str] = ANSWERS) -> Promotion:
    yard.on("development", change)
    yard.up("pr-1", **answers)
    yard.promote("pr-1")
    return yard.last()


def test_all_kinds_of_changes_go_back_and_every_row_stays(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    before = {row[0]: row for row in yard.main(CUSTOMERS)}
    prices = yard.main("select * from old_prices order by id")
    fingerprint = fingerprint_of(yard)
    done = promoted(yard)
    assert fingerprint_of(yard) != fingerprint
    # Life goes on: rows are written, changed and deleted by the new version of the app.
    yard.main(
        "insert into customers (id, full_name, age, mood, note) values (100, 'new', 7, 'happy', 'hello')"
    )
    yard.main("update customers set full_name = 'changed', age = 1000 where id = 1")
    yard.main("delete from orders where id = 2; delete from customers where id = 2")
    yard.main("insert into reviews values (1, 'fine')")

    outlook = look(yard)
    assert outlook.promotion.id == done.id
    said = "\n".join(outlook.losses)
    assert "note" in said
    assert "reviews" in said
    assert "old_prices" not in said  # it was only set aside, and comes back
    assert fingerprint_of(yard) != fingerprint  # looking changed nothing

    back = revert(yard)

    assert back.state == "done"
    assert (back.kind, back.reverts) == ("revert", done.id)
    assert fingerprint_of(yard) == fingerprint
    expected = {
        **before,
        1: (1, "changed", "f1", 1000, "happy"),
        100: (100, "new", None, 7, "happy"),
    }
    del expected[2]
    assert {row[0]: row for row in yard.main(CUSTOMERS)} == expected
    assert yard.main("select * from old_prices order by id") == prices
    assert yard.main("select count(*) from orders") == [(49,)]
    # What the new version alone had is kept aside, too: not in sight, and not gone.
    kept = yard.main("select was from preview_internal.kept order by was")
    assert (["public", "customers", "note"],) in kept
    assert (["public", "reviews"],) in kept
    value = back.to_json()
    assert value["proof"]["equal"]
    assert value["restore_point"]["branch"]["name"].startswith("restore/pr-1-")
    assert [each["why"] for each in value["statements"]]

    # Twice is refused, with who did it; and there is nothing else to take back.
    with pytest.raises(Refused, match="is reverted already"):
        look(yard, done.id)
    with pytest.raises(Refused, match="is a revert"):
        look(yard, back.id)
    with pytest.raises(Refused, match="no promotion to revert"):
        look(yard)


@pytest.mark.parametrize(
    ("change", "write", "named"),
    [
        (
            "alter table customers alter column age type bigint",
            "update customers set age = 3000000000 where id = 1",
            "age",
        ),
        (
            "alter table customers alter column fax drop not null",
            "update customers set fax = null where id = 1",
            "fax",
        ),
    ],
    ids=["values that the old type cannot hold", "nulls where there were none"],
)
def test_rows_that_do_not_fit_any_more_are_said_and_nothing_is_done(
    make_yard: MakeYard, change: str, write: str, named: str
) -> None:
    yard = make_yard(SCHEMA + "alter table customers alter column fax set not null;")
    promoted(yard, change, {})
    yard.main(write)
    after = fingerprint_of(yard)

    with pytest.raises(Refused) as caught:
        revert(yard)

    assert named in caught.value.message
    assert caught.value.nothing_done
    assert fingerprint_of(yard) == after
    assert yard.last().state == "refused"
    yard.main("update customers set age = 1, fax = '' where id = 1")

    assert revert(yard).state == "done"


def test_what_others_changed_since_stays_unless_it_is_in_the_way(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    promoted(yard, "alter table customers add column note text", {})
    yard.main("create table later (id int primary key); create index on orders (total)")
    yard.main("create view notes as select note from customers")

    with pytest.raises(MainMoved) as caught:
        look(yard)
    assert "notes" in caught.value.detail
    assert "column public.customers.note" in caught.value.detail
    assert "--to-restore-point" in caught.value.hint
    yard.main("drop view notes")
    outlook = look(yard)
    assert outlook.others == 4  # the table, its column and key, the index
    assert [each.why for each in outlook.plan.statements if "later" in each.sql] == []

    revert(yard)

    assert yard.main("select count(*) from later") == [(0,)]
    columns = "select column_name from information_schema.columns where table_name = 'customers'"
    assert ("note",) not in yard.main(columns)


def test_only_what_was_shown_is_done_and_rows_that_are_written_meanwhile_change_nothing(
    make_yard: MakeYard,
) -> None:
    yard = make_yard(SCHEMA)
    promoted(yard, "alter table customers add column note text", {})
    shown = look(yard)
    caller: Any = None

    def act(digest: str, again: bool = False) -> None:
        meant = Revert(promotion=shown.promotion.id, digest=digest)
        with yard.open() as rooms:
            request = Request(rooms=rooms, name="pr-1", caller=caller, again=again)
            ACTS["revert"].run(request, meant)

    # What is counted moves with every write; what would be done and lost does not.
    yard.main("update customers set note = 'hello'")
    assert look(yard).digest == shown.digest
    assert look(yard, to_restore_point=True).digest != shown.digest
    with pytest.raises(MainMoved, match="has changed since it was shown") as caught:
        act("0" * 64)
    assert f"preview revert {shown.promotion.id} --dry-run" in caught.value.hint
    # Somebody takes the column away between the look and the turn: nothing is left to do, which nobody was shown.
    with yard.open() as rooms:
        yard.main("alter table customers drop column note")
        with pytest.raises(MainMoved, match=r"a statement less: ALTER TABLE public\.customers"):
            rooms.reverts.revert(shown)
        assert rooms.store.promotions(rooms.project.key).all()[-1].state == "refused"
    yard.main("alter table customers add column note text")
    # A worker dies in the middle, and the job is begun again with the yes that was given for all of it.
    yard.told.on_detail = _die_after(0)
    with pytest.raises(KeyboardInterrupt):
        act(shown.digest)
    yard.told.on_detail = lambda _text: None
    yard.main("alter table customers drop column note")
    act(shown.digest, again=True)

    assert yard.last().state == "done"


@pytest.mark.prove
def test_a_promotion_under_another_one_goes_back_alone(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    first = promoted(yard, "alter table customers add column note text", {})
    yard.on("development", "alter table orders add column paid boolean")
    yard.up("pr-2")
    yard.promote("pr-2")

    revert(yard, first.id)

    columns = "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    assert ("orders", "paid") in yard.main(columns)
    assert ("customers", "note") not in yard.main(columns)
    assert look(yard).promotion.id != first.id  # the last that is not reverted


@pytest.mark.prove
def test_killed_anywhere_it_goes_on(make_yard: MakeYard) -> None:
    """Ends in front of each statement in turn, with a write in between each time; then it is run to its end."""
    yard = make_yard(SCHEMA)
    fingerprint = fingerprint_of(yard)
    promoted(yard)
    total = len(look(yard).plan.statements)
    ended = 0

    for number in range(1, total + 1):
        yard.told.on_detail = _die_after(number % 2)
        try:
            revert(yard)
        except KeyboardInterrupt:
            ended += 1
            yard.main(f"insert into orders values ({1000 + number}, 1, 1)")
        else:
            break

    yard.told.on_detail = lambda _text: None
    found = yard.last()
    if found.state != "done":
        found = revert(yard)
    assert ended > 2
    assert found.state == "done"
    assert fingerprint_of(yard) == fingerprint
    assert yard.main("select count(*) from customers where fax is null") == [(0,)]
    assert yard.main("select count(*) from orders") == [(50 + ended,)]
    with yard.open() as rooms:
        assert len([p for p in rooms.store.promotions(rooms.project.key).all() if p.kind == "revert"]) == 1


def _die_after(times: int) -> Callable[[str], None]:
    """Let so many statements begin, and die at the next one."""
    left = times

    def on_detail(text: str) -> None:
        nonlocal left
        if re.match(r"\d+/\d+ ", text):
            if not left:
                raise KeyboardInterrupt
            left -= 1

    return on_detail


def test_two_at_once_take_turns(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    promoted(yard, "alter table customers add column note text", {})
    seen: list[str] = []

    def meanwhile(text: str) -> None:
        if text.startswith("1/") and not seen:
            with pytest.raises(PromotionUnderWay) as caught:
                revert(yard)
            seen.append(caught.value.message)

    yard.told.on_detail = meanwhile
    assert revert(yard).state == "done"
    assert "revert pr-1 by" in seen[0]


def test_to_the_restore_point(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    before = yard.main(CUSTOMERS)
    fingerprint = fingerprint_of(yard)
    yard.on("development", "alter table orders add column paid boolean")
    yard.up("other")  # a preview whose branch hangs on main
    done = promoted(yard)
    yard.main("insert into customers (id, full_name) values (100, 'new'), (101, 'new')")
    yard.main("update customers set age = 5 where id = 1; delete from orders where id = 3")

    outlook = look(yard, to_restore_point=True)
    said = "\n".join(outlook.losses)
    assert "everything that was written since" in said
    assert "public.customers: 2 rows more than then" in said
    assert "public.orders: 1 rows less than then" in said
    assert "public.old_prices comes back with 50 rows" in said
    back = revert(yard, to_restore_point=True)

    assert back.state == "done"
    assert fingerprint_of(yard) == fingerprint
    assert yard.main(CUSTOMERS) == before
    assert yard.main("select count(*) from orders") == [(50,)]
    # The state before is a branch of its own; what hung on main hangs there now, and can still be removed.
    kept = f"restore/{back.slug}-before"
    former = yard.neon.find_branch(yard.project_id, kept)
    assert former is not None
    yard.neon.create_endpoint(yard.project_id, former.id)  # Neon keeps the state without a compute
    assert yard.on(kept, "select count(*) from customers") == [(52,)]
    with yard.open() as rooms:
        rooms.controller.discard("other")
    assert not [each for each in yard.branches() if each.startswith("preview/")]
    with pytest.raises(Refused, match="is reverted already"):
        look(yard, done.id, to_restore_point=True)


@pytest.mark.prove
def test_a_job_that_is_run_again_reverts_no_promotion_before_the_one_that_was_meant(
    make_yard: MakeYard,
) -> None:
    yard = make_yard(SCHEMA)
    first = promoted(yard, "alter table customers add column note text", {})
    promoted(yard, "alter table orders add column paid boolean", {})
    caller: Any = None
    shown = look(yard)
    meant = Revert(promotion=shown.promotion.id, digest=shown.digest)
    with yard.open() as rooms:
        for again in (False, True):
            act = ACTS["revert"]
            request = Request(rooms=rooms, name="pr-1", caller=caller, again=again)
            act.run(request, meant)

        assert rooms.store.promotions(rooms.project.key).revert_of(first.id) is None
    assert look(yard).promotion.id == first.id


@pytest.mark.prove
def test_what_was_promoted_since_a_restore_point_is_named_and_is_undone_with_it(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    first = promoted(yard, "alter table customers add column note text", {})
    yard.on("development", "alter table orders add column paid boolean")
    yard.up("pr-2")
    yard.promote("pr-2")
    second = yard.last()

    with yard.open() as rooms:
        outlook = rooms.reverts.look(rooms.reverts.choose(first.id), to_restore_point=True)
        assert [each for each in outlook.losses if "pr-2" in each and second.id in each]
        back = rooms.reverts.revert(outlook)
        # Somebody who looked at the same time, and comes second, is told.
        with pytest.raises(Refused, match="is reverted already"):
            rooms.reverts.revert(outlook)

    with pytest.raises(Refused, match="no promotion to revert"):
        look(yard)
    with pytest.raises(Refused, match=f"was undone with another.*{first.id}"):
        look(yard, second.id)
    assert yard.last().id == back.id


@pytest.mark.prove
@pytest.mark.parametrize("point", ["there", "gone"])
def test_killed_right_after_the_restore_it_does_not_restore_twice(make_yard: MakeYard, point: str) -> None:
    yard = make_yard(SCHEMA)
    done = promoted(yard, "alter table customers add column note text", {})
    yard.told.on_detail = lambda text: _die() if text.startswith("proving") else None
    with pytest.raises(KeyboardInterrupt):
        revert(yard, to_restore_point=True)
    yard.told.on_detail = lambda _text: None
    yard.main("insert into orders values (1000, 1, 1)")  # written after the restore: it must stay
    (kept,) = [each for each in yard.neon.branches(yard.project_id) if each.name.endswith("-before")]
    yard.neon.update_branch(yard.project_id, kept.id, name="somebody-keeps-it")
    if point == "gone":  # as at the end of its time; what is left needs none of its data
        (taken,) = [
            each for each in yard.neon.branches(yard.project_id) if each.name == f"restore/{done.slug}"
        ]
        yard.neon.delete_branch(yard.project_id, taken.id)

    (said,) = look(yard, to_restore_point=True).losses
    assert said.startswith(f"nothing more: main has the data of restore/{done.slug} already")
    assert revert(yard, to_restore_point=True).state == "done"

    assert yard.main("select count(*) from orders") == [(51,)]
    assert not [each for each in yard.branches() if each.endswith("-before")]


def test_without_a_restore_point_it_says_where_to_look(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.settings(promote='restore_point = "off"')
    done = promoted(yard, "alter table customers add column note text", {})

    with pytest.raises(Refused) as caught:
        look(yard, to_restore_point=True)

    assert f"preview history show {done.id}" in caught.value.hint


def test_production_out_of_reach_in_the_middle_goes_on_later(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    fingerprint = fingerprint_of(yard)
    promoted(yard)

    def cut(text: str) -> None:
        if text.startswith("3/"):
            yard.told.on_detail = lambda _text: None
            with yard.connect() as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name like 'preview: revert%'"
                )

    yard.told.on_detail = cut
    with pytest.raises(OrchestratorError) as caught:
        revert(yard)
    assert "run the same command again" in caught.value.hint

    assert revert(yard).state == "done"
    assert fingerprint_of(yard) == fingerprint


def _die() -> None:
    raise KeyboardInterrupt


def fingerprint_of(yard: Yard) -> str:
    from orchestrator.database import connect
    from orchestrator.postgres.inspect import inspect

    with connect(yard.uri(), purpose="test") as connection:
        return inspect(connection).fingerprint()
