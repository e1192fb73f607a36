"""Logs that are followed hold up nobody else, however many there are and however quiet."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from orchestrator.api.site import Site
from orchestrator.lifecycle import Store
from preview.ending import Ending
from preview.errors import UnknownCandidate
from tests.orchestrator.api.serving import served


class Quiet:
    """A runtime whose apps say one line, and then nothing."""

    def __init__(self) -> None:
        self.followed = 0

    def logs(self, name: str, *, tail: int, follow: bool, ending: Ending | None) -> Iterator[str]:
        del name, tail
        yield "it listens"
        if follow and ending:
            over = threading.Event()
            ending.by(over.set)
            self.followed += 1
            assert over.wait(60), "nobody let the reader go"
            self.followed -= 1


@pytest.fixture
def quiet(site: Site, open_store: Callable[..., Store]) -> Quiet:
    made = Quiet()

    class Candidates:
        def runtime(self, _preview: object) -> Any:
            return made

    site.__dict__["candidates"] = Candidates()
    open_store().create(name="pr-1", project="embedded/test", facts={"runtime": "docker"})
    return made


@pytest.fixture
def url(site: Site, quiet: Quiet) -> Iterator[str]:
    del quiet
    with served(site) as port:
        yield f"http://127.0.0.1:{port}"


def test_followers_of_a_quiet_log_hold_up_nobody(url: str, token: Callable[..., str], quiet: Quiet) -> None:
    headers = {"authorization": f"Bearer {token('viewer')}"}
    where = f"{url}/api/v1/previews/pr-1/logs?follow=true"
    with httpx.Client(headers=headers, timeout=60, limits=httpx.Limits(max_connections=None)) as client:
        assert client.get(f"{url}/api/v1/me").status_code == 200
        streams = [client.stream("GET", where) for _ in range(60)]
        opened = [each.__enter__() for each in streams]
        for each in opened:
            assert next(each.iter_lines()) == "it listens"
        assert client.get(f"{url}/api/v1/me").status_code == 200
        for each in streams:
            each.__exit__(None, None, None)
        assert client.get(f"{url}/api/v1/me").status_code == 200
    until = time.monotonic() + 30
    while quiet.followed and time.monotonic() < until:
        time.sleep(0.02)
    assert quiet.followed == 0, "their threads are held until the app says something"


def test_a_log_that_is_not_there_is_told_before_the_answer_begins(
    url: str, token: Callable[..., str], site: Site
) -> None:
    class Nothing:
        def runtime(self, _preview: object) -> Any:
            raise UnknownCandidate("no container of ours is named pr-1")

    site.__dict__["candidates"] = Nothing()
    for follow in ("true", "false"):
        answer = httpx.get(
            f"{url}/api/v1/previews/pr-1/logs?follow={follow}",
            headers={"authorization": f"Bearer {token('viewer')}"},
            timeout=60,
        )
        assert answer.status_code >= 400
        assert "pr-1" in answer.json()["error"]["message"]


def test_all_of_a_log_comes_in_order_and_ends(url: str, token: Callable[..., str], site: Site) -> None:
    class Long:
        def runtime(self, _preview: object) -> Any:
            return self

        def logs(self, _name: str, *, tail: int, follow: bool, ending: Ending | None) -> Iterator[str]:
            del follow, ending
            return (f"line {number}" for number in range(tail))

    site.__dict__["candidates"] = Long()
    answer = httpx.get(
        f"{url}/api/v1/previews/pr-1/logs?follow=true&tail=2000",
        headers={"authorization": f"Bearer {token('viewer')}"},
        timeout=60,
    )
    assert answer.text.splitlines() == [f"line {number}" for number in range(2000)]
