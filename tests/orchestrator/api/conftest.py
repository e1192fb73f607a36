"""A server in this process on a diary of its own, and tokens for each role."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from orchestrator.access import Role
from orchestrator.api.app import make_app
from orchestrator.api.site import Site
from orchestrator.lifecycle import Store
from orchestrator.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PREVIEW_STORE_URL", store_uri)
    return Settings.model_validate(
        {
            "project": {"name": "nowhere", "database": "shop"},
            "goal": {"branch": "development"},
            "directory": tmp_path,
        }
    )


@pytest.fixture
def site(settings: Settings, open_store: Callable[..., Store]) -> Iterator[Site]:
    open_store()
    made = Site(settings, project="embedded/test")
    yield made
    made.close()


@pytest.fixture
def token(site: Site) -> Callable[..., str]:
    """Makes a token of a role."""

    def make(role: str, who: str = "") -> str:
        with site.tokens() as tokens:
            return tokens.create(who=who or role, role=Role(role), by="test")[1].reveal()

    return make


@pytest.fixture
def no_drops(site: Site) -> None:
    """Into no bucket falls another drop meanwhile, however long the test takes."""
    for each in (site.rates.tokens, site.rates.failures, site.refusals._nobody):
        each._clock = lambda: 0.0


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    with TestClient(make_app(site), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def asking(client: TestClient, token: Callable[..., str]) -> Callable[..., TestClient]:
    """A client that shows a token of a role; the same token each time."""
    shown: dict[tuple[str, str], str] = {}

    def as_(role: str, who: str = "") -> TestClient:
        key = (role, who)
        shown.setdefault(key, token(role, who))
        client.headers["authorization"] = f"Bearer {shown[key]}"
        return client

    return as_
