"""A team's HTTPS, with an authority of the gateway's own: who gets a certificate, and who does not."""

import http.client
import socket
import ssl
from collections.abc import Callable

import pytest

from orchestrator.gate.config import TOKEN
from tests.orchestrator.gate.conftest import House


def ask(
    house: House, host: str, path: str = "/echo", headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    """A request by HTTPS, with the host's name in the handshake; raises SSLError when there is no certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", house.port), timeout=30)
    connection = http.client.HTTPSConnection(host, timeout=30)
    connection.sock = context.wrap_socket(raw, server_hostname=host)
    connection.request("GET", "/echo", headers=headers or {})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def test_a_name_that_the_gate_knows_gets_a_certificate_and_no_other(open_house: Callable[..., House]) -> None:
    house = open_house(domain="preview.test", tls="internal")
    house.preview("pr-1")
    with house.gate():
        token = house.token()
        answer = ask(house, "pr-1.preview.test", headers={TOKEN: token})
        assert answer.status == 200
        assert b'"x-forwarded-proto", "https"' in answer.body.replace(b'","', b'", "')  # type: ignore[attr-defined]
        for stranger in ("nobody.preview.test", "evil.example", "a.pr-1.preview.test"):
            with pytest.raises(ssl.SSLError):
                ask(house, stranger)
        # Its own name has one too: it leads to the team's server, which does not run here.
        assert ask(house, "preview.test").status in (502, 503)
        # A certificate for one name is no way to another.
        assert ask(
            house, "pr-1.preview.test", headers={"Host": "other.preview.test", TOKEN: token}
        ).status in (404, 421)


def test_a_plain_request_on_the_port_of_https_reaches_nothing(open_house: Callable[..., House]) -> None:
    house = open_house(domain="preview.test", tls="internal")
    house.preview("pr-1")
    with house.gate():
        answer = house.raw("GET /echo HTTP/1.1\nHost: pr-1.preview.test\nConnection: close\n\n")
    assert b"sha256" not in answer
