"""Streams: whose newest is live, when there are too many, and what a look that fails does to the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from orchestrator.dashboard import live
from orchestrator.dashboard.live import Sending, Streams


class Browser:
    """A request whose browser stays."""

    async def is_disconnected(self) -> bool:
        return False


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0)


def opened(
    streams: Streams, whose: str, look: Callable[[], Sending | None], **more: Any
) -> AsyncIterator[str]:
    answer = streams.answer(cast(Request, Browser()), whose, look, **more)
    assert isinstance(answer, StreamingResponse)
    return cast(AsyncIterator[str], answer.body_iterator)


def busy() -> Sending:
    return [("changed", "1")]


def test_a_persons_newest_streams_are_live_and_their_oldest_says_good_bye() -> None:
    async def story() -> None:
        streams = Streams(most=10, each=2)
        mine = [opened(streams, "ada", busy, farewell=[("line", "bye")]) for _ in range(3)]
        other = opened(streams, "bob", busy)
        for each in (*mine, other):
            assert (await anext(each)).startswith("retry:")

        assert [part async for part in mine[0]] == ["event: line\ndata: bye\n\n", "event: end\ndata: \n\n"]
        for each in (*mine[1:], other):
            assert await anext(each) == "event: changed\ndata: 1\n\n"

    asyncio.run(story())


def test_when_there_are_too_many_a_new_person_is_told_when_to_come_again() -> None:
    async def story() -> None:
        streams = Streams(most=2, each=2)
        ones = [opened(streams, who, busy) for who in ("ada", "bob")]
        for each in ones:
            await anext(each)

        refused = streams.answer(cast(Request, Browser()), "eve", busy)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        await ones[0].aclose()  # type: ignore[attr-defined]
        assert streams.answer(cast(Request, Browser()), "eve", busy).status_code == 200

    asyncio.run(story())


def test_a_look_that_fails_is_tried_again_and_not_for_ever() -> None:
    async def story() -> None:
        told: list[str] = []

        def now_and_then() -> Sending | None:
            told.append("")
            if len(told) < 5:
                raise RuntimeError("the store is busy")
            return None

        def never() -> Sending:
            raise RuntimeError("the store is gone")

        streams = Streams()
        ended = [part async for part in opened(streams, "ada", now_and_then)]
        broken = [part async for part in opened(streams, "ada", never)]

        assert ended[1:] == ["event: end\ndata: \n\n"]
        assert len(broken) == 1, "no `end`: the browser comes again"
        assert streams._open == {}

    asyncio.run(story())
