"""Share links on their page: shown once, taken back, and whose they are to make."""

from collections.abc import Callable
from datetime import timedelta

from fastapi.testclient import TestClient

from orchestrator.access import Audit
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import FakeDesk, bring, facts, sharing
from tests.orchestrator.dashboard.forms import confirm, word

Browse = Callable[..., TestClient]


def test_a_link_is_shown_once_and_taken_back(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    browser = browse("dan")
    assert "/previews/pr-1/shares" in browser.get("/previews/pr-1").text
    form = {
        "csrf": word(browser.get("/previews/pr-1/shares").text),
        "lasts": "12h",
        "note": "Grace\0, design",
    }

    page = browser.post("/previews/pr-1/shares", data=form).text
    secret = word(page.replace('id="link" class="whole" readonly value', 'name="link" value'), "link")
    (link,) = store.shares().of(preview.id)

    assert secret.startswith(f"https://pr-1.preview.example.com/.preview/share/share_{link.id}_")
    assert (link.note, link.made_by) == ("Grace, design", "dan")
    assert store.shares().use(secret.rpartition("/")[2], preview.id)
    assert secret not in browser.get("/previews/pr-1/shares").text
    assert "Grace, design" in browser.get("/previews/pr-1/shares").text
    assert browser.post("/previews/pr-1/shares", data={**form, "lasts": "99d"}).status_code == 400
    path = f"/previews/pr-1/shares/{link.id}/revoke"
    assert "sees the preview no longer" in browser.get(path).text
    assert confirm(browser, path).headers["location"] == "/previews/pr-1/shares"
    assert store.shares().use(secret.rpartition("/")[2], preview.id) is None
    assert browser.get("/previews/pr-1/shares/00000000/revoke").status_code == 404
    told = [(event.kind, event.who) for _, event in store.history(preview.id)][-2:]
    assert told == [("shared", "dan"), ("not shared", "dan")]
    audit = [(each.action, each.outcome) for each in Audit(store.connection).read()]
    assert audit == [("share revoke", "allowed"), ("share", "allowed")]


def test_only_its_owner_shares_a_preview(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    link, _ = store.shares().make(preview.id, lasts=timedelta(days=1), by="dan")

    for who, status in (("vera", 403), ("ada", 403), ("root", 200)):
        browser = browse(who)
        page = browser.get("/previews/pr-1/shares").text
        assert ("You cannot make or revoke links" in page) is (status == 403)
        form = {"csrf": word(page), "lasts": "2d"}
        assert browser.post("/previews/pr-1/shares", data=form).status_code == status, who
        revoked = browser.post(f"/previews/pr-1/shares/{link.id}/revoke", data=form)
        assert revoked.status_code == (403 if status == 403 else 303), who
    assert len(store.shares().of(preview.id)) == 2

    desk.sharing = sharing(gateway=False)
    assert "gateway, which is not enabled" in browse("dan").get("/previews/pr-1/shares").text
    assert "/previews/pr-1/shares" not in browse("dan").get("/previews/pr-1").text
