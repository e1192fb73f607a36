"""Requests to an app and what it answered: read from a file, asked over HTTP. Keeps no body: it may hold rows."""

import http.client
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import SettingsError

#: How long one answer may take, seconds.
ANSWER_SECONDS = 20.0
#: How much of an answer is read to look for a text, bytes.
_LONGEST = 4 * 1024 * 1024
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_KEYS = frozenset({"name", "method", "path", "headers", "body", "status", "text", "only"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request and the answer that is right.

    Attributes:
        name: what people call it; ``METHOD PATH`` unless the file says otherwise.
        method, path, headers, body: what is sent.
        status: the right status; 0: any below 400.
        text: what the body must hold; empty: anything.
        only: ``current`` or ``new``: the version that it is meant for; empty: both.
    """

    name: str
    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    status: int = 0
    text: str = ""
    only: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        ok: whether it is the right one.
        seen: the status, or why there is none: ``HTTP 500``, ``no answer``, ``HTTP 200 without the text``.
    """

    ok: bool
    seen: str


def read_requests(file: str, content: str) -> tuple[Request, ...]:
    """The ``[[request]]`` tables of a TOML file.

    Raises:
        SettingsError: it is no TOML, or an entry makes no sense; names the file and the entry.
    """
    try:
        value = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is no TOML: {error}") from None
    entries = value.get("request", [])
    if set(value) - {"request"} or not isinstance(entries, list):
        raise SettingsError(f"{file} holds something else than [[request]] tables")
    return tuple(_request(file, number, entry) for number, entry in enumerate(entries, 1))


def _request(file: str, number: int, entry: Any) -> Request:
    def wrong(what: str) -> SettingsError:
        return SettingsError(f"{file}, request {number}: {what}", hint="see docs/report.md")

    if not isinstance(entry, dict) or (unknown := sorted(set(entry) - _KEYS)):
        raise wrong(f"unknown key {unknown[0]!r}" if isinstance(entry, dict) else "it is no table")
    method, path = entry.get("method", "GET"), entry.get("path")
    if method not in _METHODS:
        raise wrong(f"method is one of {', '.join(_METHODS)}")
    if not isinstance(path, str) or not path.startswith("/") or not path.isascii() or path.split() != [path]:
        raise wrong("path begins with / and holds no blanks")
    headers, status = entry.get("headers", {}), entry.get("status", 0)
    if not isinstance(headers, dict) or not all(isinstance(each, str) for each in headers.values()):
        raise wrong("headers is a table of texts")
    if not isinstance(status, int) or (status and not 100 <= status <= 599):
        raise wrong("status is a number from 100 to 599")
    texts = {key: entry.get(key, "") for key in ("name", "body", "text", "only")}
    if not all(isinstance(each, str) for each in texts.values()):
        raise wrong("name, body, text and only are texts")
    if texts["only"] not in {"", "current", "new"}:
        raise wrong("only is `current` or `new`")
    name = texts.pop("name") or f"{method} {path}"
    return Request(name=name, method=method, path=path, headers=headers, status=status, **texts)


def ask(url: str, request: Request, *, seconds: float = ANSWER_SECONDS) -> Answer:
    """Send it and judge the answer; redirects are not followed. Raises nothing about the network.

    Args:
        url: where the app is, ``http://127.0.0.1:20000``.
        request: what to send.
        seconds: how long the answer may take.
    """
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=seconds)
    try:
        body = request.body.encode() if request.body else None
        connection.request(request.method, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        status, content = answer.status, answer.read(_LONGEST) if request.text else b""
    except TimeoutError:
        return Answer(ok=False, seen=f"no answer within {seconds:g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(ok=False, seen=f"no answer ({type(error).__name__})")
    finally:
        connection.close()
    right = status == request.status if request.status else status < 400
    if right and request.text and request.text not in content.decode(errors="replace"):
        return Answer(ok=False, seen=f"HTTP {status} without the text")
    return Answer(ok=right, seen=f"HTTP {status}")
