"""An act that a team's server does for us: asked for, followed to its end, told to the observer here as it happens."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from orchestrator.errors import PromotionUnderWay
from orchestrator.lifecycle import Observer, Preview, State, Wanted
from orchestrator.remote.wire import Wire, error_of, quoted

T = TypeVar("T")

#: How long one request waits for news of a job, in seconds.
_WAIT_SECONDS = 20


class Teller(Observer, Protocol):
    """An observer who also takes lines that belong to no step."""

    def say(self, text: str) -> None:
        """One line."""


def follow(
    wire: Wire, act: str, name: str, arguments: Mapping[str, Any], observer: Teller
) -> Mapping[str, Any]:
    """Ask for an act on a preview, or on the whole project without a name, and wait for the end of its job.

    Args:
        wire: to the server.
        act: see orchestrator.acts.
        name: the preview's; empty: of none.
        arguments: of the act, JSON.
        observer: told what happens in the job.

    Returns:
        What it gave: the row that it ended with, JSON.

    Raises:
        OrchestratorError: as the job ended.
    """
    job = wire.call(
        "POST",
        f"/previews/{quoted(name)}/{act}" if name else f"/project/{act}",
        json=arguments,
        headers={"idempotency-key": secrets.token_hex(16)},
    )
    after = 0
    while True:
        job = wire.get(f"/jobs/{job['id']}", after=after, wait=_WAIT_SECONDS, row=True)
        for line in job["lines"]:
            after = line["number"]
            _replay(observer, name, line)
        if job["ended_at"] and not job["lines"]:
            break
    if job["error"]:
        raise error_of({"error": job["error"]})
    row: Mapping[str, Any] = job["row"]
    return row


def patiently(act: Callable[[], T], wait: Callable[[str], bool]) -> T:
    """Do it, again while somebody else has the turn on main and `wait`, which is told who, wants to look again.

    Raises:
        PromotionUnderWay: somebody else has it, and `wait` gave up.
    """
    while True:
        try:
            return act()
        except PromotionUnderWay as error:
            if not wait(error.message):
                raise


def _replay(observer: Teller, name: str, line: Mapping[str, Any]) -> None:
    """Tell the observer what happened there."""
    kind, text = line["kind"], line["text"]
    if kind == "detail":
        observer.detail(text)
    elif kind == "said":
        observer.say(text)
    else:
        state = State(line["state"])
        if kind == "started":
            observer.started(_in_state(name, state))
        elif kind == "finished":
            observer.finished(_in_state(name, state), state, text, line["milliseconds"])
        elif kind == "failed":
            observer.failed(_in_state(name, state), state, text, line["milliseconds"])


def _in_state(name: str, state: State) -> Preview:
    """A row of which only name and state are known: enough for an observer."""
    now = datetime.now(UTC)
    return Preview(
        id="",
        name=name,
        project="",
        wanted=Wanted.READY,
        state=state,
        facts={},
        error=None,
        created_by="",
        created_at=now,
        updated_at=now,
        expires_at=None,
    )
