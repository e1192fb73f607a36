"""The level-triggered reconciler: run the step of the state that is reached, record, go on until it rests.

Never knows what a step does; every step looks before it creates, so any of them may run twice.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle.lease import Lease, LeaseLost
from orchestrator.lifecycle.record import Preview
from orchestrator.lifecycle.states import Next, State, Wanted
from orchestrator.lifecycle.store import Store


class Observer(Protocol):
    """Somebody who is told what happens, while it happens."""

    def started(self, preview: Preview) -> None:
        """The step of `preview.state` begins."""

    def detail(self, text: str) -> None:
        """One line about what the running step does right now."""

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        """The step of `state` is done and recorded; `preview` is the row after it."""

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        """The step of `state` failed; recorded."""


class Step(Protocol):
    """What is done in one working state; touches one outside world."""

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Bring the preview from this state to the next; may be run again after any crash.

        Raises:
            OrchestratorError: it cannot be done; one with `nothing_done` leaves a promoting preview ready.
        """


class Engine:
    """Runs the steps of one preview at a time, under its lease."""

    def __init__(self, store: Store, steps: Mapping[State, Step], observer: Observer) -> None:
        self._store = store
        self._steps = steps
        self._observer = observer

    def run_until_rest(self, lease: Lease) -> Preview:
        """Run steps until the preview rests.

        Returns:
            The preview at rest: ready, waiting, promoted or closed.

        Raises:
            OrchestratorError: a step failed; the row says `failed` and where, or rests as before (`nothing_done`).
        """
        while True:
            preview = self._store.get(lease.preview_id)
            if preview.wanted is Wanted.CLOSED and preview.state not in (
                State.DISCARDING,
                State.PROMOTING,
                State.CLOSED,
            ):
                # Somebody asked for the end while we worked (or before): that goes first.
                preview = self._store.record(lease, to=State.DISCARDING, kind="step", note="discarding")
            if not preview.state.working:
                return preview
            self._run_one(lease, preview)

    def _run_one(self, lease: Lease, preview: Preview) -> None:
        state = preview.state
        self._observer.started(preview)
        began = time.perf_counter()
        try:
            outcome = self._steps[state].run(preview, self._observer.detail)
        except LeaseLost:
            raise
        except OrchestratorError as error:
            spent = (time.perf_counter() - began) * 1000
            self._record_failure(lease, preview, error, spent)
            raise
        except Exception as error:
            # A bug of ours: remembered like any failure, and told as one.
            spent = (time.perf_counter() - began) * 1000
            wrapped = OrchestratorError(
                f"unexpected {type(error).__name__} while {state} {preview.name}",
                hint="this is a fault of preview; the log has the details",
            )
            self._record_failure(lease, preview, wrapped, spent)
            raise
        spent = (time.perf_counter() - began) * 1000
        after = self._store.record(
            lease, to=outcome.to, kind="step", note=outcome.note, facts=outcome.facts, milliseconds=spent
        )
        self._observer.finished(after, state, outcome.note, spent)

    def _record_failure(
        self, lease: Lease, preview: Preview, error: OrchestratorError, milliseconds: float
    ) -> None:
        refused = error.nothing_done and preview.state is State.PROMOTING
        to = State.READY if refused else State.FAILED
        after = self._store.record(
            lease,
            to=to,
            kind="refused" if refused else "failed",
            note=error.message,
            facts=error.facts,
            error={
                "message": error.message,
                "hint": error.hint,
                "detail": error.detail,
                "kind": type(error).__name__,
                "state": preview.state.value,
                "exit_code": error.exit_code,
            },
            milliseconds=milliseconds,
        )
        self._observer.failed(after, preview.state, error.message, milliseconds)
