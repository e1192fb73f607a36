"""The control plane's frame: rows, project locks, operations that run in a thread. Knows no verb of the API."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from neon_embedded.binaries import find_binaries
from neon_embedded.doors import Doors
from neon_embedded.errors import EmbeddedError, EndpointGone, Refusal
from neon_embedded.faults import Faults
from neon_embedded.gates import Compute, Gates
from neon_embedded.home import Home
from neon_embedded.metering import Meter
from neon_embedded.postmaster import Postmaster
from neon_embedded.rows import OperationRow, ProjectRow
from neon_embedded.store import Store

log: Final = logging.getLogger("neon_embedded")

#: What Neon says (reference: neon-api.md, section 2, 423).
_LOCKED: Final = "project already has running conflicting operations, scheduling of new ones is prohibited"


def nothing() -> None:
    """Undo nothing."""


@dataclass(slots=True, kw_only=True)
class Change:
    """A change of one project under way: its operations in order, and how to undo when one fails."""

    project_id: str
    undo: Callable[[], None] = nothing
    steps: list[tuple[OperationRow, Callable[[], None]]] = field(default_factory=list)

    def step(
        self,
        action: str,
        work: Callable[[], None],
        *,
        branch_id: str | None = None,
        endpoint_id: str | None = None,
    ) -> None:
        """Add an operation; ``action`` is one of Neon's (OperationAction)."""
        row = OperationRow(
            id=str(uuid.uuid4()),
            project_id=self.project_id,
            action=action,
            branch_id=branch_id,
            endpoint_id=endpoint_id,
        )
        self.steps.append((row, work))


def _nobody(endpoint_id: str) -> Compute:
    raise EndpointGone(f"nothing is known of endpoint {endpoint_id} yet")


class Plane:
    """What the verbs share.

    Attributes:
        home: where everything is.
        store: the rows.
        faults: faults on demand.
        patience_seconds: how long an answer waits for its operations before it says that they run.
        doors: the ports of computes that sleep.
        idle_since: since when an endpoint's compute is idle, RFC 3339; None when it is not known.
        gates: the ports where TLS is spoken.
        behind: what is behind the gate of an endpoint.
        answer_knock: what is done in a thread when somebody connects to such a port; gets the endpoint's id.
        closed: whether computes are not to be started any more.
        history_wanted: set when a branch may need its first base soon.
        spares_wanted: set when a branch may need a warm spare.
        meter: what branches take on disk.
        spares_trouble: why a timeline has fewer spares than it should, by timeline.
    """

    def __init__(self, home: Home, store: Store, *, faults: Faults, patience_seconds: float = 5.0) -> None:
        self.home: Final = home
        self.store: Final = store
        self.faults: Final = faults
        self.patience_seconds: Final = patience_seconds
        self.history_wanted: Final = threading.Event()
        self.spares_wanted: Final = threading.Event()
        self.spares_trouble: Final[dict[str, str]] = {}
        self.meter: Final = Meter()
        self.answer_knock: Callable[[str], None] = lambda _: None
        self.idle_since: Callable[[str], str | None] = lambda _: None
        self.doors: Final = Doors(self._knocked)
        self.behind: Callable[[str], Compute] = _nobody
        self.gates: Final = Gates(self._behind)
        self._guard: Final = threading.Lock()
        self._computes: Final[dict[str, threading.RLock]] = {}
        self._locks: Final[dict[str, threading.Lock]] = {}
        self._closing = False
        self.closed = False

    def postmaster(self, timeline: str, project: ProjectRow) -> Postmaster:
        """A timeline's postmaster, running or not. Raises NoPostgres."""
        return self.postmaster_in(self.home.branch_dir(timeline), project)

    def postmaster_in(self, directory: Path, project: ProjectRow) -> Postmaster:
        """The postmaster of any directory that holds data. Raises NoPostgres."""
        return Postmaster(
            directory=directory,
            binaries=find_binaries(project.pg_version, self.home.root),
            account=self.home.account,
            run_dir=self.home.run_dir,
        )

    @contextmanager
    def change(self, project_id: str) -> Iterator[Change]:
        """Change a project: nobody else does meanwhile, not even after the answer while operations run.

        The block validates, writes its intent as rows and adds steps; leaving it runs the steps in a thread.

        Raises:
            Refusal: 423 when another change runs.
        """
        lock = self._lock_of(project_id)
        if self._closing or self.faults.take("locked") or not lock.acquire(blocking=False):
            raise Refusal(423, _LOCKED)
        change = Change(project_id=project_id)
        try:
            yield change
            self.store.add(*(row for row, _ in change.steps))
        except BaseException:
            lock.release()
            raise
        if not change.steps:
            lock.release()
            return
        slow = self.faults.take("slow_operation")
        worker = threading.Thread(
            target=self._run,
            args=(change, lock, 0.3 if slow else 0.0),
            name=f"change {project_id}",
            daemon=True,
        )
        worker.start()
        worker.join(0.0 if slow else self.patience_seconds)

    @contextmanager
    def alone(self, project_id: str, *, timeout_seconds: float = 0.0) -> Iterator[bool]:
        """Care for a project for a block if nobody changes it; yields whether that is so, at the latest in time."""
        lock = self._lock_of(project_id)
        granted = lock.acquire(timeout=timeout_seconds)
        try:
            yield granted
        finally:
            if granted:
                lock.release()

    def _knocked(self, endpoint_id: str) -> None:
        self.answer_knock(endpoint_id)

    def _behind(self, endpoint_id: str) -> Compute:
        return self.behind(endpoint_id)

    @contextmanager
    def compute(self, branch_id: str, *, wait: bool = True) -> Iterator[bool]:
        """Keep a branch's compute as it is, awake or asleep, for a block; yields whether that was granted.

        Whoever starts, stops, reads or replaces the files of a compute that may sleep holds this: a connection
        wakes it at any moment. It may be taken again by the same thread, and after the project's lock.
        """
        with self._guard:
            lock = self._computes.setdefault(branch_id, threading.RLock())
        granted = lock.acquire(blocking=wait)
        try:
            yield granted
        finally:
            if granted:
                lock.release()

    def close(self) -> None:
        """Refuse new changes and connections to sleeping computes; wait until what runs has ended.

        Afterwards nobody starts or stops a compute any more but the caller.
        """
        self._closing = True
        self.doors.close()
        self.gates.close()
        with self._guard:
            locks = list(self._locks.values())
        for lock in locks:
            lock.acquire()
        self.closed = True
        with self._guard:
            computes = list(self._computes.values())
        for each in computes:
            each.acquire()

    def _lock_of(self, project_id: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(project_id, threading.Lock())

    def _run(self, change: Change, lock: threading.Lock, delay_seconds: float) -> None:
        try:
            failed = False
            for row, work in change.steps:
                if failed:
                    self._set(row, "cancelled", "an earlier operation failed")
                    continue
                self._set(row, "running")
                time.sleep(delay_seconds)
                error = self._attempt(work)
                if error:
                    failed = True
                    log.error("%s on %s failed: %s", row.action, row.branch_id or row.project_id, error)
                    undo_error = self._attempt(change.undo, faulty=False)
                    if undo_error:
                        log.error("undoing %s failed, the next start will do it: %s", row.action, undo_error)
                    self._set(row, "failed", f"{error}{self.home.no_room}")
                else:
                    self._set(row, "finished")
            self.store.forget_old_operations()
        except Exception:
            log.exception("a change of project %s broke off", change.project_id)
        finally:
            lock.release()

    def _attempt(self, work: Callable[[], None], *, faulty: bool = True) -> str:
        """Do the work; the answer is why it failed, or empty."""
        try:
            if faulty and self.faults.take("failed_operation"):
                return "a fault was asked for (failed_operation)"
            work()
        except EmbeddedError as error:
            return f"{error.message}{f' ({error.hint})' if error.hint else ''}"
        except OSError as error:
            return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        except Exception:
            log.exception("a step broke")
            return f"internal error, see {self.home.log}"
        return ""

    def _set(self, row: OperationRow, status: str, error: str | None = None) -> None:
        self.store.change(OperationRow, {"id": row.id}, status=status, error=error)
