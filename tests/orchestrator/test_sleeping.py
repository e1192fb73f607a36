"""Sleep and wake on a real diary, with candidates that only remember: what is written when, and who is left alone."""

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import Busy, Refused, StepFailed
from orchestrator.lifecycle import Preview, State, Store, Wanted
from orchestrator.lifecycle.visits import Visits
from orchestrator.sleeping import Sleeping

#: Where nobody listens, and nobody is connected to.
URL = "http://127.0.0.1:9"


class Remembering:
    """Stands for Candidates: remembers what was asked, and can fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing = False
        self.wakes_at = URL

    def sleep(self, preview: Preview) -> None:
        self.asked.append("sleep")
        if self.failing:
            raise StepFailed("the engine is away")

    def wake(self, preview: Preview, uri: Callable[[], Any], detail: Callable[[str], None]) -> str:
        self.asked.append("wake")
        if self.failing:
            raise StepFailed("it is not healthy")
        return self.wakes_at


@pytest.fixture
def candidates() -> Remembering:
    return Remembering()


@pytest.fixture
def sleeping(store: Store, candidates: Remembering) -> Sleeping:
    project: Any = SimpleNamespace(key="embedded/p-1", uri=lambda _branch: None)
    return Sleeping(store, store.visits(), project, candidates)  # type: ignore[arg-type]


def ready(store: Store, name: str = "pr-1", **facts: Any) -> Preview:
    preview = store.create(
        name=name, project="embedded/p-1", facts={"url": URL, "branch": {"id": "br-1"}, **facts}
    )
    with store.lease(preview.id) as lease:
        for to in (State.MIGRATING, State.LAUNCHING, State.CHECKING, State.READY):
            preview = store.record(lease, to=to, kind="step")
    return preview


def kinds(store: Store, preview: Preview) -> list[str]:
    return [event.kind for _, event in store.history(preview.id) if event.kind in ("asleep", "awake")]


def test_sleep_and_wake_are_written_down_once_and_leave_the_state_alone(
    store: Store, sleeping: Sleeping, candidates: Remembering
) -> None:
    preview = ready(store)
    assert sleeping.sleep(preview.id).facts["sleeping_since"]
    since = sleeping.sleep(preview.id).facts["sleeping_since"]
    assert since == store.get(preview.id).facts["sleeping_since"]

    candidates.wakes_at = "http://127.0.0.1:20001"
    woken = sleeping.wake(preview.id)
    again = sleeping.wake(preview.id)

    assert (woken.state, woken.facts["url"]) == (State.READY, "http://127.0.0.1:20001")
    assert "sleeping_since" not in woken.facts
    assert again == woken
    assert kinds(store, preview) == ["asleep", "awake"]
    assert candidates.asked == ["sleep", "sleep", "wake"]


def test_it_counts_as_asleep_before_the_app_is_stopped_and_until_it_is_healthy(
    store: Store, sleeping: Sleeping, candidates: Remembering
) -> None:
    preview = ready(store)
    candidates.failing = True
    with pytest.raises(StepFailed):
        sleeping.sleep(preview.id)
    assert store.get(preview.id).facts["sleeping_since"]
    with pytest.raises(StepFailed, match="not healthy"):
        sleeping.wake(preview.id)
    assert store.get(preview.id).facts["sleeping_since"]
    candidates.failing = False
    assert "sleeping_since" not in sleeping.wake(preview.id).facts


def test_who_is_not_at_rest_can_neither_sleep_nor_wake(
    store: Store, sleeping: Sleeping, candidates: Remembering
) -> None:
    begun = store.create(name="begun", project="embedded/p-1", facts={})
    with pytest.raises(Refused, match="it is branching"):
        sleeping.sleep(begun.id)
    bare = ready(store, "bare", url=None)
    with pytest.raises(Refused, match="no app"):
        sleeping.wake(bare.id)
    closing = ready(store, "closing")
    store.want(closing.id, Wanted.CLOSED, note="preview discard")
    with pytest.raises(Refused, match="being discarded"):
        sleeping.sleep(closing.id)
    assert candidates.asked == []


def test_while_another_process_works_on_it_it_is_busy(
    store: Store, open_store: Callable[..., Store], sleeping: Sleeping
) -> None:
    preview = ready(store)
    other = open_store("bob@test")
    with other.lease(preview.id):
        with pytest.raises(Busy):
            sleeping.sleep(preview.id)
        assert sleeping.put_idle_to_sleep(timedelta(0), now=later()) == ()
    assert sleeping.put_idle_to_sleep(timedelta(0), now=later()) == ("pr-1",)


def later(**more: float) -> datetime:
    return datetime.now(UTC) + timedelta(**{"hours": 1, **more})


def test_only_those_sleep_that_nobody_asked_for_in_time(
    store: Store, sleeping: Sleeping, candidates: Remembering
) -> None:
    asked, idle = ready(store, "asked"), ready(store, "idle")
    now = later()
    store.visits().write({asked.id: now - timedelta(minutes=5), idle.id: now - timedelta(minutes=50)})

    assert sleeping.put_idle_to_sleep(timedelta(minutes=30), now=now) == ("idle",)
    assert sleeping.put_idle_to_sleep(timedelta(minutes=30), now=now) == ()
    assert not store.get(asked.id).facts.get("sleeping_since")
    # What was looked at anew is not what the round began with: it was asked for meanwhile.
    assert sleeping.put_idle_to_sleep(timedelta(minutes=3), now=now) == ("asked",)


def test_one_that_was_only_just_made_is_not_idle(store: Store, sleeping: Sleeping) -> None:
    ready(store)
    assert sleeping.put_idle_to_sleep(timedelta(minutes=30)) == ()


def test_another_projects_previews_are_left_alone(store: Store, sleeping: Sleeping) -> None:
    other = store.create(name="other", project="embedded/p-2", facts={"url": URL})
    with store.lease(other.id) as lease:
        for to in (State.MIGRATING, State.LAUNCHING, State.CHECKING, State.READY):
            store.record(lease, to=to, kind="step")
    assert sleeping.put_idle_to_sleep(timedelta(0), now=later()) == ()


def test_an_open_connection_keeps_it_awake(store: Store, sleeping: Sleeping) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready(store, url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with socket.create_connection(listener.getsockname()), listener.accept()[0]:
            assert sleeping.put_idle_to_sleep(timedelta(0), now=later()) == ()
        assert sleeping.put_idle_to_sleep(timedelta(0), now=later()) == ("pr-1",)


def test_eight_who_wake_at_once_wake_it_once(
    store: Store, open_store: Callable[..., Store], candidates: Remembering
) -> None:
    preview = ready(store, sleeping_since="2026-01-01T00:00:00+00:00")
    project: Any = SimpleNamespace(key="embedded/p-1", uri=lambda _branch: None)
    barrier = threading.Barrier(8)

    def wake() -> None:
        own = open_store()
        sleeping = Sleeping(own, own.visits(), project, candidates, wait=lambda _holder: True)  # type: ignore[arg-type]
        barrier.wait()
        sleeping.wake(preview.id)

    threads = [threading.Thread(target=wake) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert candidates.asked == ["wake"]
    assert kinds(store, preview) == ["awake"]


def test_visits_keep_the_latest_and_forget_who_is_gone(store: Store) -> None:
    preview = ready(store)
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    visits: Visits = store.visits()
    visits.write({preview.id: late, "00000000": late})
    visits.write({preview.id: early})
    visits.write({})
    assert visits.last() == {preview.id: late}
