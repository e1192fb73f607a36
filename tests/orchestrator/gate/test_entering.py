"""A login at the team's server, exchanged for a cookie on a preview's host: once, and there only."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.routing import APIRoute

from orchestrator.access import Caller, Role
from orchestrator.api.app import make_app
from orchestrator.gate.routes import gate_routes
from tests.orchestrator.gate.conftest import House, a_port, listening
from tests.orchestrator.gate.test_attacks import cookie_of


@dataclass
class LoggedIn:
    caller: Caller


@pytest.fixture
def server(team: House) -> Iterator[httpx.Client]:
    """The team's server, at which ada is logged in."""
    token = team.token()
    ada = LoggedIn(Caller(who="ada", role=Role.VIEWER, token=token.split("_")[2]))
    app = make_app(team.site, routers=[gate_routes(lambda: ada, APIRoute)])
    port = a_port()
    with ExitStack() as stack:
        stack.enter_context(listening(app, host="127.0.0.1", port=port))
        yield stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
        )


def test_a_login_at_the_server_opens_a_preview_once(team: House, server: httpx.Client) -> None:
    team.preview("pr-1")
    team.preview("other")
    there = server.get("/gate/enter", params={"host": "pr-1.preview.test", "to": "/orders?id=1"})
    assert there.status_code == 303
    link = urlsplit(there.headers["location"])
    assert (link.scheme, link.netloc) == ("https", "pr-1.preview.test")
    assert team.ask("other", f"{link.path}?{link.query}").status_code == 403
    entered = team.ask("pr-1", f"{link.path}?{link.query}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/orders?id=1")
    cookie = cookie_of(entered)
    assert team.ask("pr-1", headers={"Cookie": cookie}).status_code == 200
    assert team.ask("pr-1", f"{link.path}?{link.query}").status_code == 403
    # It hangs on the token that ada logged in with.
    with team.site.tokens() as tokens:
        for each in tokens.all():
            tokens.revoke(each.id, by="test")
    while team.ask("pr-1", headers={"Cookie": cookie}).status_code == 200:
        pass
    assert team.ask("pr-1", headers={"Cookie": cookie}).status_code == 401


def test_it_leads_to_no_host_but_a_previews(team: House, server: httpx.Client) -> None:
    team.preview("pr-1")
    wrong = ("evil.example", "pr-1.preview.test.evil.example", "pr-1.preview.test@evil.example", "")
    for host in (*wrong, "nobody.preview.test"):
        answer = server.get("/gate/enter", params={"host": host})
        assert answer.status_code == 404
        assert "location" not in answer.headers
    for to in ("//evil.example", "https://evil.example", "/.preview/logout", "/\\evil.example"):
        answer = server.get("/gate/enter", params={"host": "pr-1.preview.test", "to": to})
        assert answer.headers["location"].endswith("?to=%2F")
