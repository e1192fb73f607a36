"""Fault points: before and after every effect, so that a test can end the process, or break the effect, exactly there.

They stand at the doors through which all effects go (PostgreSQL, the Neon API, the runtime, the Docker engine), so that
nobody can forget one. Off unless $PREVIEW_FAULT is set; then the doors are opened without them and they cost nothing.

    PREVIEW_FAULT="record FILE"                                  write down each point that is passed
    PREVIEW_FAULT="kill neon POST projects/branches after#2"     SIGKILL at the second passing of that point
    PREVIEW_FAULT="stop neon POST projects/branches after#2"     SIGSTOP there
    PREVIEW_FAULT="error docker start before#1"                  it fails: not begun, or done and the answer lost
"""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import psycopg

VARIABLE = "PREVIEW_FAULT"
#: Verbs of a runtime that change something.
RUNTIME_VERBS = frozenset(
    {
        *("build", "image", "start", "run", "stop", "sleep", "wake", "remove_image", "remove_belonging"),
        *("keep_image", "let_go", "open_network"),
    }
)
#: Statements that change nothing that outlives the session.
_READING = frozenset(
    {"select", "show", "set", "explain", "table", "values", "begin", "declare", "fetch", "copy", "with"}
)
_REMARKS = re.compile(r"\A(?:\s|--[^\n]*|/\*.*?\*/)+", re.DOTALL)
_WORDS_OF_NEON = re.compile(r"[a-z_]+")

T = TypeVar("T")


class Planted(Exception):
    """The effect is to fail here; each door turns it into what really happens there."""


@dataclass(frozen=True, slots=True)
class _Order:
    act: str
    what: str

    @classmethod
    def read(cls, text: str) -> "_Order":
        act, _, what = text.partition(" ")
        if act not in {"record", "kill", "stop", "error"} or not what:
            raise ValueError(
                f"${VARIABLE} is `record FILE`, `kill POINT#N`, `stop POINT#N` or `error POINT#N`, not {text!r}"
            )
        return cls(act, what if act == "record" or "#" in what else f"{what}#1")


_lock = threading.Lock()
_passed: Counter[str] = Counter()


@cache
def _order() -> _Order | None:
    text = os.environ.get(VARIABLE)
    return _Order.read(text) if text else None


def active() -> bool:
    """Whether the doors are to be opened with fault points."""
    return _order() is not None


def point(name: str) -> None:
    """Pass a fault point.

    Raises:
        Planted: it was ordered that the effect fails here.
    """
    order = _order()
    if order is None:
        return
    with _lock:
        _passed[name] += 1
        here = f"{name}#{_passed[name]}"
        if order.act == "record":
            with Path(order.what).open("a", encoding="utf-8") as file:
                file.write(f"{here}\n")
        elif here == order.what:
            if order.act == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if order.act == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
                return
            raise Planted(here)


def recorded(file: Path) -> tuple[str, ...]:
    """The points that were passed, in order, as a run with `record` wrote them down; each can be ordered."""
    return tuple(file.read_text(encoding="utf-8").splitlines()) if file.exists() else ()


def around(name: str, effect: Callable[[], T], fails: Callable[[str], Exception]) -> T:
    """An effect between its two points; `fails` makes the error by which its failure shows."""
    try:
        point(f"{name} before")
    except Planted as planted:
        raise fails(f"planted at {planted}") from None
    done = effect()
    try:
        point(f"{name} after")
    except Planted as planted:
        raise fails(f"planted at {planted}") from None
    return done


class Transport(httpx.BaseTransport):
    """The way to the Neon API, with points around each request that changes something."""

    def __init__(self) -> None:
        self._way = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.BaseTransport."""
        if request.method == "GET":
            return self._way.handle_request(request)
        # Ids are left out: they are others in each run.
        words = [each for each in request.url.path.split("/")[3:] if _WORDS_OF_NEON.fullmatch(each)]
        name = f"neon {request.method} {'/'.join(words)}"

        def send() -> httpx.Response:
            response = self._way.handle_request(request)
            response.read()
            return response

        return around(name, send, lambda text: httpx.ReadError(text, request=request))

    def close(self) -> None:
        """See httpx.BaseTransport."""
        self._way.close()


class Cursor(psycopg.Cursor[Any]):
    """A cursor with points around each statement that changes something."""

    def execute(self, query: Any, *arguments: Any, **more: Any) -> Any:
        """See psycopg.Cursor."""
        text = (
            query
            if isinstance(query, str)
            else query.decode()
            if isinstance(query, bytes)
            else query.as_string(self)
        )
        words = _REMARKS.sub("", text).split(maxsplit=3)[:3]
        if not words or words[0].lower() in _READING:
            return super().execute(query, *arguments, **more)
        purpose = self.connection.info.parameter_status("application_name") or ""
        name = f"sql {purpose.removeprefix('preview: ')}: {' '.join(words)}"
        return around(
            name, lambda: super(Cursor, self).execute(query, *arguments, **more), psycopg.OperationalError
        )


class _FaultyRuntime:
    """A runtime with points around its verbs."""

    def __init__(self, runtime: Any, fails: Callable[[str], Exception]) -> None:
        self._runtime = runtime
        self._fails = fails

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._runtime, verb)
        if verb not in RUNTIME_VERBS:
            return found
        name = f"{self._runtime.kind} {verb}"
        return lambda *given, **more: around(name, lambda: found(*given, **more), self._fails)


def with_points(runtime: T, fails: Callable[[str], Exception]) -> T:
    """The runtime, with points around its verbs and around each request to a Docker engine that changes something.

    Args:
        runtime: see `preview.runtime.Runtime`.
        fails: makes the error that says that it does not answer.
    """
    kind = getattr(runtime, "kind", "")
    if kind == "docker":
        # The one place where all its requests pass; a runtime has no use for showing it.
        api = cast("Any", runtime)._client().api
        send = api.send

        def sending(request: Any, **more: Any) -> Any:
            if request.method in {"GET", "HEAD"}:
                return send(request, **more)
            path = re.sub(
                r"/(v[0-9.]+|[0-9a-f]{12,}|sha256:[0-9a-f]+)|-[0-9a-f]{8}\b",
                "",
                request.path_url.partition("?")[0],
            )
            return around(f"engine {request.method} {path.strip('/')}", lambda: send(request, **more), fails)

        api.send = sending
    return cast("T", _FaultyRuntime(runtime, fails))
