"""The pages in this process, on a diary of their own, and browsers that are signed in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from orchestrator.dashboard.frame import Frame
from orchestrator.dashboard.mount import ROUTERS
from orchestrator.dashboard.pictures import Pictures
from orchestrator.lifecycle import Store
from tests.orchestrator.dashboard.desk import ORIGIN, FakeDesk


@pytest.fixture
def desk(open_store: Callable[..., Store]) -> FakeDesk:
    return FakeDesk(open_store)


@pytest.fixture
def app(desk: FakeDesk) -> FastAPI:
    made = FastAPI()
    made.state.dashboard = Frame(desk, key=b"k" * 32, pictures=Pictures(browser=""))
    for router in ROUTERS:
        made.include_router(router)
    return made


@pytest.fixture
def browse(app: FastAPI) -> Iterator[Callable[..., TestClient]]:
    """A browser; signed in as somebody unless the name is empty."""
    with ExitStack() as open_:

        def browser(who: str = "ada", *, origin: str = ORIGIN) -> TestClient:
            made = open_.enter_context(
                TestClient(app, base_url=origin, follow_redirects=False, headers={"origin": origin})
            )
            if who:
                answer = made.post("/login", data={"token": f"token-{who}", "next": "/"})
                assert answer.status_code == 303, answer.text
            return made

        yield browser
