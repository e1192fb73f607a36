"""Requests to a team's server: where it is, who we are, answers to values and errors. Knows no verb."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from neon_client import Secret
from orchestrator import errors
from orchestrator.database import LOOPBACK
from orchestrator.errors import OrchestratorError, ServerUnreachable, SettingsError, WrongVersion

#: The version of the API that we speak; see orchestrator.api.guardrails.
VERSION = "1"
VERSION_HEADER = "preview-api"
PREFIX = "/api/v1"
SERVER, TOKEN, TOKEN_FILE = "PREVIEW_SERVER", "PREVIEW_TOKEN", "PREVIEW_TOKEN_FILE"

#: How long a server that is being restarted is asked again, in seconds.
PATIENCE_SECONDS = 15.0


class _Away(Exception):
    """The server cannot be asked just now; asking again is safe."""


def server() -> str | None:
    """The server that this machine's commands go to; None: they are done here."""
    return os.environ.get(SERVER) or None


class Wire:
    """A server, and our token for it.

    Args:
        url: the server's.
        token: shown with every request.
        patience_seconds: how long to ask again while the server does not answer.
    """

    def __init__(self, url: str, token: Secret, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={
                "authorization": f"Bearer {token.reveal()}",
                VERSION_HEADER: VERSION,
                "user-agent": f"preview/{version('preview-orchestrator')}",
            },
            timeout=httpx.Timeout(60.0, connect=10.0),
            trust_env=False,
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at a path below the API's prefix."""
        return self.call("GET", path, parameters=parameters)

    def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: Callable[[], Iterator[bytes]] | None = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Any:
        """Ask, and give the answer's JSON.

        Args:
            method, path, json, parameters, headers: of the request; the path below the API's prefix.
            content: gives the body's parts from its beginning, each time it is called.
            again: whether the same request may be sent twice when no answer came.

        Raises:
            OrchestratorError: what the server says, as the class that it names.
            ServerUnreachable: nobody answers there.
            WrongVersion: it answers, but speaks another version.
        """
        query = {name: value for name, value in (parameters or {}).items() if value is not None}
        retrying = Retrying(
            retry=retry_if_exception_type(_Away),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, json, content, query, headers, again)
        except _Away as error:
            raise ServerUnreachable(
                f"the server at {self.url} does not answer: {error}",
                hint=f"check {SERVER}; what was begun there goes on, and the same command picks it up",
            ) from None

    def _once(
        self,
        method: str,
        path: str,
        json: object,
        content: Callable[[], Iterator[bytes]] | None,
        query: Mapping[str, Any],
        headers: Mapping[str, str] | None,
        again: bool,
    ) -> Any:
        body = content() if content is not None else None
        try:
            answer = self._http.request(
                method, f"{PREFIX}{path}", json=json, content=body, params=query, headers=headers
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Away(_words(error)) from None
        except httpx.HTTPError as error:
            if again:
                raise _Away(_words(error)) from None
            raise ServerUnreachable(
                f"the connection to {self.url} broke: {_words(error)}",
                hint="run the same command again: what was done already is not done twice",
            ) from None
        return self._value(answer)

    def _value(self, answer: httpx.Response) -> Any:
        if answer.status_code in (502, 503, 504) and VERSION_HEADER not in answer.headers:
            raise _Away(f"status {answer.status_code}")  # the gateway answers, not the server
        spoken = answer.headers.get(VERSION_HEADER)
        if spoken != VERSION:
            raise WrongVersion(
                f"{self.url} speaks version {spoken} of the API, and this program {VERSION}"
                if spoken
                else f"{self.url} is no preview server (status {answer.status_code})",
                hint=f"use the version of `preview` that the server has, or check {SERVER}",
            )
        try:
            value = answer.json()
        except ValueError:
            raise ServerUnreachable(
                f"{self.url} answers what is no JSON (status {answer.status_code})"
            ) from None
        if answer.is_success:
            return value
        said = error_of(value)
        if said.retryable and answer.status_code == 503:
            raise _Away(said.message)
        raise said

    @contextmanager
    def lines(self, path: str, **parameters: Any) -> Iterator[Iterator[str]]:
        """The lines of a text at a path, as they come."""
        query = {name: value for name, value in parameters.items() if value is not None}
        try:
            with self._http.stream(
                "GET", f"{PREFIX}{path}", params=query, timeout=httpx.Timeout(None, connect=10.0)
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    self._value(answer)
                yield answer.iter_lines()
        except httpx.HTTPError as error:
            raise ServerUnreachable(f"the connection to {self.url} broke: {_words(error)}") from None
        except _Away as error:
            raise ServerUnreachable(f"the server at {self.url} does not answer: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


@contextmanager
def open_wire() -> Iterator[Wire]:
    """The server and the token that the environment names.

    Raises:
        SettingsError: one is missing, or the token would cross the network for everybody to read.
    """
    url = server()
    if url is None:
        raise SettingsError(
            f"${SERVER} is not set", hint="export it, for example https://preview.example.com"
        )
    parts = urlsplit(url)
    if not parts.hostname or (
        parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK)
    ):
        raise SettingsError(f"${SERVER} is not an https URL", hint="for example https://preview.example.com")
    if parts.username or parts.password:
        raise SettingsError(f"${SERVER} holds a name or a password", hint=f"put the token into ${TOKEN}")
    wire = Wire(url, _token())
    try:
        yield wire
    finally:
        wire.close()


def _token() -> Secret:
    if given := os.environ.get(TOKEN):
        return Secret(given.strip())
    name = os.environ.get(TOKEN_FILE)
    if not name:
        raise SettingsError(
            f"neither ${TOKEN} nor ${TOKEN_FILE} is set",
            hint="an admin of the server makes a token: `preview token create NAME`",
        )
    try:
        with Path(name).expanduser().open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SettingsError(f"others can read {name}", hint=f"chmod 600 {name}")
            text = file.read(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"cannot read ${TOKEN_FILE} {name}: {getattr(error, 'strerror', error)}"
        ) from None
    if not text:
        raise SettingsError(f"{name} is empty", hint="put the token into it")
    return Secret(text)


def error_of(value: object) -> OrchestratorError:
    """The error that an answer tells of, as an instance of its class."""
    told = value.get("error") if isinstance(value, dict) else None
    if not isinstance(told, dict):
        return OrchestratorError("the server answered with an error that says nothing")
    kind = getattr(errors, str(told.get("kind")), None)
    known = isinstance(kind, type) and issubclass(kind, OrchestratorError)
    chosen = cast("type[OrchestratorError]", kind) if known else OrchestratorError
    said = chosen(
        str(told.get("message", "")), hint=str(told.get("hint", "")), detail=str(told.get("detail", ""))
    )
    code = told.get("exit_code")
    if isinstance(code, int) and code != said.exit_code:
        vars(said)["exit_code"] = code  # of a class that we do not know: its exit code counts all the same
    return said


def quoted(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def _words(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
