"""Where a message may go: to no internal address however it is spelled, and nowhere else by a redirect."""

import hashlib
import hmac
import ipaddress
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_client import Secret
from orchestrator.notify import sending
from orchestrator.notify.sending import NotSent, is_ours, is_public, resolve, send


class Ear:
    """Somebody who listens, and answers as he is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        ear = self

        class Heard(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                ear.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status = ear.answers.pop(0) if ear.answers else 200
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", ear.url)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - http.server names it so

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Heard)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


def test_a_message_is_signed_with_its_time(ear: Ear) -> None:
    send(Secret(ear.url), {"a": "ä"}, {"Idempotency-Key": "k"}, secret=Secret("s3cret"), internal=True)

    ((headers, body),) = ear.heard
    at, signed = (part.split("=", 1)[1] for part in headers["preview-signature"].split(","))
    assert signed == hmac.new(b"s3cret", at.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["idempotency-key"] == "k"
    assert headers["host"] == f"127.0.0.1:{ear.server.server_port}"
    assert json.loads(body) == {"a": "ä"}


@pytest.mark.parametrize(
    ("status", "again"),
    [(500, True), (503, True), (429, True), (408, True), (400, False), (404, False), (307, False)],
)
def test_what_is_not_taken_is_tried_again_where_that_may_help(ear: Ear, status: int, again: bool) -> None:
    ear.answers = [status]

    with pytest.raises(NotSent) as caught:
        send(Secret(ear.url), {}, {}, secret=None, internal=True)

    assert caught.value.again is again
    assert len(ear.heard) == 1, "a redirect is not followed"


#: Ways to write an address of this machine, of its network, or of the cloud it runs on.
INTERNAL = [
    "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
    "http://localhost/", "http://LOCALHOST./", "http://[::1]/", "http://[::]/", "http://0.0.0.0/", "http://0/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://100.64.0.1/", "http://224.0.0.1/",
    "http://127.0.0.1:5432/", "http://user:pass@127.0.0.1/", "http://8.8.8.8@127.0.0.1/", "file:///etc/passwd",
    "gopher://127.0.0.1/", "http:///x", "http://127.0.0.1\\@8.8.8.8/",
]  # fmt: skip


def test_no_internal_address_is_dialled_however_it_is_written(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it was dialled"))

    for url in INTERNAL:
        with pytest.raises(NotSent):
            send(Secret(url), {}, {}, secret=None, internal=False)


def test_a_name_that_leads_inside_is_refused_also_when_it_leads_outside_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(sending.socket, "getaddrinfo", lambda *_, **__: answers)

    with pytest.raises(NotSent, match="leads to 127"):
        resolve("http://both.example/", internal=False)


def test_a_public_address_of_this_machine_is_inside_too(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's own public address leads past its firewall, to what it serves for itself."""
    assert is_ours(ipaddress.ip_address("127.0.0.1"))
    assert not is_ours(ipaddress.ip_address("93.184.216.34"))
    monkeypatch.setattr(sending, "is_public", lambda _: True)
    with pytest.raises(NotSent, match="of this machine"):
        send(Secret(ear.url), {}, {}, secret=None, internal=False)
    assert ear.heard == []


def test_a_proxy_of_the_environment_is_not_asked(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would resolve the name once more, and dial what it likes."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    send(Secret(ear.url), {}, {}, secret=None, internal=True)
    assert len(ear.heard) == 1


def test_what_was_looked_at_is_what_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer of a name that rebinds is never asked for."""
    asked: list[str] = []

    def answer(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", ("93.184.216.34" if len(asked) == 1 else "127.0.0.1", 80))]

    monkeypatch.setattr(sending.socket, "getaddrinfo", answer)

    to = resolve("https://rebinds.example:8443/a?b=c", internal=False)

    assert asked == ["rebinds.example"]
    assert to.url == "https://93.184.216.34:8443/a?b=c"
    assert (to.host, to.netloc) == ("rebinds.example", "rebinds.example:8443")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_no_more_public_inside_of_an_ipv6_one(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    ends = [
        ipaddress.IPv6Address(int(ipaddress.IPv6Address(begin)) + int(address))
        for begin in ("64:ff9b::", "::ffff:0:0:0", "::")
    ]

    assert {is_public(mapped), *map(is_public, ends)} == {is_public(address)}
    assert not is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b:1::")) + int(address)))


def test_a_secret_url_is_in_no_reason(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    ear.close()
    reasons = []
    for url in (
        f"{ear.url}/T0/B0/secret-part",
        "http://unknown.invalid/secret-part",
        "http://10.0.0.1/secret-part",
    ):
        with pytest.raises(NotSent) as caught:
            send(Secret(url), {}, {}, secret=Secret("secret-part"), internal=url.startswith(ear.url))
        reasons.append(caught.value.why)

    assert "secret-part" not in " ".join(reasons)


def test_a_receiver_who_never_comes_to_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte of its answer comes in time, and the answer never does."""
    monkeypatch.setattr(sending, "_AT_MOST", 0.5)
    left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not left.wait(0.05):
                    connection.sendall(b"X-More: of it\r\n")

        dripping = threading.Thread(target=drip, daemon=True)
        dripping.start()
        url = Secret(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        with pytest.raises(NotSent, match="did not answer within") as told:
            send(url, {}, {}, secret=None, internal=True)
        left.set()
        dripping.join(5)
    assert told.value.again
