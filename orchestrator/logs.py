"""What a server and its workers say, as JSON lines on standard error: preview and step on each, no secret on any."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from neon_client import ConnectionURI, Secret
from orchestrator.lifecycle import Observer, Preview, State
from orchestrator.redaction import clean

_log = logging.getLogger("preview.steps")


def set_up(level: int = logging.INFO) -> None:
    """Send everything that is logged in this process through one formatter; again is harmless."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_secrets,
            structlog.processors.JSONRenderer(default=_shown),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("procrastinate", "httpx", "httpcore", "docker", "urllib3", "uvicorn", "psycopg.pool"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _without_secrets(_logger: object, _method: str, event: Any) -> Any:
    """Every value of a line, as deep as it goes: secrets by their type, and by how they look."""
    return _hidden(event)


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Secret | ConnectionURI):
        return "***"
    if isinstance(value, Mapping):
        return {key: _hidden(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(each) for each in value]
    return value


def _shown(value: object) -> str:
    return clean(str(value))


class Logged:
    """An Observer that logs what happens, and tells another.

    Args:
        inner: the other.
        about: what stands on every line while it is used: job, act, preview.
    """

    def __init__(self, inner: Observer, about: Mapping[str, str]) -> None:
        self._inner = inner
        self._about = about

    def started(self, preview: Preview) -> None:
        """See lifecycle.Observer."""
        self._say("begins", preview, preview.state)
        self._inner.started(preview)

    def detail(self, text: str) -> None:
        """See lifecycle.Observer."""
        self._inner.detail(text)

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        """See lifecycle.Observer."""
        self._say(note or "done", preview, state, milliseconds=round(milliseconds, 1), to=preview.state.value)
        self._inner.finished(preview, state, note, milliseconds)

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        """See lifecycle.Observer."""
        self._say(message, preview, state, failed=True, milliseconds=round(milliseconds, 1))
        self._inner.failed(preview, state, message, milliseconds)

    def _say(self, text: str, preview: Preview, step: State, *, failed: bool = False, **more: Any) -> None:
        known = {**self._about, "preview": preview.name, "preview_id": preview.id, "step": step.value, **more}
        with structlog.contextvars.bound_contextvars(**known):
            _log.log(logging.WARNING if failed else logging.INFO, "%s", text)
