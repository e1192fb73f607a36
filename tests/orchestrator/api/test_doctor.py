"""`preview doctor --server`: what a client finds out about the server, and what an admin gets to know of it."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.api import tokens as routes
from orchestrator.api.site import Site
from orchestrator.diagnosis import Result
from orchestrator.remote import wire
from orchestrator.remote.visit import look_at_server
from tests.orchestrator.api.serving import served

URI = "postgresql://owner:npg_Xk3vQ9wLm2Rt@db.example.com/shop"


@pytest.fixture
def port(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    site._main = "production"
    found = (
        Result(subject="Python", status="ok", message="3.11"),
        Result(subject="project shop", status="missing", message=f"no connection to {URI}", mend="look"),
    )
    monkeypatch.setattr(routes, "examine", lambda _settings, _problem: found)
    with served(site) as made:
        yield made


@pytest.fixture
def look(
    port: int, monkeypatch: pytest.MonkeyPatch, token: Callable[..., str]
) -> Callable[[str], dict[str, Any]]:
    monkeypatch.setenv("PREVIEW_SERVER", f"http://127.0.0.1:{port}")

    def as_(role: str) -> dict[str, Any]:
        monkeypatch.setenv("PREVIEW_TOKEN", token(role, "ada"))
        return {each.subject: each for each in look_at_server()}

    return as_


def test_an_admin_sees_what_is_missing_there_and_no_secret(look: Callable[[str], dict[str, Any]]) -> None:
    found = look("admin")
    assert found["server"].status == "ok"
    assert found["token"].message == "admin, for ada"
    assert found["project"].message == "embedded/test, main is production"
    assert found["Python"].status == "ok"
    assert found["project shop"].status == "missing"
    assert "npg_" not in found["project shop"].message
    # No worker has said that it lives.
    assert (found["workers"].status, found["workers"].mend) == ("missing", "preview worker")


def test_others_are_told_that_it_was_not_looked_at(look: Callable[[str], dict[str, Any]]) -> None:
    found = look("developer")
    assert found["token"].message == "developer, for ada"
    assert found["the server itself"].status == "note"
    assert "not looked at" in found["the server itself"].message
    assert "Python" not in found


def test_a_token_that_is_not_good_and_a_server_that_is_none_say_what_to_do(
    look: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    look("viewer")
    monkeypatch.setenv("PREVIEW_TOKEN", "preview_viewer_00000000_" + "0" * 64)
    [found] = look_at_server()
    assert (found.status, "not known" in found.message) == ("missing", True)
    assert "preview token create" in found.mend
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("PREVIEW_SERVER", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(wire.Wire.__init__, "__kwdefaults__", {"patience_seconds": 0.1})
    [gone] = look_at_server()
    assert gone.status == "missing"
    assert "does not answer" in gone.message
    assert "PREVIEW_SERVER" in gone.mend
