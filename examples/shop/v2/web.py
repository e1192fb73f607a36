"""The shop's web ground: HTML that escapes itself, a few database connections, a server that ends politely.

Knows no page and no table; v1 and v2 hold the same file. Only the standard library and psycopg 3.1 or later.
"""

import html
import os
import queue
import re
import signal
import string
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg.rows import DictRow, dict_row

Connection = psycopg.Connection[DictRow]
Row = Mapping[str, Any]


class Html(str):
    """Text that is HTML already; everything else is escaped when it is put into a page."""

    __slots__ = ()


class _Escaping(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Html):
            return str(value)
        return html.escape(format(value, format_spec), quote=True)


def page_part(template: str, **values: Any) -> Html:
    """Fill a template's {names}; values are escaped unless they are Html."""
    return Html(_Escaping().vformat(template, (), values))


def joined(parts: Iterable[Html]) -> Html:
    """Parts of a page, one after the other."""
    return Html("".join(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a page may know of a request: the numbers in its path, its query and its form."""

    path: str
    ids: tuple[int, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def page(self) -> int:
        """The page asked for by ?page=, from 1; nonsense is page 1."""
        text = self.query.get("page", "")
        return max(1, int(text)) if re.fullmatch(r"[0-9]{1,7}", text) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer; with `location`, the browser is sent there."""

    body: str = ""
    status: int = HTTPStatus.OK
    content_type: str = "text/html; charset=utf-8"
    location: str = ""


class NotFound(Exception):
    """There is no such row or page."""


Page = Callable[["Database", Request], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method, a pattern whose groups are numbers, and the page behind it."""

    method: str
    pattern: str
    page: Page


class Database:
    """At most `size` connections, kept and lent one at a time; one that died while idle is replaced.

    Nothing is set for a whole session and nothing is prepared, so a pooled URL (PgBouncer) works too.
    """

    def __init__(self, url: str, *, size: int = 4) -> None:
        self._url = url
        self._turns = threading.BoundedSemaphore(size)
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()

    def connect(self) -> Connection:
        """A new connection; gives up after three seconds."""
        return psycopg.connect(
            self._url,
            connect_timeout=3,
            prepare_threshold=None,
            application_name="shop",
            row_factory=dict_row,
        )

    @contextmanager
    def transaction(self, *, read_only: bool = True, timeout_ms: int = 5_000) -> Iterator[Connection]:
        """A transaction on a lent connection; no statement runs longer than the time-out."""
        if not self._turns.acquire(timeout=10):
            raise psycopg.OperationalError("all database connections are busy")
        try:
            connection = self._ready(read_only)
            try:
                connection.execute("select set_config('statement_timeout', %s, true)", (str(timeout_ms),))
                yield connection
                connection.commit()
            except BaseException:
                connection.close()
                raise
            self._idle.put(connection)
        finally:
            self._turns.release()

    def _ready(self, read_only: bool) -> Connection:
        """An idle connection that still answers, or a new one: computes sleep, and cut what is idle."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                connection = self.connect()
                connection.read_only = read_only
                return connection
            try:
                connection.read_only = read_only
                connection.execute("select 1")
            except psycopg.OperationalError:
                connection.close()
                continue
            return connection

    def close(self) -> None:
        """Close what is idle."""
        while not self._idle.empty():
            self._idle.get_nowait().close()


def _handler(database: Database, routes: Iterable[Route], on_error: Callable[[int, str], Response]) -> type:
    compiled = [(route.method, re.compile(route.pattern), route.page) for route in routes]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "shop"
        sys_version = ""
        timeout = 10  # seconds for a client that says nothing

        def do_GET(self) -> None:
            self._answer("GET")

        do_HEAD = do_GET  # noqa: N815 - http.server chooses the name

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            try:
                response = self._response(method)
            except NotFound:
                response = on_error(404, "There is nothing here.")
            except psycopg.OperationalError as error:
                self.log_error("database: %s", " ".join(str(error).split()))
                response = on_error(503, "The database does not answer. Please try again in a moment.")
            except psycopg.Error as error:
                # A wrong schema lands here: this version's queries and the database do not fit together.
                self.log_error("database: %s %s", error.sqlstate, " ".join(str(error).split()))
                response = on_error(500, f"The database refused a query of this page ({error.sqlstate}).")
            except Exception as error:  # noqa: BLE001 - a page that fails must not end the server
                self.log_error("%s: %s", type(error).__name__, error)
                response = on_error(500, "Something went wrong.")
            self._send(response)

        def _response(self, method: str) -> Response:
            parts = urlsplit(self.path)
            for wanted, pattern, page in compiled:
                match = pattern.fullmatch(parts.path)
                if match and wanted == method:
                    ids = tuple(int(number) for number in match.groups())
                    if any(number > 2**31 - 1 for number in ids):
                        raise NotFound
                    form: dict[str, str] = {}
                    if method == "POST":
                        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
                            return on_error(403, "This form was sent by another site.")
                        form = self._form()
                    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                    return page(database, Request(path=parts.path, ids=ids, query=query, form=form))
            raise NotFound

        def _form(self) -> dict[str, str]:
            length = self.headers.get("Content-Length", "")
            size = int(length) if length.isascii() and length.isdigit() else 0
            body = self.rfile.read(min(size, 10_000))
            return {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}

        def _send(self, response: Response) -> None:
            content = response.body.encode()
            self.send_response(response.status)
            if response.location:
                self.send_header("Location", response.location)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
            )
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            sys.stderr.write(f"{self.address_string()} {format % arguments}\n")

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for requests that are being answered
    request_queue_size = 64


def serve(routes: Iterable[Route], on_error: Callable[[int, str], Response]) -> int:
    """Serve until SIGTERM or Ctrl-C; requests that are being answered are finished. Returns the exit status."""
    url = os.environ.get("DATABASE_URL", "")
    port = os.environ.get("PORT", "8000")
    if not url:
        sys.stderr.write("shop: DATABASE_URL is not set\n")
        return 2
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        sys.stderr.write(f"shop: PORT is not a port: {port}\n")
        return 2
    database = Database(url)
    try:
        server = _Server(
            ("0.0.0.0", int(port)), _handler(database, routes, on_error)
        )  # in a container, 127.0.0.1 is nobody
    except OSError as error:
        sys.stderr.write(f"shop: cannot listen on port {port}: {error.strerror}\n")
        return 1

    def end(_number: int, _frame: object) -> None:
        # shutdown waits for serve_forever, which runs in this thread: so it must be called from another.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    sys.stderr.write(f"shop: listening on port {server.server_address[1]}\n")
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    database.close()
    return 0
