"""Pages of what was promoted: the listing, one promotion, and the two ways back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fastapi.testclient import TestClient

from orchestrator.dashboard.desk import WayBack
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import FakeDesk, bring, facts, ran
from tests.orchestrator.dashboard.forms import confirm, word

Browse = Callable[..., TestClient]


def test_a_promotion_has_a_page_and_a_way_back(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("ada")
    promotions = store.promotions(desk.project)
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    made = promotions.begin(preview_id=preview.id, preview_name="pr-1", facts={"plan": {"digest": "d" * 64}})
    promotions.record(made.id, "statement", detail=ran("add it", sql="alter ..."))
    promotions.record(made.id, "done", note="3 statements")
    browser = browse("ada")

    assert made.id in browser.get("/promotions").text
    page = browser.get(f"/promotions/{made.id}").text
    assert "add it" in page
    assert "took 3.0 ms; locked add it (AccessExclusiveLock: blocks reads and writes)" in page
    developer = browse("dan")
    form = {"csrf": word(developer.get("/").text)}
    assert developer.post(f"/promotions/{made.id}/revert", data=form).status_code == 403
    confirmation = browser.get(f"/promotions/{made.id}/revert").text
    assert "Rows that were written since stay" in confirmation
    form = {"csrf": word(confirmation), "seen": word(confirmation, "seen")}
    looked, desk.outlook = desk.outlook, WayBack(does=("On production: something else.",), digest="b" * 64)
    assert browser.post(f"/promotions/{made.id}/revert", data=form).status_code == 409
    desk.outlook = looked
    assert browser.post(f"/promotions/{made.id}/revert", data=form).status_code == 303
    assert desk.asked == [("revert", "pr-1", {"promotion": made.id, "digest": looked.digest}, "ada")]
    assert browser.get("/promotions/nothing").status_code in (400, 404)


def test_the_restore_point_is_a_way_back_for_whoever_says_that_they_know_what_is_lost(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("ada")
    promotions = store.promotions(desk.project)
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    made, old = (promotions.begin(preview_id=preview.id, preview_name="pr-1", facts={}) for _ in range(2))
    for each, days in ((made, 7), (old, -1)):
        point = {
            "branch": {"id": "br-1", "name": "restore/pr-1"}, "made_ms": 1.0, "opened_ms": 1.0, "lsn": "0/1",
            "at": datetime.now(UTC).isoformat(),
            "expires_at": (datetime.now(UTC) + timedelta(days=days)).isoformat(),
        }  # fmt: skip
        promotions.record(each.id, "restore_point", detail=point)
        promotions.record(each.id, "done")
    browser, path = browse("ada"), f"/promotions/{made.id}/revert-to-restore-point"

    assert path in browser.get(f"/promotions/{made.id}").text
    assert f'href="/promotions/{old.id}/revert-to' not in browser.get(f"/promotions/{old.id}").text
    assert "it was kept until" in browser.get(f"/promotions/{old.id}").text
    assert "Lost: everything that was written since." in browser.get(path).text
    developer = browse("dan")
    form = {"csrf": word(developer.get("/").text), "tick": "later-writes"}
    assert developer.post(path, data=form).status_code == 403
    assert confirm(browser, path).status_code == 400
    looked, desk.to_point = desk.to_point, WayBack(does=("Lost: more.",), digest="b" * 64)
    stale = {"csrf": word(browser.get(path).text), "seen": looked.digest, "tick": "later-writes"}
    assert browser.post(path, data=stale).status_code == 409
    desk.to_point = looked
    assert desk.asked == []
    assert confirm(browser, path, tick="later-writes").status_code == 303
    meant = {"promotion": made.id, "digest": looked.digest, "to_restore_point": True}
    assert desk.asked == [("revert", "pr-1", meant, "ada")]
