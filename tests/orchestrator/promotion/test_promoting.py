"""A promotion with everything around it: restore point, proof, history, and the turn on main."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from orchestrator.database import lock_key, try_advisory_lock
from orchestrator.errors import OrchestratorError, PromotionUnderWay, Refused, StatementFailed
from orchestrator.lifecycle import State
from orchestrator.steps import on_main
from tests.orchestrator.promotion.conftest import Yard

SCHEMA = """
create table customers (id int primary key, name text, fax text);
create table orders (id int primary key, total int);
insert into customers select n, 'c' || n, 'f' || n from generate_series(1, 100) n;
insert into orders select n, n from generate_series(1, 50) n;
"""
CHANGE = "alter table customers add column note text; create index on orders (total)"

MakeYard = Callable[..., Yard]


def promote_dying_at(yard: Yard, words: str) -> None:
    """A promotion that goes as far as to say this; the next one goes to its end."""

    def die(text: str) -> None:
        if text.startswith(words):
            raise KeyboardInterrupt

    yard.told.on_detail = die
    with pytest.raises(KeyboardInterrupt):
        yard.promote()
    yard.told.on_detail = lambda _text: None


def test_all_of_it_is_written_down(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    with yard.open() as rooms:
        rooms.controller.up("pr-1", answers={})
        rooms.controller.approve("pr-1", allow=[], note="looks good")
    before = yard.main("select * from customers order by id")

    yard.promote()

    found = yard.last()
    value = found.to_json()
    assert value["state"] == "done"
    assert value["approval"]["note"] == "looks good"
    assert value["approval"]["plan_digest"] == value["plan"]["digest"]
    assert [each["why"] for each in value["statements"]] == [
        each["why"] for each in value["plan"]["statements"]
    ]
    for each in value["statements"]:
        assert each["tries"] == 1
        assert each["trace"]["milliseconds"] > 0
    assert any(each["trace"]["locks"] for each in value["statements"])
    point = value["restore_point"]
    assert point["branch"]["name"] == f"restore/{found.slug}"
    assert point["fingerprint"] == value["proof"]["fingerprint"] or point["made_ms"] > 0
    assert point["lsn"]
    rows = {each["table"]: each for each in value["proof"]["rows"]}
    assert rows["public.customers"]["before"] == {"rows": 100, "exact": True}
    assert rows["public.customers"]["after"] == {"rows": 100, "exact": True}
    assert set(value["proof"]["analyzed"]) == {"public.customers", "public.orders"}
    kinds = [each["kind"] for each in value["events"]]
    assert kinds.index("restore_point") < kinds.index("applying") < kinds.index("statement")
    assert kinds[-1] == "done"

    # The preview is gone, its restore point is not: it holds main as it was, and Neon will remove it some day.
    assert yard.branches() == ["development", "main", f"restore/{found.slug}"]
    kept = yard.neon.find_branch(yard.project_id, f"restore/{found.slug}")
    assert kept is not None
    assert kept.expires_at is not None
    assert yard.on(kept.name, "select * from customers order by id") == before
    with yard.open() as rooms:
        promotions = rooms.store.promotions(rooms.project.key)
        assert promotions.carried(found.id, "base") is not None
        assert promotions.carried(found.id, "after") is not None
        assert promotions.carried(found.id, "reverse") is not None


def test_without_a_restore_point_the_place_in_mains_history_is_kept(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.settings(promote='restore_point = "off"')
    yard.on("development", CHANGE)
    yard.up()

    yard.promote()

    point = yard.last().last("restore_point")
    assert point is not None
    assert point["branch"] is None
    assert point["lsn"]
    assert yard.branches() == ["development", "main"]


def test_a_restore_point_of_a_dead_run_is_replaced_and_one_of_a_resumed_promotion_kept(
    make_yard: MakeYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up()

    # Dies right after the branch was made: main goes on, and the next run takes a fresh one.
    promote_dying_at(yard, "opening the restore point")
    first = next(each for each in yard.neon.branches(yard.project_id) if each.name.startswith("restore/"))
    yard.main("insert into orders values (1000, 1)")

    # Dies in the middle of the statements: the state before the first of them is what must be kept.
    promote_dying_at(yard, "2/")
    second = next(each for each in yard.neon.branches(yard.project_id) if each.name.startswith("restore/"))
    assert second.name == first.name
    assert second.id != first.id
    yard.main("insert into orders values (1001, 1)")

    yard.promote()

    assert [each for each in yard.branches() if each.startswith("restore/")] == [second.name]
    assert yard.on(second.name, "select count(*), max(id) from orders") == [(51, 1000)]
    found = yard.last()
    assert [each.kind for each in found.events].count("resumed") == 2
    assert [each["number"] for each in found.statements].count(1) >= 1
    assert found.state == "done"


def test_the_turn_of_this_very_promotion_that_was_killed_is_waited_for(
    make_yard: MakeYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up()

    promote_dying_at(yard, "comparing main")
    looks = list[float]()
    with yard.connect() as dead:
        # A statement runs in its session, so that PostgreSQL does not look whether anybody is there.
        assert try_advisory_lock(dead, lock_key("promotion", yard.project_id, "shop"))
        pid, promotion = dead.info.backend_pid, yard.last().id
        with yard.open() as rooms:
            promotions = rooms.store.promotions(rooms.project.key)
            promotions.record(promotion, "locked", detail={"pid": pid})
            monkeypatch.setattr(on_main, "_FORERUNNER_SECONDS", 0.0)
            room = on_main.OnMain(rooms.project, promotions, lock_attempts=1)
            with pytest.raises(PromotionUnderWay, match=f"server process {pid} ") as caught:
                room.turn(promotion, "promote pr-1").__enter__()
            assert f"pg_terminate_backend({pid})" in caught.value.hint

        def look_again(seconds: float) -> None:
            looks.append(seconds)
            dead.close()

        monkeypatch.setattr(on_main, "_FORERUNNER_SECONDS", 60.0)
        monkeypatch.setattr(on_main, "time", SimpleNamespace(monotonic=time.monotonic, sleep=look_again))
        yard.promote()

    assert looks
    assert (yard.last().id, yard.last().state) == (promotion, "done")


@pytest.mark.prove
def test_the_phase_that_takes_away_has_a_restore_point_though_the_firsts_time_was_over(
    make_yard: MakeYard,
) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", "alter table orders add column note text; alter table orders drop column id")
    yard.up(**{"rename:column:public.orders.note": "-"})
    yard.promote(phase="expand")
    (point,) = [each for each in yard.neon.branches(yard.project_id) if each.name.startswith("restore/")]
    yard.neon.delete_branch(yard.project_id, point.id)
    yard.main("create table sneaky (id int)")
    with pytest.raises(Refused):
        yard.promote(phase="contract", rebase=False)
    assert yard.last().state == "failed"  # the first phase is on main: that is not nothing
    yard.main("drop table sneaky")

    yard.promote(phase="contract")

    found = yard.last()
    assert found.state == "done"
    kept = yard.neon.find_branch(yard.project_id, point.name)
    assert kept is not None
    assert found.last("restore_point")["branch"]["id"] == kept.id
    columns = "select column_name from information_schema.columns where table_name = 'orders'"
    assert {("id",), ("note",)} <= set(yard.on(kept.name, columns))
    assert ("id",) not in yard.main(columns)


def test_a_schema_that_changes_while_the_restore_point_is_taken_stops_it(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up()

    def change(text: str) -> None:
        if text.startswith("taking the restore point"):
            yard.told.on_detail = lambda _text: None
            yard.main("create table sneaky (id int)")

    yard.told.on_detail = change
    with pytest.raises(Refused):
        yard.promote(rebase=False)

    assert yard.last().state == "refused"
    assert [each for each in yard.branches() if each.startswith("restore/")] == []
    assert yard.main("select count(*) from information_schema.columns where column_name = 'note'") == [(0,)]


def test_whoever_finds_main_taken_is_told_by_whom_and_at_which_statement(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up("pr-1")
    yard.up("pr-2")
    seen: list[str] = []

    def meanwhile(text: str) -> None:
        if text.startswith("2/") and not seen:
            with yard.open() as rooms, pytest.raises(PromotionUnderWay) as caught:
                rooms.controller.promote("pr-2", allow=[], keep=False)
            seen.append(caught.value.message)

    yard.told.on_detail = meanwhile
    yard.promote("pr-1")

    assert len(seen) == 1
    who = yard.last().who
    assert f"promote pr-1 by {who}, in line since" in seen[0]
    with yard.open() as rooms:
        assert rooms.controller.show("pr-2").state is State.READY


@pytest.mark.parametrize("at", ["1/", "2/"])
def test_production_out_of_reach_in_the_middle_is_gone_on_with(make_yard: MakeYard, at: str) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up()

    def cut(text: str) -> None:
        if text.startswith(at):
            yard.told.on_detail = lambda _text: None
            project = yard.neon.project(yard.project_id)
            main = yard.neon.default_branch(project.id)
            for endpoint in yard.neon.endpoints(project.id):
                if endpoint.branch_id == main.id:
                    yard.neon.suspend_endpoint(project.id, endpoint.id)

    yard.told.on_detail = cut
    try:
        yard.promote()
    except OrchestratorError as error:
        assert "again" in error.hint  # noqa: PT017 - it may also get through: main wakes on connect
        yard.promote()

    assert yard.last().state == "done"
    assert yard.main("select count(*), sum(total) from orders") == [(50, 1275)]
    assert yard.main("select count(note) from customers") == [(0,)]
    assert yard.main("select count(*) from pg_index where not indisvalid") == [(0,)]


def test_another_preview_branches_while_main_is_promoted(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up("pr-1")
    ups: list[threading.Thread] = []

    def branch(text: str) -> None:
        if text.startswith("1/") and not ups:
            ups.append(threading.Thread(target=yard.up, args=("pr-2",)))
            ups[0].start()

    yard.told.on_detail = branch
    yard.promote("pr-1")
    ups[0].join()
    yard.told.on_detail = lambda _text: None

    # Whichever state of main it saw, nothing is left to be done or it says what; and nothing is done twice.
    with yard.open() as rooms:
        assert rooms.controller.show("pr-2").state is State.READY
    yard.promote("pr-2")
    assert yard.main("select count(*), sum(total) from orders") == [(50, 1275)]
    assert yard.last().state == "done"
    assert [each for each in yard.branches() if each.startswith("preview/")] == []


def test_the_turn_itself_tells_who_has_it(make_yard: MakeYard) -> None:
    """Two who do not share a diary meet at main's lock."""
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up()
    seen: list[str] = []

    def meanwhile(text: str) -> None:
        if text.startswith(("1/", "2/")):
            with yard.open() as rooms:
                seen.append(rooms.controller._hooks.under_way())

    yard.told.on_detail = meanwhile
    yard.promote()

    assert "promotion of pr-1 by" in seen[0]
    assert "at statement 1 of" in seen[0]
    assert "public.customers" in seen[0]
    with yard.open() as rooms:
        assert rooms.controller._hooks.under_way() == ""


def test_who_waits_gets_the_turn_in_the_order_of_the_line(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    names = ["pr-1", "pr-2", "pr-3"]
    for name in names:
        yard.up(name)
    began, asked = threading.Event(), threading.Event()
    order: list[str] = []
    ends: dict[str, object] = {}

    def run(name: str, ready: Callable[[], None]) -> None:
        told = Yard(name=yard.name, folder=yard.folder, neon=yard.neon, apps=yard.apps)
        told.told.on_detail = lambda text: order.append(name) if text.startswith("comparing main") else None

        def wait(holder: str) -> bool:
            ready()
            return not threading.Event().wait(0.1)

        try:
            ends[name] = told.promote(name, wait=wait)
        except Exception as error:  # noqa: BLE001
            ends[name] = error

    def hold(text: str) -> None:
        if text.startswith("1/"):
            began.set()
            asked.wait(60)

    yard.told.on_detail = hold
    first = threading.Thread(target=lambda: ends.setdefault("pr-1", yard.promote("pr-1")))
    first.start()
    began.wait(60)
    in_line = threading.Event()
    second = threading.Thread(target=run, args=("pr-2", in_line.set))
    second.start()
    in_line.wait(60)
    third = threading.Thread(target=run, args=("pr-3", asked.set))
    third.start()
    for each in (first, second, third):
        each.join()

    # All had the same goal: what the first has done leaves nothing to do for the others.
    assert [each for each in dict.fromkeys(order) if each != "pr-1"] == ["pr-2", "pr-3"]
    assert all(getattr(each, "state", None) is State.CLOSED for each in ends.values()), ends


def test_whoever_dies_in_the_line_is_passed_over(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    yard.up()
    with yard.open() as rooms:
        line = rooms.store.line(rooms.project.key)
        with rooms.store._connection.transaction():
            rooms.store._connection.execute(
                "insert into preview_control.promotion_line (project, purpose, who) values (%s, 'promote dead', 'x')",
                (rooms.project.key,),
            )
        with line.place("promote pr-9") as mine:
            assert line.ahead(mine) == ""

    assert yard.promote().state is State.CLOSED


def test_a_role_without_enough_rights_is_one_clear_line_and_nothing_is_done(make_yard: MakeYard) -> None:
    yard = make_yard(SCHEMA)
    yard.on("development", CHANGE)
    # The table is somebody else's on main; the branch, made before, still let us.
    yard.up()
    yard.main("create role other; grant create on schema public to other; grant other to shop_owner")
    yard.main("alter table customers owner to other; grant select on customers to shop_owner")
    yard.main("revoke other from shop_owner")
    columns = "select count(*) from information_schema.columns where column_name = 'note'"

    with pytest.raises((Refused, StatementFailed)) as caught:
        yard.promote(rebase=False)

    assert "must be owner of table customers" in caught.value.message or "customers" in caught.value.message
    assert "\n" not in caught.value.message
    assert yard.main(columns) == [(0,)]
    with yard.open() as rooms:
        assert rooms.controller.show("pr-1").state is State.READY
