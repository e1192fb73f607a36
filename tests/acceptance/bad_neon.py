"""A proxy between the client and a Neon API that answers badly when it is told to."""

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: How an answer can be bad; `done` tells whether the request is passed on all the same.
WAYS = {
    "500": (b'{"message": "internal error", "code": ""}', 500, True),
    "503 not done": (b'{"message": "try again"}', 503, False),
    "423": (b'{"message": "project is locked"}', 423, False),
    "429": (b'{"message": "slow down"}', 429, False),
    "401": (b'{"message": "key is not valid"}', 401, False),
    "html": (b"<html><body>502 Bad Gateway</body></html>", 502, True),
    "html 200": (b"<html><body>Welcome</body></html>", 200, True),
    "empty object": (b"{}", 200, True),
    "a list": (b"[]", 200, True),
    "half": (b'{"branch": {"id": "br-', 200, True),
    "cut": (None, 0, True),
    "cut before": (None, 0, False),
}

_FINISHED = re.compile(rb'"status":\s*"finished"')


class BadNeon:
    """Passes requests on to the real one, but answers the chosen request in a bad way, once or so many times."""

    def __init__(self, url: str) -> None:
        self._real = urlsplit(url)
        self.url = ""
        self.way = ""
        self.chosen: Callable[[str, str], bool] = lambda _method, _path: False
        self.left = 0
        self.spoilt = 0
        self.seen: list[str] = []
        #: What stands in an address in place of what, in every answer that is passed on.
        self.replace = ("", "")
        #: Whether operations are said to be running when a mutation is answered, so that somebody has to wait for them.
        self.slow = False
        self._lock = threading.Lock()

    def spoil(self, way: str, chosen: Callable[[str, str], bool], times: int = 1) -> None:
        self.way, self.chosen, self.left, self.spoilt = way, chosen, times, 0

    def heal(self) -> None:
        self.left = 0

    def take(self, method: str, path: str) -> bool:
        with self._lock:
            self.seen.append(f"{method} {path}")
            if self.left > 0 and self.chosen(method, path):
                self.left -= 1
                self.spoilt += 1
                return True
            return False

    def passed_on(self, request: BaseHTTPRequestHandler, body: bytes) -> http.client.HTTPResponse:
        way = http.client.HTTPConnection(self._real.hostname or "", self._real.port, timeout=120)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in {"host", "connection"}}
        way.request(request.command, request.path, body=body or None, headers=headers)
        return way.getresponse()


@contextmanager
def bad_neon(url: str) -> Iterator[BadNeon]:
    """A proxy in front of this API; its `url` has the same path."""
    proxy = BadNeon(url)

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not proxy.take(self.command, self.path):
                answer = proxy.passed_on(self, body)
                old, new = (each.encode() for each in proxy.replace)
                text = answer.read()
                if proxy.slow and self.command != "GET":
                    text = _FINISHED.sub(b'"status":"running"', text)
                self._answer(text.replace(old, new) if old else text, answer.status)
                return
            text, status, done = WAYS[proxy.way]
            if done:
                proxy.passed_on(self, body).read()
            if text is None:
                self.close_connection = True
                self.connection.close()
                return
            self._answer(text, status)

        def _answer(self, text: bytes, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if status != 204:
                self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _any  # noqa: N815 - http.server's names

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_port}{urlsplit(url).path}"
    yield proxy
    server.shutdown()
    server.server_close()
    thread.join()
