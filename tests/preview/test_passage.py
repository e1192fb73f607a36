"""Ways that tell places apart by name: PostgreSQL with real TLS and without, other servers behind one address."""

import asyncio
import http.client
import http.server
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest

from neon_client import ConnectionURI, NeonClient
from neon_embedded import Running
from preview.hello import ALERT, CANCEL, GSS_REQUEST, SSL_REQUEST, NotAHello
from preview.passage import Streams, Way, pass_on
from tests.preview.test_hello import hello

Open = Callable[[Way], int]


class Doorkeeper:
    """Passes on what comes to ports of 127.0.0.1; remembers what it refused, and why."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def told(self, count: int) -> list[str]:
        """What was refused; waits for so many, since a client hears of it before we do."""
        deadline = time.monotonic() + 30
        while len(self.refused) < count:
            assert time.monotonic() < deadline, self.refused
            time.sleep(0.01)
        return self.refused

    def open(self, way: Way) -> int:
        async def serve() -> int:
            server = await asyncio.start_server(lambda *ends: self._pass(way, Streams(*ends)), "127.0.0.1", 0)
            return int(server.sockets[0].getsockname()[1])

        return asyncio.run_coroutine_threadsafe(serve(), self.loop).result(10)

    async def _pass(self, way: Way, here: Streams) -> None:
        try:
            await pass_on(way, here)
        except NotAHello as refusal:
            self.refused.append(str(refusal))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            here.writer.close()

    def close(self) -> None:
        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def keeper() -> Iterator[Doorkeeper]:
    made = Doorkeeper()
    yield made
    made.close()


@pytest.fixture(scope="module")
def branch(embedded: Running) -> Iterator[tuple[ConnectionURI, int]]:
    """A database that speaks TLS: its URI without, and the port with."""
    with NeonClient(api_key=embedded.api_key, base_url=embedded.base_url) as neon:
        made = neon.create_project(name="passage", database_name="shop", role_name="shop_owner")
        uri = neon.connection_uri(
            made.project.id, branch_id=made.branch.id, database="shop", role="shop_owner"
        )
        (endpoint,) = neon.endpoints(made.project.id, made.branch.id)
        yield uri, int(endpoint.host.rpartition(":")[2])
        neon.delete_project(made.project.id)


def answer(uri: ConnectionURI, port: int, **options: str) -> str:
    """What `select` answers through a port, or why it does not."""
    wanted = {"host": "localhost", "hostaddr": "127.0.0.1", "sslmode": "require", **options}
    try:
        with psycopg.connect(
            uri.reveal(), port=port, connect_timeout=60, gssencmode="disable", **wanted
        ) as connection:
            row = connection.execute("select repeat('x', 300000)").fetchone()
            return f"{len(row[0])}" if row else ""
    except psycopg.OperationalError as error:
        return str(error)


def test_only_the_branch_that_is_allowed_is_reached_by_name(
    keeper: Doorkeeper, branch: tuple[ConnectionURI, int], embedded: Running
) -> None:
    uri, tls = branch
    port = keeper.open(Way((("localhost", tls),), postgres=True))
    full = {"sslmode": "verify-full", "sslrootcert": str(embedded.ca_file), "channel_binding": "require"}
    assert answer(uri, port) == answer(uri, port, **full) == "300000"
    assert keeper.refused == []
    other = answer(uri, port, host="ep-other.example.com")
    assert "unrecognized name" in other
    nameless = answer(uri, port, sslsni="0")
    assert "unrecognized name" in nameless
    assert keeper.told(2) == ["it asks for 'ep-other.example.com'", "it names no host"]


def test_two_branches_behind_one_port_are_told_apart(
    keeper: Doorkeeper, branch: tuple[ConnectionURI, int]
) -> None:
    uri, tls = branch
    port = keeper.open(Way((("localhost", tls), ("ep-trial.example.com", 1)), postgres=True))
    assert answer(uri, port) == "300000"
    assert "300000" not in answer(uri, port, host="ep-trial.example.com")  # nobody listens there
    assert keeper.refused == []
    assert "without TLS it names no host" in answer(uri, port, sslmode="disable")


def test_without_tls_the_options_may_name_no_other_endpoint(
    keeper: Doorkeeper, branch: tuple[ConnectionURI, int]
) -> None:
    uri, _ = branch
    port = keeper.open(Way((("localhost", uri.port),), postgres=True))
    assert answer(uri, port, sslmode="disable") == "300000"
    refused = answer(uri, port, sslmode="disable", options="endpoint=ep-other")
    assert "this way leads to localhost only, and it asks for 'ep-other'" in refused
    assert keeper.told(1) == ["it asks for 'ep-other'"]
    # A server that has no TLS is not reached by who wants it.
    assert "unrecognized name" in answer(uri, port)
    assert keeper.told(2)[1] == "localhost speaks no TLS"


def test_a_statement_is_cancelled_through_it(keeper: Doorkeeper, branch: tuple[ConnectionURI, int]) -> None:
    uri, _ = branch
    port = keeper.open(Way((("localhost", uri.port),), postgres=True))
    given = {"host": "localhost", "hostaddr": "127.0.0.1", "sslmode": "disable"}
    with psycopg.connect(uri.reveal(), port=port, autocommit=True, **given) as connection:
        asked = threading.Event()

        def cancel() -> None:
            asked.wait(30)
            with psycopg.connect(uri.reveal(), autocommit=True) as looking:
                while not looking.execute(
                    "select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'",
                    (connection.info.backend_pid,),
                ).fetchone():
                    pass
            connection.cancel_safe(timeout=30)

        thread = threading.Thread(target=cancel)
        thread.start()
        asked.set()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(60)")
        thread.join()


def talk(port: int, *said: bytes) -> bytes:
    """All that is answered to these words until the end."""
    with socket.create_connection(("127.0.0.1", port), 60) as there:
        for each in said:
            there.sendall(each)
        there.shutdown(socket.SHUT_WR)
        heard = b""
        while some := there.recv(65_536):
            heard += some
        return heard


def test_encryption_that_hides_the_name_is_not_agreed_to(keeper: Doorkeeper) -> None:
    port = keeper.open(Way((("localhost", 1),), postgres=True))
    assert talk(port, GSS_REQUEST, SSL_REQUEST, hello("ep-other.example.com")) == b"NS" + ALERT
    assert talk(port, hello("ep-other.example.com")) == ALERT  # begun with at once, as PostgreSQL 17 may
    assert keeper.told(2) == ["it asks for 'ep-other.example.com'"] * 2


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        SSL_REQUEST,
        SSL_REQUEST + b"\x16\x03\x01",
        SSL_REQUEST + b"\x00" * 50,
        CANCEL,
        struct.pack(">II", 100_000, 3 << 16),
        struct.pack(">II", 12, 3 << 16) + b"\0\0\0\0",
        struct.pack(">II", 4, 3 << 16),
    ],
)
def test_whatever_else_is_said_reaches_nobody(keeper: Doorkeeper, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = keeper.open(Way((("localhost", server.getsockname()[1]),), postgres=True))
        talk(port, said)
        with pytest.raises(BlockingIOError):
            server.accept()


class Site:
    """One TLS server for many names, as a proxy in front of many customers is: says which was asked for."""

    def __init__(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = self._asked
        self.asked: list[str | None] = []
        self.context = context
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _asked(self, _socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        self.asked.append(name)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                try:
                    with self.context.wrap_socket(connection, server_side=True) as tls:
                        tls.sendall(b"hello")
                except OSError:
                    pass

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()


@pytest.fixture
def site(embedded: Running) -> Iterator[Site]:
    made = Site(embedded.home / "server.pem")
    yield made
    made.close()


def visit(port: int, name: str | None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 60) as there,
            context.wrap_socket(there, server_hostname=name) as tls,
        ):
            return tls.recv(100)
    except OSError as error:
        return str(error).encode()


def test_another_name_behind_an_allowed_address_is_not_reached(keeper: Doorkeeper, site: Site) -> None:
    port = keeper.open(Way((("localhost", site.port),)))
    assert visit(port, "localhost") == visit(port, None) == b"hello"
    assert b"hello" not in visit(port, "evil.example.com")
    assert site.asked == ["localhost", None]
    assert keeper.told(1) == ["it asks for 'evil.example.com'"]
    several = keeper.open(Way((("localhost", site.port), ("other.example.com", 1))))
    assert visit(several, "localhost") == b"hello"
    assert b"hello" not in visit(several, None)
    by_address = keeper.open(
        Way((("127.0.0.1", site.port),))
    )  # as the app is, whatever its name in the browser
    assert visit(by_address, "pr-1.localhost") == b"hello"


def test_who_speaks_first_is_heard_at_once(keeper: Doorkeeper) -> None:
    """A mail server greets before anybody said a word, and speaks no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = keeper.open(Way((("localhost", server.getsockname()[1]),)))
        with socket.create_connection(("127.0.0.1", port), 60) as there:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 ready\r\n")
                assert there.recv(100) == b"220 ready\r\n"
                there.sendall(b"EHLO me\r\n")
                assert connection.recv(100) == b"EHLO me\r\n"


class Pages(http.server.BaseHTTPRequestHandler):
    """A site of many names that keeps connections open; remembers which it was asked for."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.asked.append(self.headers["Host"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:  # which other servers say by themselves
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[int]:
    Pages.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def post(host: str, *, after: str = "") -> bytes:
    return f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nok{after}".encode()


def test_a_plain_request_reaches_the_name_that_is_allowed_and_no_other(
    keeper: Doorkeeper, pages: int
) -> None:
    port = keeper.open(Way((("localhost", pages),)))
    client = http.client.HTTPConnection("localhost", port, timeout=60)
    for size in (1, 300_000):  # a client that keeps connections opens another one
        client.request("POST", "/", b"x" * size)
        assert len(client.getresponse().read()) == size
    client.close()
    refused = talk(port, post("evil.example.com"))
    assert refused.startswith(b"HTTP/1.1 421 ")
    assert refused.endswith(b"this way leads to localhost only, and it asks for 'evil.example.com'\n")
    # Not on the heels of an allowed one, either.
    assert talk(port, post("localhost", after=post("evil.example.com").decode())).count(b"HTTP/1.1 ") == 1
    assert Pages.asked == [f"localhost:{port}"] * 2 + ["localhost"]
    assert keeper.told(1) == ["it asks for 'evil.example.com'"]


def test_two_sites_behind_one_port_are_told_apart_by_their_requests(keeper: Doorkeeper, pages: int) -> None:
    port = keeper.open(Way((("localhost", pages), ("other.example.com", 1))))
    assert talk(port, post("LOCALHOST")).endswith(b"ok")
    assert b"ok" not in talk(port, post("other.example.com"))  # nobody listens there
    assert talk(port, post("evil.example.com")).startswith(b"HTTP/1.1 421 ")
    assert Pages.asked == ["LOCALHOST"]
    assert keeper.told(1) == ["it asks for 'evil.example.com'"]
