"""Pages to look at: the list, a preview, its report, logs and mails; and the form that asks for a new one."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from orchestrator.dashboard.desk import Job, Mail
from orchestrator.facts import past
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import FakeDesk, bring, facts, question
from tests.orchestrator.dashboard.forms import word

Browse = Callable[..., TestClient]


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


def test_mails_are_shown_as_text(browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    desk.sent = (
        Mail(id="1", subject="Welcome <b>", sender="a@b", to="c@d", at="now", text="<script>x</script>"),
    )
    browser = browse("vera")

    assert "Welcome &lt;b&gt;" in browser.get("/previews/pr-1/mails").text
    assert "&lt;script&gt;x" in browser.get("/previews/pr-1/mails/1").text
    assert browser.get("/previews/pr-1/mails/2").status_code == 404
