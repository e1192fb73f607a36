"""One request to the Neon API and its answer: address, key, retry, errors. Knows no object of Neon's."""

import ipaddress
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from neon_client.errors import ApiError, NeonError, NeonUnreachable, api_error
from neon_client.models import Secret
from neon_client.retry import NOTHING_DONE, Again, Patience, Reason, retry_after_seconds

Params = Mapping[str, str | int | None]  # bool is an int


class LostAnswer(NeonUnreachable):
    """A mutation was sent and its answer never came: it may have been done or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A successful answer; ``body`` is empty for 204."""

    status: int
    body: Mapping[str, Any]
    request_id: str


def path(*parts: str) -> str:
    """A path with each part URL-encoded: ``path("projects", id, "branches")``."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def is_loopback(base_url: str) -> bool:
    """Whether the address is this machine: then no proxy from the environment is asked."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Wire:
    """Sends requests, repeats those that may be repeated, raises the errors of `neon_client.errors`."""

    def __init__(
        self,
        *,
        api_key: Secret,
        base_url: str,
        timeout_seconds: float,
        transport: httpx.BaseTransport | None,
        patience: Patience,
    ) -> None:
        self._key: Final = api_key
        self._patience: Final = patience
        self.base_url: Final = base_url.rstrip("/")
        self._http: Final = httpx.Client(
            timeout=timeout_seconds,
            transport=transport,
            trust_env=not is_loopback(base_url),
            headers={"User-Agent": "preview-orchestrator", "Accept": "application/json"},
            follow_redirects=False,
        )
        self._guard: Final = threading.Lock()
        self._turns: Final[dict[str, threading.RLock]] = {}

    def close(self) -> None:
        """Close the connection pool."""
        self._http.close()

    @contextmanager
    def turn(self, project_id: str) -> Iterator[None]:
        """This thread's turn to change the project: Neon answers 423 to two at once."""
        with self._guard:
            lock = self._turns.setdefault(project_id, threading.RLock())
        with lock:
            yield

    def get(self, where: str, params: Params | None = None) -> Answer:
        """Read; repeated on network errors too."""
        return self.send("GET", where, params=params, repeatable=True)

    def send(
        self,
        method: str,
        where: str,
        *,
        params: Params | None = None,
        json: Mapping[str, Any] | None = None,
        repeatable: bool = False,
        request_id: str | None = None,
    ) -> Answer:
        """Send a request and return its successful answer.

        Args:
            method: HTTP method.
            where: path below the base URL, already encoded (`path`).
            params: query; None values are left out, booleans are written ``true`` and ``false``.
            json: body.
            repeatable: doing it twice equals doing it once, so a lost answer may be answered by repeating.
            request_id: X-Request-ID to send; a new one when None.

        Raises:
            LostAnswer: a mutation that is not repeatable was sent and no answer came.
            NeonUnreachable: nobody answers, or what answers is not the API.
            ApiError: Neon said no; repeated within the budget when nothing was done (423, 429, 503).
        """
        query = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in (params or {}).items()
            if value is not None
        }
        request = request_id or str(uuid.uuid4())
        return self._patience.run(
            lambda: self._once(
                method, where, query=query, json=json, repeatable=repeatable, request_id=request
            )
        )

    def _once(
        self,
        method: str,
        where: str,
        *,
        query: Mapping[str, str],
        json: Mapping[str, Any] | None,
        repeatable: bool,
        request_id: str,
    ) -> Answer:
        what = f"{method} {where}"
        try:
            response = self._http.request(
                method,
                self.base_url + where,
                params=query,
                json=json,
                headers={"Authorization": f"Bearer {self._key.reveal()}", "X-Request-ID": request_id},
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            # The request never left: any method may be repeated.
            raise Again(self._unreachable(what, error), reason=Reason.NETWORK) from None
        except httpx.TransportError as error:
            if repeatable:
                raise Again(self._unreachable(what, error), reason=Reason.NETWORK) from None
            raise LostAnswer(
                f"{what}: no answer came ({type(error).__name__}); it may have been done or not",
                hint="run the command again: it looks first",
            ) from None
        except (httpx.InvalidURL, UnicodeError):
            raise NeonUnreachable(f"{self.base_url!r} is not a URL", hint="check the API's address") from None
        shown = (
            response.headers.get("x-neon-ret-request-id")
            or response.headers.get("x-request-id")
            or request_id
        )
        if response.is_success:
            return Answer(status=response.status_code, body=self._body(response, what), request_id=shown)
        refusal = self._error(response, what, shown)
        if response.status_code in NOTHING_DONE:
            raise Again(
                refusal,
                reason=NOTHING_DONE[response.status_code],
                after_seconds=retry_after_seconds(response.headers.get("retry-after")),
            )
        if response.status_code >= 500:
            # A gateway's 500, 502 or 504 says nothing about what happened behind it.
            if repeatable:
                raise Again(refusal, reason=Reason.NETWORK)
            if response.status_code in {502, 504}:
                raise LostAnswer(
                    f"{what}: a gateway answered {response.status_code}; it may have been done or not",
                    hint="run the command again: it looks first",
                )
        raise refusal

    def _unreachable(self, what: str, error: Exception) -> NeonUnreachable:
        return NeonUnreachable(
            f"{what}: nobody answers at {self.base_url} ({' '.join(str(error).split()) or type(error).__name__})",
            hint="check the network, and the API's address",
        )

    def _body(self, response: httpx.Response, what: str) -> Mapping[str, Any]:
        if response.status_code == 204 or not response.content:
            return {}
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise NeonUnreachable(
                f"{what}: {self.base_url} answered something that is not the Neon API's JSON",
                hint="check the API's address; a proxy or login page may sit in between",
            )
        return body

    @staticmethod
    def _error(response: httpx.Response, what: str, request_id: str) -> ApiError:
        try:
            body = response.json()
        except ValueError:
            body = None
        body = body if isinstance(body, dict) else {}
        message = str(body.get("message") or response.reason_phrase)
        return api_error(
            status=response.status_code,
            code=str(body.get("code") or ""),
            message=message,
            request_id=str(body.get("request_id") or request_id),
            what=what,
        )


def parsed(what: str, make: Callable[[], Any]) -> Any:
    """The result of ``make``; a body that lacks what we need becomes an error that names the request."""
    try:
        return make()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NeonError(
            f"{what}: the answer lacks what we need: {error}",
            hint="is this the Neon API v2, and our version current?",
        ) from None
