"""What is asked of the server by answers and by buttons, what their pages say first, and whom it is refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fastapi.testclient import TestClient

from orchestrator.access import Caller
from orchestrator.dashboard.desk import Job, Problem
from orchestrator.errors import Refused
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import PEOPLE, FakeDesk, bring, facts, question
from tests.orchestrator.dashboard.forms import confirm, word

Browse = Callable[..., TestClient]


def test_a_question_is_answered_in_a_form(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    asked = question("full_name")
    bring(open_store("dan"), "pr-1", State.WAITING, {"questions": [asked.to_json()]})
    browser = browse("dan")
    page = browser.get("/previews/pr-1").text
    assert asked.evidence[0] in page

    form = {"csrf": word(page), "question": asked.id}
    nothing = browser.post("/previews/pr-1/answer", data=form)
    assert 'id="wrong-1"' in nothing.text
    assert 'aria-describedby="wrong-1"' in nothing.text
    other = browser.post("/previews/pr-1/answer", data={**form, "question": "rename:x", "answer-1": "name"})
    answer = browser.post("/previews/pr-1/answer", data={**form, "answer-1": "name"})

    assert (nothing.status_code, other.status_code) == (400, 400)
    assert (answer.status_code, answer.headers["location"]) == (303, "/previews/pr-1")
    assert desk.asked == [("answer", "pr-1", {"answers": {asked.id: "name"}}, "dan")]


def test_an_author_is_refused_on_the_page_where_the_setting_says_so(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    desk.author_may_approve = False
    bring(open_store("ada"), "pr-1", State.READY, facts("public.t"))
    browser = browse("ada")

    overview = browser.get("/previews/pr-1").text
    refused = browser.get("/previews/pr-1/approve").text
    posted = browser.post("/previews/pr-1/approve", data={"csrf": word(overview), "seen": "x"})

    assert "somebody else has to approve it" in overview
    assert "somebody else has to approve it" in refused
    assert '<form method="post" action="/previews' not in refused
    assert posted.status_code == 403
    assert desk.asked == []
    assert desk.refusals == [("ada", "approve", "pr-1")]
    assert confirm(browse("root"), "/previews/pr-1/approve", note="looks good").status_code == 303
    assert desk.asked == [("approve", "pr-1", {"allow": [], "note": "looks good"}, "root")]


def test_who_may_what(browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]) -> None:
    """Every role and every verb, on dan's preview; the same by its button and by a form made by hand."""
    verbs = ("up", "rebase", "sleep", "discard", "approve", "promote")
    preview = bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    callers = {who: Caller(who=who, role=role) for who, role in PEOPLE.items()}
    may = {
        who: [verb for verb in verbs if not desk.forbids(verb, each, preview)]
        for who, each in callers.items()
    }
    assert may["vera"] == []
    assert may["dan"][-1] == "discard"
    assert may["ada"][-2:] == ["approve", "promote"]
    assert may["root"] == list(verbs)

    for who, allowed in may.items():
        browser = browse(who)
        csrf = word(browser.get("/").text)
        for verb in verbs:
            page = browser.get(f"/previews/pr-1/{verb}").text
            seen = word(page, "seen") if verb in allowed else "x"
            form = {"csrf": csrf, "seen": seen, "allow": "deletes_data:public.t"}
            answer = browser.post(f"/previews/pr-1/{verb}", data=form)
            assert answer.status_code == (303 if verb in allowed else 403), (who, verb)

    assert [(who, verb) for verb, _, _, who in desk.asked] == [
        (who, verb) for who in may for verb in may[who]
    ]


def test_somebody_elses_preview_is_not_a_developers_to_change(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    bring(open_store("eve"), "pr-1", State.READY, facts("public.t"))
    browser = browse("dan")

    for verb in ("discard", "up", "sleep"):
        assert "pr-1 belongs to eve" in browser.get(f"/previews/pr-1/{verb}").text
        posted = browser.post(
            f"/previews/pr-1/{verb}", data={"csrf": word(browser.get("/").text), "seen": "x"}
        )
        assert posted.status_code == 403
    assert desk.asked == []


def test_what_moved_since_it_was_looked_at_is_looked_at_again(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    browser = browse("ada")
    page = browser.get("/previews/pr-1/approve").text
    with store.lease(preview.id) as lease:
        plan = {**preview.facts["plan"], "digest": "e" * 64}
        store.record(lease, to=State.READY, kind="step", facts={"plan": plan})

    answer = browser.post("/previews/pr-1/approve", data={"csrf": word(page), "seen": word(page, "seen")})

    assert answer.status_code == 409
    assert "has changed since you looked at it" in answer.text
    assert desk.asked == []


def test_a_refusal_and_a_failed_job_are_told_on_the_page(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    browser = browse("ada")
    desk.fails = Refused("main has moved", hint="bring it up to date")

    refused = confirm(browser, "/previews/pr-1/approve")
    desk.jobs["pr-1"] = Job(
        id="1", running=False, words="promote", error=Problem(message="no lock was granted", hint="try again")
    )

    assert refused.status_code == 409
    assert "main has moved" in refused.text
    assert "no lock was granted" in browser.get("/previews/pr-1").text


def test_time_is_given_and_a_discarded_one_comes_back(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    store.live_until(preview.id, datetime.now(UTC) + timedelta(days=2), kind="extended", note="")
    browser = browse("dan")

    assert confirm(browser, "/previews/pr-1/extend", lasting="7d").status_code == 303
    assert confirm(browser, "/previews/pr-1/keep").status_code == 303
    assert confirm(browser, "/previews/pr-1/discard", branch="kept").status_code == 303
    assert confirm(browser, "/previews/pr-1/discard").status_code == 303

    for name, hours, offered in (("pr-2", 5, True), ("pr-3", -5, False)):
        until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")
        bring(store, name, State.CLOSED, {**facts("public.t"), "kept": {"until": until}})
        page = browser.get(f"/previews/{name}").text
        assert ("it can be restored until then" in page) is offered
        assert (f"/previews/{name}/restore" in page) is offered
    assert browser.get("/previews/pr-3/restore").status_code == 409
    assert confirm(browser, "/previews/pr-2/restore").status_code == 303
    assert desk.asked == [
        ("extend", "pr-1", {"lasting": "7d"}, "dan"),
        ("keep", "pr-1", {}, "dan"),
        ("discard", "pr-1", {"keep_for": "2d"}, "dan"),
        ("discard", "pr-1", {"keep_for": "0"}, "dan"),
        ("restore", "pr-2", {}, "dan"),
    ]
