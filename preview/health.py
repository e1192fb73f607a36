"""Asks a candidate over HTTP whether it serves. Dials this machine only, follows no redirect, starts nothing."""

import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from preview.spec import HealthCheck

LOOPBACK = "127.0.0.1"
_LONGEST_ANSWER_SECONDS = 5.0
_EAGER_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a candidate saw.

    Attributes:
        healthy: whether it answered with a 2xx or 3xx.
        status: what was seen, fit for a sentence: `HTTP 503`, `connection refused`.
        answered: whether that was an HTTP answer.
    """

    healthy: bool
    status: str
    answered: bool = False


def look(
    port: int, check: HealthCheck, *, answer_seconds: float = _LONGEST_ANSWER_SECONDS, host: str = LOOPBACK
) -> Look:
    """One GET on 127.0.0.1:port, or another address of this machine; raises nothing.

    A container's published port accepts connections before the app listens (the engine's proxy does), so a reset
    or an empty answer means "not yet", like a refused connection.
    """
    if check.over != "http":
        return _look_beneath(host, port, check)
    connection = http.client.HTTPConnection(host, port, timeout=answer_seconds)
    try:
        connection.request("GET", check.path, headers={"User-Agent": "preview-health", "Connection": "close"})
        status = connection.getresponse().status
    except TimeoutError:
        return Look(healthy=False, status=f"no answer within {answer_seconds:.0f} s")
    except ConnectionRefusedError:
        return Look(healthy=False, status="connection refused")
    except (ConnectionError, http.client.RemoteDisconnected):
        return Look(healthy=False, status="connection closed without an answer")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Look(healthy=False, status=f"no HTTP answer ({type(error).__name__})")
    finally:
        connection.close()
    return Look(healthy=200 <= status < 400, status=f"HTTP {status}", answered=True)


def _look_beneath(host: str, port: int, check: HealthCheck) -> Look:
    """Whether a connection is taken; or nothing at all, where running is enough."""
    if check.over == "nothing":
        return Look(healthy=True, status="runs")
    try:
        socket.create_connection((host, port), timeout=_LONGEST_ANSWER_SECONDS).close()
    except OSError as error:
        return Look(healthy=False, status=str(error.strerror or error).lower())
    return Look(healthy=True, status="takes connections")


def wait_until_healthy(
    port: int, check: HealthCheck, ended: Callable[[], str | None], *, host: str = LOOPBACK
) -> Look:
    """Look again and again until the candidate is healthy, has ended, answers steadily otherwise, or the time is over.

    Args:
        port: on the host.
        check: what counts as healthy, and how long to wait.
        ended: None while the candidate lives, else how it ended, fit for a sentence.
        host: an address of this machine, or of a container on it.

    Returns:
        The last look; not healthy when the candidate ended, even if somebody else answers on its port.
    """
    begun = time.monotonic()
    deadline = begun + check.timeout_seconds
    since, same = begun, ""
    while True:
        left = deadline - time.monotonic()
        seen = look(port, check, answer_seconds=min(max(left, 0.5), _LONGEST_ANSWER_SECONDS), host=host)
        how = ended()
        if how is not None:
            return Look(healthy=False, status=how)
        now = time.monotonic()
        if not seen.answered or seen.status != same:
            since, same = now, seen.status if seen.answered else ""
        if not seen.healthy and now - since >= check.steady_seconds:
            return seen
        # A slow starter is asked less often: each question is a line in its log, whose tail we may have to show.
        pause = max(check.interval_seconds, 1.0) if now - begun > _EAGER_SECONDS else check.interval_seconds
        if seen.healthy or now + pause > deadline:
            return seen
        time.sleep(pause)
