"""What happens is told once to each who asked for it, whoever tells it, and also when a teller dies in the middle."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neon_client import Secret
from orchestrator.lifecycle import State, Store
from orchestrator.notify.notifier import Notifier
from orchestrator.notify.outbox import MOST_ATTEMPTS, Outbox
from orchestrator.notify.sending import NotSent
from orchestrator.settings import Settings
from tests.orchestrator.dashboard.desk import PROJECT, bring, facts, question
from tests.orchestrator.notify.test_sending import Ear, ear

__all__ = ["ear"]


def settings(*targets: dict[str, Any]) -> Settings:
    return Settings.model_validate(
        {
            "project": {"name": "shop", "database": "shop"},
            "goal": {"branch": "development"},
            "dashboard": {"url": "https://previews.example.com"},
            "notify": {"to": list(targets)},
            "directory": Path(),
        }
    )


@pytest.fixture
def notifier(open_store: Callable[..., Store]) -> Callable[..., Notifier]:
    def make(*targets: dict[str, Any], project: str = PROJECT) -> Notifier:
        @contextmanager
        def opened() -> Iterator[Store]:
            yield open_store("server")

        return Notifier(settings(*targets), project=project, open_store=opened)

    return make


def bodies(ear: Ear) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in ear.heard]


def test_each_thing_is_told_once_to_each(
    ear: Ear, notifier: Callable[..., Notifier], open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    bring(store, "pr-2", State.WAITING, {"questions": [question("full_name").to_json()]})
    bring(store, "pr-3", State.FAILED, {}, error={"message": "x", "state": "migrating"})
    with store.lease(preview.id) as lease:
        store.record(lease, to=State.READY, kind="approved", note="fine")
    store.create(name="other", project="embedded/other", facts={})
    hook = {"name": "hook", "url": ear.url, "internal": True}
    chat = {"name": "chat", "kind": "chat", "url": ear.url, "internal": True, "on": ["approved"]}

    first, second = notifier(hook, chat).once(), notifier(hook, chat).once()

    assert (first, second) == ((5, 0), (0, 0))
    told = bodies(ear)
    assert sorted(each["what"] for each in told if "what" in each) == [
        "approved",
        "failed",
        "needs_answer",
        "ready",
    ]
    assert {each["page"] for each in told if "page" in each} >= {"https://previews.example.com/previews/pr-1"}
    (said,) = [each for each in told if "blocks" in each]
    assert said["text"] == "pr-1 is approved by dan"
    keys = [headers["idempotency-key"] for headers, _ in ear.heard]
    assert len(set(keys)) == 4, "the same thing has the same key for everybody"


def test_what_failed_is_told_later_and_not_for_ever(
    ear: Ear, notifier: Callable[..., Notifier], open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    bring(store, "pr-1", State.READY, facts("public.t"))
    teller, outbox = notifier({"url": ear.url, "internal": True}), Outbox(store.connection, PROJECT)
    ear.answers = [503] * MOST_ATTEMPTS

    assert teller.once() == (0, 1)
    assert teller.once() == (0, 0), "it waits for its time"
    (letter,) = outbox.all()
    assert (letter.state, letter.attempts, letter.why) == ("waiting", 1, "127.0.0.1 answers 503")
    for _ in range(MOST_ATTEMPTS - 1):
        store.connection.execute("update preview_control.letter set next_at = now()")
        assert teller.once() == (0, 1)
    assert outbox.all()[0].state == "given up"

    assert outbox.again() == 1
    assert teller.once() == (1, 0)
    assert outbox.all()[0].state == "sent"


def test_who_does_not_answer_keeps_nobody_else_waiting(
    ear: Ear,
    notifier: Callable[..., Notifier],
    open_store: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store("dan")
    for number in range(3):
        bring(store, f"pr-{number}", State.READY, facts("public.t"))
    asked: list[str] = []

    def send(url: Secret, *_: object, **__: object) -> None:
        asked.append(url.reveal())
        if "hangs" in url.reveal():
            raise NotSent("did not answer", again=True)

    monkeypatch.setattr("orchestrator.notify.sending.send", send)
    teller = notifier({"name": "hangs", "url": "https://hangs.example"}, {"name": "good", "url": ear.url})

    assert teller.once() == (3, 1)
    assert asked.count("https://hangs.example") == 1


def test_a_revert_is_told_and_a_discard_to_whoever_asks(
    ear: Ear, notifier: Callable[..., Notifier], open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    promoted = bring(store, "pr-1", State.CLOSED, {"promotion": {"id": "x"}})
    bring(store, "pr-2", State.CLOSED, {})
    history = open_store("ada").promotions(PROJECT)
    done = history.begin(preview_id=promoted.id, preview_name="pr-1", facts={})
    history.record(done.id, "done")
    back = history.begin(preview_id=promoted.id, preview_name="pr-1", facts={}, reverts=done.id)
    history.record(back.id, "failed", note="no lock was granted")
    history.record(back.id, "done")

    assert notifier({"url": ear.url, "internal": True, "on": ["reverted", "failed", "discarded"]}).once() == (
        3,
        0,
    )
    assert [(each["what"], each["text"]) for each in bodies(ear)] == [
        ("discarded", "pr-2 is discarded"),
        ("failed", "the revert of pr-1 failed"),
        ("reverted", "pr-1 was taken back from production by ada"),
    ]


def test_a_teller_who_died_is_followed_by_the_next(
    ear: Ear, notifier: Callable[..., Notifier], open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    bring(store, "pr-1", State.READY, facts("public.t"))
    outbox = Outbox(store.connection, PROJECT)
    outbox.collect(store, {"team": ("webhook", frozenset({"ready"}))}, hours=1, pages=None)
    assert outbox.take() is not None  # and it is never heard of again

    teller = notifier({"url": ear.url, "internal": True})
    assert teller.once() == (0, 0)
    store.connection.execute("update preview_control.letter set next_at = next_at - interval '2 minutes'")

    assert teller.once() == (1, 0)
    assert len(ear.heard) == 1


def test_tellers_at_once_tell_it_once(
    ear: Ear, notifier: Callable[..., Notifier], open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    for number in range(6):
        bring(store, f"pr-{number}", State.READY, facts("public.t"))
    tellers = [notifier({"url": ear.url, "internal": True}) for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        counts = list(threads.map(lambda each: each.once(), tellers))

    assert sum(sent for sent, _ in counts) == 6
    assert sorted(each["preview"] for each in bodies(ear)) == [f"pr-{number}" for number in range(6)]


def test_an_end_that_comes_near_is_told_once_for_each_end(
    ear: Ear, notifier: Callable[..., Notifier], open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    bring(store, "pr-1", State.READY, facts("public.t"))
    teller = notifier({"url": ear.url, "internal": True, "on": ["expiring"]})
    soon, later, far = (datetime.now(UTC) + timedelta(hours=hours) for hours in (10, 11, 100))
    sent = []
    for end in (far, soon, soon, later):
        store.connection.execute("update preview_control.preview set expires_at = %s", (end,))
        sent.append(teller.once()[0])

    assert sent == [0, 1, 0, 1]
    assert {each["what"] for each in bodies(ear)} == {"expiring"}


def test_internal_addresses_are_refused_unless_allowed_and_secrets_come_from_the_environment(
    ear: Ear,
    notifier: Callable[..., Notifier],
    open_store: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store("dan")
    bring(store, "pr-1", State.READY, facts("public.t"))
    monkeypatch.setenv("HOOK_URL", ear.url)
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    inside = {"name": "inside", "url": ear.url}
    named = {"name": "named", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET", "internal": True}
    unset = {"name": "unset", "url_env": "NOT_SET"}

    assert notifier(inside, named, unset).once() == (1, 2)

    told = {letter.target: letter for letter in Outbox(store.connection, PROJECT).all()}
    assert told["inside"].state == "given up"
    assert "private network" in told["inside"].why
    assert (told["unset"].state, told["unset"].why) == ("waiting", "$NOT_SET is not set")
    assert told["named"].state == "sent"
    assert "preview-signature" in ear.heard[0][0]
    kept = str(store.connection.execute("select array_agg(l::text) from preview_control.letter l").fetchone())
    assert "s3cret" not in kept
    assert ear.url not in kept
