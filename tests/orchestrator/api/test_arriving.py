"""Requests that come slowly, or whose senders nobody knows: ended or refused before anything of them is read."""

import contextlib
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from orchestrator.api import arriving, guardrails
from orchestrator.api.site import Site
from tests.orchestrator.api.serving import served

HEAD = "POST /api/v1/previews/pr-1/up HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture
def port(site: Site) -> Iterator[int]:
    with served(site) as made:
        yield made


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def said(connection: socket.socket) -> str:
    """Everything until the server hangs up."""
    text = b""
    with contextlib.suppress(ConnectionResetError):  # it had hung up before we said what it has not read
        while some := connection.recv(65536):
            text += some
    return text.decode()


@pytest.mark.parametrize("shown", ["", "authorization: Bearer preview_admin_00000000_" + "0" * 64 + "\r\n"])
def test_who_asks_is_known_before_the_body_is_read(port: int, shown: str) -> None:
    with connected(port) as connection:
        connection.sendall(f"{HEAD}{shown}content-length: 1000000\r\n\r\n".encode())
        # Not a letter of the body is sent, and the answer is there, and the connection is over.
        answer = said(connection)
    assert answer.startswith("HTTP/1.1 401")
    assert "connection: close" in answer.lower()


def test_a_role_that_is_not_enough_is_refused_before_the_body_is_read(
    port: int, token: Callable[..., str]
) -> None:
    with connected(port) as connection:
        head = f"{HEAD}authorization: Bearer {token('viewer')}\r\ncontent-length: 1000000\r\n\r\n"
        connection.sendall(head.encode())
        assert said(connection).startswith("HTTP/1.1 403")


def test_a_body_that_trickles_is_not_waited_for(
    port: int, token: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardrails, "BODY_SECONDS", 0.3)
    with connected(port) as connection:
        head = f"{HEAD}authorization: Bearer {token('admin')}\r\ncontent-length: 1000000\r\n\r\n"
        connection.sendall(f"{head}{{".encode())
        answer = said(connection)
    assert answer.startswith("HTTP/1.1 408")
    assert "only 1 bytes" in answer


def test_a_head_that_trickles_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    with connected(port) as after_an_answer:
        after_an_answer.sendall(whole)
        assert after_an_answer.recv(65536).startswith(b"HTTP/1.1 200")
        # From here on there is little time; the connection itself has as much as ever until the next answer.
        monkeypatch.setattr(arriving, "HEAD_SECONDS", 0.3)
        after_an_answer.sendall(whole + b"GET /hea")
        assert said(after_an_answer).count("HTTP/1.1 200") == 1
    with connected(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert said(connection) == ""


def test_many_slow_ones_keep_nobody_else_from_an_answer(port: int, token: Callable[..., str]) -> None:
    def ask() -> int:
        return httpx.get(f"http://127.0.0.1:{port}/api/v1/me", headers=headers, timeout=60).status_code

    headers = {"authorization": f"Bearer {token('viewer')}"}
    assert ask() == 200
    slow = [connected(port) for _ in range(200)]
    for number, connection in enumerate(slow):
        whole = f"{HEAD}authorization: Bearer x\r\ncontent-length: 1000000\r\n\r\n"
        connection.sendall((whole if number % 2 else whole[: number % len(whole)]).encode())
    assert ask() == 200
    for connection in slow:
        connection.close()


def asked_from(port: int, address: str) -> int:
    return httpx.get(
        f"http://127.0.0.1:{port}/api/v1/me",
        headers={"x-forwarded-for": address},
        trust_env=False,
        timeout=60,
    ).status_code


@pytest.mark.usefixtures("no_drops")
def test_nobody_is_believed_about_where_a_request_comes_from(port: int, site: Site) -> None:
    codes = [asked_from(port, f"203.0.113.{number}") for number in range(40)]
    assert codes == [401] * 30 + [429] * 10
    with site.audit() as audit:
        assert {each.object for each in audit.read()} == {"127.0.0.1"}


def test_a_proxy_that_the_settings_name_is_believed(site: Site) -> None:
    named = site.settings.server.model_copy(update={"proxies": ["127.0.0.1"]})
    site.settings = site.settings.model_copy(update={"server": named})
    with served(site) as port:
        # What a client wrote itself stands left of what the proxy added.
        codes = [asked_from(port, f"198.51.100.1, 203.0.113.{number}") for number in range(40)]
    assert codes == [401] * 40
    with site.audit() as audit:
        assert {each.object for each in audit.read()} == {f"203.0.113.{number}" for number in range(40)}
