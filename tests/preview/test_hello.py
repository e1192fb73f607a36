"""Names that connections ask for: real hellos however they are cut, second ones, and whatever else comes instead."""

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preview.hello import LARGEST_HELLO, Guard, NotAHello, message_in, server_name, strange_endpoint


def hello(name: str | None, *, tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What a real client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = tls
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO, OTHER = hello("ep-one.example.com"), hello("ep-two.example.com")
ALLOWED = frozenset({"ep-one.example.com"})


def record(payload: bytes, kind: int = 0x16) -> bytes:
    return bytes((kind, 3, 1)) + len(payload).to_bytes(2) + payload


def cut(said: bytes, *lengths: int) -> bytes:
    """The same handshake message in records of these lengths."""
    message, pieces = said[5:], []
    for length in lengths:
        piece, message = message[:length], message[length:]
        if piece:
            pieces.append(record(piece))
    return b"".join((*pieces, *([record(message)] if message else ())))


def with_names(*names: str) -> bytes:
    """A small hello of our own with so many server names, each in an extension of its own."""
    extensions = b""
    for name in names:
        entry = b"\0" + len(name).to_bytes(2) + name.encode()
        body = len(entry).to_bytes(2) + entry
        extensions += b"\0\0" + len(body).to_bytes(2) + body
    inner = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    inner += len(extensions).to_bytes(2) + extensions
    return b"\x01" + len(inner).to_bytes(3) + inner


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_of_a_real_hello_is_read(tls: ssl.TLSVersion) -> None:
    for name, expected in (("API.example.com", "api.example.com"), (None, ""), ("127.0.0.1", "")):
        said = hello(name, tls=tls)
        found = message_in(said + b"more")
        assert found is not None
        assert (server_name(found[0]), found[1]) == (expected, len(said))


@given(st.lists(st.integers(1, 200), max_size=30), st.lists(st.integers(1, 100), max_size=20))
def test_a_hello_may_be_cut_into_records_and_pieces_at_will(records: list[int], pieces: list[int]) -> None:
    said = cut(HELLO, *records)
    guard, passed, at = Guard(ALLOWED), b"", 0
    for length in (*pieces, len(said)):
        passed += guard.feed(said[at : at + length])
        at += length
        assert said.startswith(passed)
    assert (passed, guard.name) == (said, "ep-one.example.com")


@given(st.integers(0, len(HELLO) - 1), st.lists(st.integers(1, 50), max_size=10))
def test_nothing_of_a_hello_passes_before_it_is_whole(length: int, records: list[int]) -> None:
    guard = Guard(ALLOWED)
    assert guard.feed(cut(HELLO, *records)[:length]) == b""
    assert guard.name is None


@settings(deadline=None)
@given(st.binary(max_size=600), st.integers(0, 3))
def test_whatever_comes_instead_is_refused_or_waited_for(garbage: bytes, start: int) -> None:
    said = (b"", b"\x16\x03\x01", HELLO[:60], HELLO[:5])[start] + garbage
    guard = Guard(ALLOWED)
    try:
        passed = guard.feed(said)
    except NotAHello:
        return
    if passed:  # then it is a hello, and asks for what is allowed
        found = message_in(passed)
        assert found is not None
        assert server_name(found[0]) in ALLOWED


@given(st.data())
def test_a_changed_byte_never_lets_another_name_pass(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(HELLO) - 1))
    said = HELLO[:at] + bytes((data.draw(st.integers(0, 255)),)) + HELLO[at + 1 :]
    guard = Guard(ALLOWED)
    try:
        passed = guard.feed(said)
    except NotAHello:
        return
    assert not passed or guard.name in ALLOWED


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (hello("ep-two.example.com"), "asks for 'ep-two.example.com'"),
        (hello(None), "names no host"),
        (hello("ep-one.example.com.evil.example.com"), "asks for"),
        (record(with_names("ep-one.example.com", "ep-two.example.com")), "several names"),
        (record(with_names("ep-one.example.com\0.evil.example.com")), "asks for"),
        (record(b"\x01" + (LARGEST_HELLO + 1).to_bytes(3)), "too large"),
        (record(with_names("ep-one.example.com") + b"\x14"), "something follows"),
        (record(b""), "no record of a handshake"),
        (record(b"\x02" + with_names("ep-one.example.com")[1:]), "no client hello"),
        (b"\x16\x02" + HELLO[2:], "no record of a handshake"),
        (b"\x00\x00\x00\x08", "no record of a handshake"),
    ],
)
def test_what_is_refused(said: bytes, why: str) -> None:
    with pytest.raises(NotAHello, match=why):
        Guard(ALLOWED).feed(said)


def test_no_name_may_pass_where_that_is_said() -> None:
    said = hello(None)
    assert Guard(ALLOWED, nameless=True).feed(said) == said


ONCE_MORE = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def server_hello(random: bytes) -> bytes:
    inner = b"\x03\x03" + random + b"\0" * 8
    return record(b"\x02" + len(inner).to_bytes(3) + inner)


@given(st.integers(1, 60), st.booleans(), st.booleans())
def test_a_second_hello_must_ask_for_the_same(length: int, changes: bool, early: bool) -> None:
    """A server that wants another hello gets one in the open, whatever the client sends before it."""
    for second, allowed in ((HELLO, True), (OTHER, False)):
        guard = Guard({"ep-one.example.com", "ep-two.example.com"})
        said = guard.feed(HELLO)
        between = record(b"early", 0x17) * early
        said += guard.feed(between)
        answer = server_hello(ONCE_MORE)
        for at in range(0, len(answer), length):
            guard.answered(answer[at : at + length])
        rest = record(b"\x01", 0x14) * changes + second + record(b"secret", 0x17)
        if allowed:
            assert said + guard.feed(rest) == HELLO + between + rest
            assert guard.feed(OTHER) == OTHER  # not in the open any more
        else:
            with pytest.raises(NotAHello, match="second hello"):
                guard.feed(rest)


@pytest.mark.parametrize("answer", [server_hello(bytes(32)), record(b"\x02\x28", 0x15)])
def test_after_an_answer_that_asks_for_none_everything_passes(answer: bytes) -> None:
    guard = Guard(ALLOWED)
    guard.feed(HELLO)
    guard.answered(answer[:7])
    guard.answered(answer[7:])
    assert guard.feed(b"\x17\x03\x03\xff\xff half") == b"\x17\x03\x03\xff\xff half"


def start(**words: str) -> bytes:
    return b"".join(f"{key}\0{value}\0".encode() for key, value in words.items()) + b"\0"


def test_endpoints_in_options() -> None:
    names = ("ep-one.example.com",)
    assert strange_endpoint(start(user="me", database="endpoint=x"), names) is None
    for fine in ("endpoint=ep-one", "-c search_path=x endpoint=EP-one.example.com", "-c work_mem=4MB"):
        assert strange_endpoint(start(user="me", options=fine), names) is None
    for wrong in (
        "endpoint=ep-two",
        "project=ep-two",
        "endpoint=ep-one endpoint=ep-two",
        "endpoint\\ =\\ ep-two",
    ):
        assert strange_endpoint(start(options=wrong, user="me"), names) == "ep-two"
    for broken in (b"", b"\0", b"user\0me\0", b"user\0\0\0\0"):
        with pytest.raises(NotAHello):
            strange_endpoint(broken, names)


@given(st.binary(max_size=300))
def test_no_start_breaks_it(said: bytes) -> None:
    try:
        strange_endpoint(said + b"\0\0", ["ep-one.example.com"])
    except NotAHello:
        return
