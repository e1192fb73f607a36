"""Says what is to be said: collects, sends, remembers. Run by a server's thread, or once after a command."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from neon_client import Secret
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import Store
from orchestrator.notify import sending
from orchestrator.notify.outbox import Letter, Outbox
from orchestrator.notify.words import headers
from orchestrator.redaction import clean
from orchestrator.sections import NotifyTarget
from orchestrator.settings import Settings

_log = logging.getLogger("preview.notify")
_LOOK_SECONDS = 2.0
_AT_ONCE = 100


class Notifier:
    """Who tells the targets of one project.

    Args:
        settings: `notify`, `dashboard`, `gateway`.
        project: the project's key.
        open_store: opens the diary.
    """

    def __init__(
        self, settings: Settings, *, project: str, open_store: Callable[[], AbstractContextManager[Store]]
    ) -> None:
        self._targets = {each.name: each for each in settings.notify.to}
        self._hours = settings.notify.expiring_hours
        self._pages = pages_url(settings)
        self._project = project
        self._open = open_store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def once(self) -> tuple[int, int]:
        """Collect what is new and send what is due.

        Returns:
            How many were sent, and how many were not.
        """
        sent = failed = 0
        with self._open() as store:
            outbox = Outbox(store.connection, self._project)
            wanted = {each.name: (each.kind, frozenset(each.on)) for each in self._targets.values()}
            outbox.collect(store, wanted, hours=self._hours, pages=self._pages)
            deaf: set[str] = set()
            for _ in range(_AT_ONCE):
                if self._stopping.is_set() or (letter := outbox.take(but=deaf)) is None:
                    break
                try:
                    self._send(letter)
                except sending.NotSent as error:
                    failed += 1
                    if error.again:
                        deaf.add(letter.target)  # it may take its time to say no: others are told first
                    _log.warning("%s about %s to %s: %s", letter.what, letter.name, letter.target, error.why)
                    outbox.not_sent(letter, clean(error.why), again=error.again)
                else:
                    sent += 1
                    outbox.sent(letter)
        return sent, failed

    def _send(self, letter: Letter) -> None:
        target = self._targets.get(letter.target)
        if target is None:
            raise sending.NotSent("the settings do not name this target any more", again=False)
        sending.send(
            _url(target),
            letter.body,
            headers(letter.body, letter.key),
            secret=_from_environment(target.secret_env) if target.secret_env else None,
            internal=target.internal,
        )

    def start(self) -> None:
        """Go on until `stop`, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not said yet is said by the next who starts."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(15)

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self.once()
            except OrchestratorError as error:
                _log.warning("telling others: %s", clean(error.message))
            except Exception:  # noqa: BLE001 - a thread of a server goes on
                _log.exception("telling others: unexpected")


def pages_url(settings: Settings) -> str | None:
    """Where others find the dashboard; None where only this machine does."""
    if settings.dashboard.url:
        return settings.dashboard.url
    return None if settings.gateway.local else f"https://{settings.gateway.domain}"


def _url(target: NotifyTarget) -> Secret:
    return Secret(target.url) if target.url else _from_environment(str(target.url_env))


def _from_environment(name: str) -> Secret:
    value = os.environ.get(name, "")
    if not value:
        raise sending.NotSent(f"${name} is not set", again=True)
    return Secret(value)
