"""Promoting on the pages: what it will do, one half of it, and what is left when it stops half-way."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from orchestrator.dashboard.desk import Job
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import FakeDesk, bring, facts
from tests.orchestrator.dashboard.forms import confirm, word

Browse = Callable[..., TestClient]


def test_a_promotion_says_what_it_will_do_and_passes_on_what_was_allowed(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.customers.fax"))
    browser = browse("ada")

    page = browser.get("/previews/pr-1/promote").text
    assert "3 statements run on production" in page
    assert "5,000 values are lost" in page
    done = confirm(browser, "/previews/pr-1/promote", allow=["deletes_data:public.customers.fax", "made:up"])

    assert done.status_code == 303
    assert desk.asked == [("promote", "pr-1", {"allow": ["deletes_data:public.customers.fax"]}, "ada")]


def test_what_stopped_half_way_is_discarded_by_force_by_whoever_says_that_they_know(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    half = {"at": "2026-11-28T12:00:00+00:00", "main": "m", "left": ["drop column fax"]}
    bring(store, "pr-1", State.READY, {**facts("public.t"), "expanded": half})
    for name, stopped_in in (("pr-2", "promoting"), ("pr-3", "discarding"), ("pr-4", "launching")):
        error = {"message": "it stopped", "hint": "", "detail": "", "state": stopped_in}
        bring(store, name, State.FAILED, facts("public.t"), error=error)
    bring(store, "pr-5", State.READY, facts("public.t"))
    browser = browse("dan")

    for name, offered in (("pr-1", 1), ("pr-2", 1), ("pr-3", 1), ("pr-4", 0), ("pr-5", 0)):
        path = f"/previews/{name}/discard-by-force"
        assert (path in browser.get(f"/previews/{name}").text) is bool(offered), name
        assert browser.get(path).status_code == (200 if offered else 409)
    path = "/previews/pr-1/discard-by-force"
    page = browser.get(path).text
    assert "Production is left as it is now, half-way" in page
    assert "1 statement will not be run" in page
    assert "half-way" not in browser.get("/previews/pr-3/discard-by-force").text
    other = browse("vera")
    assert other.post(path, data={"csrf": word(other.get("/").text)}).status_code == 403
    assert confirm(browser, path, tick="left-over").status_code == 400
    assert desk.asked == []
    ticks = ["half-way", "left-over"]
    assert confirm(browser, path, tick=ticks).headers["location"] == "/"
    assert confirm(browser, "/previews/pr-3/discard-by-force", tick="left-over").status_code == 303
    assert desk.asked == [("discard", name, {"force": True}, "dan") for name in ("pr-1", "pr-3")]


def test_a_promotion_that_nobody_goes_on_with_can_be_gone_on_with(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("root")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    browser = browse("root")
    with store.lease(preview.id) as lease:
        store.record(lease, to=State.PROMOTING, kind="promoting")
        assert "/previews/pr-1/promote" not in browser.get("/previews/pr-1").text

    page = browser.get("/previews/pr-1").text
    assert "Go on with the promotion" in page
    assert "Discard by force" in page
    desk.jobs["pr-1"] = Job(id="1", running=True, words="promote, asked by root")
    assert "Go on with the promotion" not in browser.get("/previews/pr-1").text


def test_one_half_of_it_and_what_becomes_of_the_preview_are_chosen_with_a_promotion(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    browser = browse("ada")
    page = browser.get("/previews/pr-1/promote").text
    assert "does not notice: statements 1 and 2. Statement 3 can follow later" in page

    allow = {"allow": "deletes_data:public.t"}
    made_up = confirm(browser, "/previews/pr-1/promote", **allow, phase="contract")
    done = confirm(browser, "/previews/pr-1/promote", **allow, phase="expand", keep="keep")

    assert (made_up.status_code, done.status_code) == (400, 303)
    allowed = ["deletes_data:public.t"]
    assert desk.asked == [("promote", "pr-1", {"allow": allowed, "phase": "expand", "keep": True}, "ada")]


def test_half_way_there_is_the_rest_and_no_discard(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    expanded = {"at": "2026-11-28T12:00:00+00:00", "main": "m", "left": ["drop column fax"]}
    bring(open_store("root"), "pr-1", State.READY, {**facts("public.t"), "expanded": expanded})
    browser = browse("root")

    page = browser.get("/previews/pr-1").text
    assert "Production has the first half of this since 2026-11-28 12:00 UTC; 1 statement left." in page
    assert "/previews/pr-1/approve" not in page
    assert "promote the rest first" in browser.get("/previews/pr-1/discard").text
    rest = browser.get("/previews/pr-1/promote").text
    assert "drop column fax." in rest
    assert 'name="allow"' not in rest
    assert confirm(browser, "/previews/pr-1/promote").status_code == 303
    assert desk.asked == [("promote", "pr-1", {}, "root")]
