"""Over HTTP: what is shown, what is asked of the server, and whom it is refused."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from orchestrator.access import Audit, Caller
from orchestrator.dashboard import live
from orchestrator.dashboard.desk import Job, Mail, Problem, WayBack
from orchestrator.errors import Refused
from orchestrator.facts import past
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import PEOPLE, FakeDesk, bring, facts, question, ran, sharing

Browse = Callable[..., TestClient]


def word(text: str, name: str = "csrf") -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, f"no {name} in {text[:400]}"
    return found[1]


def confirm(browser: TestClient, path: str, **more: object) -> "TestClient | object":
    page = browser.get(path).text
    return browser.post(path, data={"csrf": word(page), "seen": word(page, "seen"), **more})


def test_the_list_shows_what_needs_a_person_first(browse: Browse, open_store: Callable[..., Store]) -> None:
    store = open_store("dan")
    bring(store, "pr-2", State.READY, facts("public.t"))
    bring(store, "pr-1", State.WAITING, {"questions": [question("full_name").to_json()]})

    text = browse("vera").get("/").text

    assert text.index("/previews/pr-1") < text.index("/previews/pr-2")
    assert "1 question<" in text
    assert "3 statements" in text
    assert "New preview" not in text


def test_a_preview_of_another_project_is_not_there(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    open_store("dan").create(name="pr-9", project="embedded/other", facts={})
    browser = browse("root")

    assert "pr-9" not in browser.get("/").text
    for path in (
        "",
        "/report",
        "/logs",
        "/mails",
        "/picture",
        "/promote",
        "/live",
        "/logs/live",
        "/parts/now",
    ):
        assert browser.get(f"/previews/pr-9{path}").status_code == 404, path


def test_what_another_project_had_of_the_same_name_hides_nothing(
    browse: Browse, open_store: Callable[..., Store]
) -> None:
    """Names are alone among live previews of the store; the closed ones of two projects may share one."""
    store = open_store("dan")
    mine = bring(store, "pr-1", State.CLOSED, facts("public.mine"))
    bring(store, "pr-1", State.CLOSED, facts("public.theirs"), project="embedded/other")

    page = browse("vera").get("/previews/pr-1")

    assert page.status_code == 200
    assert "public.mine" in page.text
    assert "public.theirs" not in page.text
    assert [each for each, _ in past(store, "pr-1", project=mine.project)] == ["pr-1"] * len(
        store.history(mine.id)
    )


def test_a_page_that_comes_before_its_preview_is_told_when_that_is_there(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another project's last preview had the name: its row is none that this stream is about."""
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0)
    store = open_store("dan")
    bring(store, "pr-1", State.CLOSED, facts("public.theirs"), project="embedded/other")
    desk.jobs["pr-1"] = Job(id="1", running=True, words="up, asked by ada")
    browser = browse("ada")
    then = iter(
        (
            lambda: None,
            lambda: bring(store, "pr-1", State.READY, facts("public.mine")),
            lambda: None,
            lambda: desk.gone.add("ada"),  # which ends the stream
        )
    )

    def lines(_name: str, after: int) -> tuple[int, list[str]]:
        next(then)()
        return after, []

    monkeypatch.setattr(desk, "lines", lines)

    coming = browser.get("/previews/pr-1")
    stream = browser.get(stream_of(coming.text))

    assert (coming.status_code, stream.status_code) == (200, 200)
    assert re.findall("event: (.+)", stream.text) == ["changed", "content", "end"]


def stream_of(text: str) -> str:
    """The address of a page's own stream."""
    found = re.search('sse-connect="([^"]+)"', text)
    assert found, text[:400]
    return found[1]


def test_what_happens_between_a_page_and_its_stream_is_told_by_the_first_look(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream compares with what its page was made from; a page that nothing has happened to since is told nothing."""
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0)
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    promotions = store.promotions(desk.project)
    made = promotions.begin(preview_id=preview.id, preview_name="pr-1", facts={})
    desk.jobs["pr-2"] = Job(id="1", running=True, words="up, asked by ada")
    browser = browse("ada")
    leave: Iterator[bool] = iter(())

    def caller(token: str) -> Caller | None:
        return None if next(leave) else FakeDesk.caller(desk, token)

    def told(path: str, change: Callable[[], object] = lambda: None) -> list[str]:
        """What a stream says in one look, before its person's token is revoked."""
        nonlocal leave
        address = stream_of(browser.get(path).text)
        change()
        leave = iter((False, False, True))  # coming in, one look, and no more
        monkeypatch.setattr(desk, "caller", caller)
        said = re.findall("event: (.+)", browser.get(address).text)
        monkeypatch.undo()
        monkeypatch.setattr(live, "_LOOK_SECONDS", 0)
        return said[:-1]

    def note() -> None:
        with store.lease(preview.id) as lease:
            store.record(lease, to=State.READY, kind="noted")

    def other_plan() -> None:
        with store.lease(preview.id) as lease:
            plan = {**preview.facts["plan"], "digest": "e" * 64}
            store.record(lease, to=State.READY, kind="step", facts={"plan": plan})

    page, of_promotion = "/previews/pr-1", f"/promotions/{made.id}"
    assert [told(each) for each in ("/", page, of_promotion, "/previews/pr-2")] == [[]] * 4
    assert told("/", note) == ["changed"]
    assert told(page, note) == ["changed"]
    assert told(page, other_plan) == ["changed", "content"]
    assert told(of_promotion, lambda: promotions.record(made.id, "applying")) == ["changed"]
    ended = Job(id="1", running=False, words="up", error=Problem(message="no"))
    assert told("/previews/pr-2", lambda: desk.jobs.update({"pr-2": ended})) == ["changed"]


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


def test_a_new_preview_is_asked_for_and_followed_before_its_row_is_there(
    browse: Browse, desk: FakeDesk
) -> None:
    browser = browse("dan")
    csrf = word(browser.get("/").text)

    wrong = browser.post("/previews", data={"csrf": csrf, "name": "../x"})
    made = browser.post("/previews", data={"csrf": csrf, "name": "pr-7"})
    desk.jobs["pr-7"] = Job(id="1", running=True, words="up, asked by dan")

    assert wrong.status_code == 400
    assert 'value="../x" aria-invalid="true"' in wrong.text
    assert 'id="name-wrong"' in wrong.text
    assert (made.status_code, made.headers["location"]) == (303, "/previews/pr-7")
    assert desk.asked == [("up", "pr-7", {}, "dan")]
    assert "up, asked by dan" in browser.get("/previews/pr-7").text
    assert browser.get("/previews/pr-8").status_code == 404


def test_the_report_is_a_file_to_keep(browse: Browse, open_store: Callable[..., Store]) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))

    answer = browse("vera").get("/previews/pr-1/report")

    assert answer.headers["content-disposition"] == 'attachment; filename="pr-1-report.html"'
    assert "sandbox" in answer.headers["content-security-policy"]


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
    assert "took 3.0 ms; locked ACCESS EXCLUSIVE on add it" in page
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


def test_mails_are_shown_as_text(browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    desk.sent = (
        Mail(id="1", subject="Welcome <b>", sender="a@b", to="c@d", at="now", text="<script>x</script>"),
    )
    browser = browse("vera")

    assert "Welcome &lt;b&gt;" in browser.get("/previews/pr-1/mails").text
    assert "&lt;script&gt;x" in browser.get("/previews/pr-1/mails/1").text
    assert browser.get("/previews/pr-1/mails/2").status_code == 404


def test_a_log_ends_its_stream_when_it_ends(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    desk.log_lines = ("one", "two <script>", "postgresql://a:secret@h/x")

    answer = browse("vera").get("/previews/pr-1/logs/live")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "<li>one</li>" in answer.text
    assert "<li>two &lt;script&gt;</li>" in answer.text
    assert "secret" not in answer.text
    assert "event: end" in answer.text


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
