"""Pictures of start pages: one that could not be taken on a busy machine is tried again, when somebody looks."""

import time
from collections.abc import Callable

import pytest

from orchestrator.dashboard import pictures
from orchestrator.dashboard.pictures import Picture, Pictures
from orchestrator.lifecycle import Preview, State, Store
from tests.orchestrator.dashboard.desk import bring, facts


def looked_at(taking: Pictures, preview: Preview, wanted: Callable[[Picture], bool]) -> Picture:
    until = time.monotonic() + 20
    while not wanted(found := taking.of(preview)):
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found


def test_a_picture_that_failed_is_tried_again_and_one_that_is_there_is_kept(
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [(b"", "the browser took none"), (b"png", "")]
    monkeypatch.setattr(pictures, "take", lambda *_: answers.pop(0))
    preview = bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))

    waiting = Pictures("browser")
    failed = looked_at(waiting, preview, lambda found: found.why_not.startswith("There is no picture"))
    assert failed.why_not == "There is no picture: the browser took none."
    assert len(answers) == 1, "not at once"

    monkeypatch.setattr(pictures, "_AGAIN_SECONDS", -1.0)
    answers.insert(0, (b"", "the browser took none"))
    again = Pictures("browser")
    assert looked_at(again, preview, lambda found: bool(found.content)).content == b"png"
    assert again.of(preview).content == b"png"
    assert answers == []
