"""A plain request that asks for an allowed host, for another one, or for two at once; and what is no request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preview.hello import LARGEST_HELLO, NotAHello
from preview.plain_http import RequestGuard

ALLOWED = frozenset({"api.example.com"})
GOOD = b"GET /a?b HTTP/1.1\r\nHost: api.example.com\r\nAccept: x\r\n\r\n"
GOES_ON = b"GET /a?b HTTP/1.1\r\nHost: api.example.com\r\nAccept: x\r\nConnection: close\r\n\r\n"


def passed(said: bytes, *, nameless: bool = True) -> bytes:
    guard = RequestGuard(ALLOWED, nameless=nameless)
    return guard.feed(said) + guard.rest()


@given(st.lists(st.integers(0, len(GOOD) + 4), max_size=6), st.binary(max_size=8))
def test_however_it_comes_in_pieces_it_goes_on_and_closes_after_it(cuts: list[int], body: bytes) -> None:
    guard, said, out, at = RequestGuard(ALLOWED), GOOD + body, b"", 0
    for cut in (*sorted(cuts), len(said)):
        out, at = out + guard.feed(said[at:cut]), max(at, cut)
    assert (guard.name, out) == ("api.example.com", GOES_ON + body)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: API.Example.COM.:8080\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\nhost:\tapi.example.com \n\n",
        b"GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        b"GET http://api.example.com?x HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_an_allowed_host_however_it_is_written(said: bytes) -> None:
    out = passed(said, nameless=False)
    assert out.endswith(b"\r\nConnection: close\r\n\r\n")
    assert out.lower().count(b"connection:") == 1
    assert b"upgrade" not in out.lower()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.example.com\r\nHost: evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.example.com\r\nHost: api.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.example.com\r\n Host: evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.example.com\rHost: evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.example.com\0.evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.example.com@evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example.com#api.example.com\r\n\r\n",
        b"GET http://evil.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        b"GET http://api.example.com@evil.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        b"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: evil.example.com:443\r\n\r\n",
        b"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
        b"\n\n get\t/ http/1.1\nhost: evil.example.com\n\n",
        b"GET  /  HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
        b"GET\x0b/\x0cHTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * LARGEST_HELLO,
    ],
)
def test_another_host_however_it_is_hidden(said: bytes) -> None:
    for pieces in ([said], [said[at : at + 1] for at in range(min(len(said), 500))] + [said[500:]]):
        guard = RequestGuard(ALLOWED, nameless=True)
        with pytest.raises(NotAHello) as refusal:
            assert not any(guard.feed(piece) for piece in pieces)
        assert guard.refusal(refusal.value).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    "said",
    [
        b"EHLO me\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"AMQP\x00\x00\x09\x01",
        b"\x00\x00\x00\x08",
        b"hello",
        b"\xffGET",
    ],
)
def test_what_is_no_request_passes_where_there_is_one_place_only(said: bytes) -> None:
    assert passed(said) == said
    with pytest.raises(NotAHello, match="does not say"):
        passed(said + b"\r\n", nameless=False)


def test_a_request_that_names_nobody_passes_where_there_is_one_place_only() -> None:
    said = b"GET / HTTP/1.0\r\n\r\n"
    assert passed(said) == b"GET / HTTP/1.0\r\nConnection: close\r\n\r\n"
    with pytest.raises(NotAHello, match="does not say"):
        passed(said, nameless=False)


def test_half_a_request_never_goes_on() -> None:
    assert passed(b"GET / HTTP/1.1\r\nHost: evil.example.com\r\n") == b""
    assert passed(b"GET / HTTP/1.1") == b""
