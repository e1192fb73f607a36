"""Workers beside each other: a job that two have at the same instant is done once, and who starts looks round."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.access import Caller, Role
from orchestrator.acts.access import Asked
from orchestrator.acts.table import Act, NoArguments
from orchestrator.api.site import Site
from orchestrator.errors import DatabaseUnreachable
from orchestrator.jobs import work
from orchestrator.jobs.queue import SCHEMA
from orchestrator.jobs.work import Works
from orchestrator.jobs.worker import Worker
from orchestrator.lifecycle import Store
from orchestrator.settings import Settings

PROJECT = "embedded/twice"
ADA = Caller(who="ada", role=Role.ADMIN)


@dataclass
class Acting:
    """An act that waits to be let go, and counts."""

    began: list[str] = field(default_factory=list)
    at_it: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    #: How the first of them ends, when not well.
    first: Exception | None = None

    def __call__(self, request: Any, _arguments: Any) -> dict[str, Any]:
        self.began.append(request.name)
        number = len(self.began)
        self.at_it.set()
        assert self.go.wait(60)
        if number == 1 and self.first is not None:
            raise self.first
        return {"number": number}


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch) -> Acting:
    made = Acting()
    asked = Asked(role=Role.DEVELOPER)
    act = Act(name="test", summary="", of="new", asked=asked, arguments=NoArguments, run=made)
    monkeypatch.setitem(work.ACTS, "test", act)

    @contextmanager
    def assembled(*_: object, **__: object) -> Iterator[Any]:
        yield SimpleNamespace(store=SimpleNamespace(who=""))

    monkeypatch.setattr(work, "assemble", assembled)
    return made


@pytest.fixture
def site(
    tmp_path: Path, store_uri: str, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setenv("PREVIEW_STORE_URL", store_uri)
    open_store()
    settings = Settings.model_validate(
        {
            "project": {"name": "nowhere", "database": "shop"},
            "goal": {"branch": "development"},
            "directory": tmp_path,
        }
    )
    made = Site(settings, project=PROJECT)
    yield made
    made.close()


@pytest.fixture
def stands_by(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when somebody has found that another is at its job."""
    told, sleep = threading.Event(), time.sleep

    def waited(seconds: float) -> None:
        if seconds == work._STANDS_BY_SECONDS:
            told.set()
        sleep(seconds / 20)

    monkeypatch.setattr(work.time, "sleep", waited)
    return told


def works(site: Site) -> Works:
    return Works(site.settings, project=PROJECT, uri=site.uri, submissions=site.submissions)


def asked(site: Site, name: str) -> str:
    with site.book() as book:
        return book.add(project=PROJECT, act="test", name=name, arguments={}, caller=ADA)[0].id


def test_the_second_stands_by_and_finds_that_it_is_done(
    site: Site, acting: Acting, stands_by: threading.Event
) -> None:
    job = asked(site, "pr-1")
    with ThreadPoolExecutor() as both:
        first = both.submit(works(site).perform, job)
        assert acting.at_it.wait(60)
        second = both.submit(works(site).perform, job)
        assert stands_by.wait(60)
        acting.go.set()
        first.result()
        second.result()
    assert acting.began == ["pr-1"]
    with site.book() as book:
        ended = book.get(job)
    assert (ended.state, ended.attempts, ended.result) == ("done", 1, {"number": 1})


def test_the_second_goes_on_when_the_first_dies(
    site: Site, acting: Acting, stands_by: threading.Event
) -> None:
    acting.first = DatabaseUnreachable("its connection was cut")
    job = asked(site, "pr-1")
    with ThreadPoolExecutor() as both:
        first = both.submit(works(site).perform, job)
        assert acting.at_it.wait(60)
        second = both.submit(works(site).perform, job)
        assert stands_by.wait(60)
        acting.go.set()
        with pytest.raises(DatabaseUnreachable):
            first.result()
        second.result()
    with site.book() as book:
        ended = book.get(job)
    assert (ended.state, ended.attempts, ended.result) == ("done", 2, {"number": 2})


def test_who_stands_by_for_too_long_leaves_the_job_as_it_is(
    site: Site, acting: Acting, stands_by: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never an end in the name of somebody who is at it."""
    monkeypatch.setattr(work, "_PATIENCE_SECONDS", 0.0)
    job = asked(site, "pr-1")
    with ThreadPoolExecutor() as both:
        first = both.submit(works(site).perform, job)
        assert acting.at_it.wait(60)
        works(site).perform(job)
        with site.book() as book:
            assert book.get(job).state == "running"
        acting.go.set()
        first.result()
    with site.book() as book:
        assert book.get(job).result == {"number": 1}


def test_two_workers_who_fetched_the_same_job_do_it_once_and_both_go_on(
    site: Site, acting: Acting, stands_by: threading.Event
) -> None:
    """The queue gives it to the second while the first is at it, as a rescue does that takes a living one for dead."""
    workers = [Worker(works(site), project=PROJECT, uri=site.uri, jobs=1) for _ in range(2)]
    for each in workers:
        each.start()
    try:
        job = asked(site, "pr-1")
        with site.book() as book:
            site.submissions.queue(book.get(job))
        assert acting.at_it.wait(60)
        with site.store("test") as store, store.connection.transaction():
            store.connection.execute(f"set local search_path to {SCHEMA}".encode())  # for its triggers
            store.connection.execute(
                "update procrastinate_jobs set status = 'todo' where status = 'doing' and task_name = 'perform'"
            )
        assert stands_by.wait(60)
        acting.go.set()
        further = [asked(site, f"pr-{number}") for number in (2, 3)]
        with site.book() as book:
            for each in further:
                site.submissions.queue(book.get(each))
        until = time.monotonic() + 60
        while True:
            with site.book() as book:
                found = [book.get(each) for each in (job, *further)]
            if all(each.ended for each in found):
                break
            assert time.monotonic() < until, found
            time.sleep(0.05)
    finally:
        stopped = [each.stop() for each in workers]
    assert stopped == [True, True]
    assert sorted(acting.began) == ["pr-1", "pr-2", "pr-3"]
    assert [(each.state, each.attempts) for each in found] == [("done", 1)] * 3


def test_a_worker_looks_at_everything_when_it_starts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when another has looked in this minute: the machine may have gone down since."""
    looked = threading.Semaphore(0)
    monkeypatch.setattr(Works, "heal", lambda _self: looked.release())
    for _ in range(2):
        worker = Worker(works(site), project=PROJECT, uri=site.uri, jobs=1)
        worker.start()
        assert looked.acquire(timeout=45)
        assert worker.stop()
        while looked.acquire(blocking=False):
            pass


def test_only_one_gives_the_jobs_of_the_dead_back(site: Site) -> None:
    with works(site).rescuing() as mine, works(site).rescuing() as another:
        assert (mine, another) == (True, False)
    with works(site).rescuing() as again:
        assert again
