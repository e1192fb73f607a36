"""Pages that tell by themselves what has changed: streams against what their pages were made from, and logs."""

import re
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from orchestrator.access import Caller
from orchestrator.dashboard import live
from orchestrator.dashboard.desk import Job, Problem
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import FakeDesk, bring, facts

Browse = Callable[..., TestClient]


def stream_of(text: str) -> str:
    """The address of a page's own stream."""
    found = re.search('sse-connect="([^"]+)"', text)
    assert found, text[:400]
    return found[1]


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
