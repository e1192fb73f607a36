"""Pages and API of one server side by side: a browser's session is worth nothing there, and no route is left out."""

from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from orchestrator.api.app import PREFIX, make_app
from orchestrator.api.site import Site
from orchestrator.dashboard.at_site import SiteDesk
from orchestrator.dashboard.desk import Place
from orchestrator.dashboard.frame import Frame, Page, visitor_of
from orchestrator.dashboard.mount import ROUTERS
from orchestrator.dashboard.pictures import Pictures
from orchestrator.gate.routes import gate_routes
from tests.orchestrator.api.conftest import settings, site, token
from tests.orchestrator.dashboard.desk import ORIGIN
from tests.orchestrator.dashboard.forms import word

__all__ = ["settings", "site", "token"]

PARTS = {
    **dict.fromkeys(("name", "verb", "part", "version", "mail_id", "way"), "x"),
    **dict.fromkeys(("promotion_id", "link_id", "share_id", "token_id", "preview_id"), "0" * 8),
    "job_id": "0" * 16,
    "digest": "0" * 64,
}


@pytest.fixture
def whole(site: Site) -> FastAPI:
    made = make_app(site, routers=(*ROUTERS, gate_routes(visitor_of, Page)))
    made.state.dashboard = Frame(
        SiteDesk(site, Place(origin=ORIGIN)), key=b"k" * 32, pictures=Pictures(browser="")
    )
    return made


@pytest.fixture
def admin(whole: FastAPI, site: Site, token: Callable[..., str]) -> Iterator[TestClient]:
    """A browser in which an admin has signed in."""
    with TestClient(
        whole,
        base_url=ORIGIN,
        follow_redirects=False,
        headers={"origin": ORIGIN},
        raise_server_exceptions=False,
    ) as made:
        answer = made.post("/login", data={"token": token("admin"), "next": "/"})
        assert answer.status_code == 303, answer.text
        site.rates.failures.__init__(10_000)  # type: ignore[misc] - refused more often than anybody should be
        yield made


def requests(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path that the server knows: what its description has, and what it leaves out."""
    found = [(path, methods) for path, methods in app.openapi()["paths"].items()]
    for router in (*ROUTERS, gate_routes(visitor_of, Page)):
        found += [(each.path, each.methods) for each in router.routes if isinstance(each, APIRoute)]
    for path, methods in found:
        filled = path.format_map(PARTS)
        yield from ((method.upper(), filled) for method in sorted(methods))


def test_a_session_is_no_token_for_the_api(whole: FastAPI, admin: TestClient) -> None:
    asked = [(method, path) for method, path in requests(whole) if path.startswith(PREFIX)]
    assert len(asked) > 30

    for method, path in asked:
        answer = admin.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == 401, (method, path, answer.text)


def test_whatever_changes_something_takes_a_token_or_a_form_of_ours(
    whole: FastAPI, admin: TestClient
) -> None:
    csrf = word(admin.get("/").text)
    beside = [(m, p) for m, p in requests(whole) if m not in ("GET", "HEAD") and not p.startswith(PREFIX)]
    assert len(beside) > 7

    for method, path in beside:
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            answer = admin.request(method, path, data={"csrf": csrf}, headers=headers)
            assert answer.status_code == 403, (method, path)
    assert admin.get("/").status_code == 200


def test_a_stranger_sees_no_page(whole: FastAPI, admin: TestClient) -> None:
    admin.cookies.clear()

    for method, path in requests(whole):
        if method == "GET" and not path.startswith(
            (PREFIX, "/static", "/login", "/enter", "/healthz", "/readyz")
        ):
            answer = admin.get(path)
            seen = (answer.status_code, answer.headers.get("location", "").split("?")[0])
            assert seen == (303, "/login") or answer.status_code == 401, (path, answer.status_code)
