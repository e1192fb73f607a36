"""Throw-away branches on which versions of the app are tried: one a schema, lent to one after the other. Touches Neon.

A branch on which nobody wrote is as good as a fresh one. Whoever writes is given a transaction's number: when none was
given since it was lent, the next one has it too; else the next one gets a fresh branch. After the last version, whoever
needs an untouched copy of main may go on with it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from neon_client.models import ConnectionURI
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import Preview
from orchestrator.steps.backstop import throwaway_end
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject, annotations, trial_name

#: The next number, and whether a session of ours is there still: it might hold locks, or write.
_USED = """
select pg_snapshot_xmax(pg_current_snapshot())::text, exists (
  select from pg_stat_activity where datname = current_database() and usename = current_user
  and backend_type = 'client backend' and pid <> pg_backend_pid())
"""
#: How long the sessions of a version that was stopped may take to end, seconds; and the pause between two looks.
_PARTING_SECONDS = 1.0
_LOOK_SECONDS = 0.05


@dataclass(kw_only=True)
class Ground:
    """The branch of one schema; gone at the end of its block, unless it is handed on.

    Attributes:
        project: where.
        preview: whose.
        schema: ``old``: a child of main; ``new``: of the preview's branch.
        endpoint_settings: what it is created with.
        scrub: run on a child of main before anybody sees it; those of the preview's branch are scrubbed by birth.
        changing: held while the project is changed.
        handed_on: somebody else goes on with it after the block (``rest``), if nobody wrote there.
    """

    project: NeonProject
    preview: Preview
    schema: str
    endpoint_settings: Callable[[Preview], Mapping[str, Any] | None]
    scrub: Callable[[str], None]
    changing: threading.Lock
    handed_on: bool = False
    _branch: str = field(default="", init=False)
    _number: str = field(default="", init=False)
    _lent: bool = field(default=False, init=False)

    def __enter__(self) -> "Ground":
        self._end()  # a dead run's
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self.handed_on or not self._branch or not self._is_untouched():
            self._end()

    @contextmanager
    def rest(self) -> Iterator[str]:
        """The branch that was handed on, and gone at the end of this block; empty: there is none."""
        try:
            yield self._branch
        finally:
            if self._branch:
                self._end()

    def forget(self) -> None:
        """Remove what was handed on and nobody took; what cannot be removed now, `discard` finds."""
        if self._branch:
            with suppress(OrchestratorError):
                self._end()

    def make(self) -> None:
        """Have a branch on which nobody wrote; whoever had it before has ended."""
        if self._lent and not self._is_untouched():
            self._end()
        self._lent = False
        if not self._branch:
            self._branch = self._made()
            self._number = self._used()[0]

    def uri(self) -> ConnectionURI:
        """Of a branch on which nobody wrote, lent from now on."""
        self.make()
        self._lent = True
        return self.project.uri(self._branch)

    def _made(self) -> str:
        project, name = self.project, trial_name(self.preview, self.schema)
        parent = project.main.id if self.schema == "old" else self.preview.facts["branch"]["id"]
        # Without the turn, a branch that is made waits for its passwords behind another one's gigabytes.
        with self.changing, project.neon.turn(project.id), translating(f"making branch {name}"):
            branch = project.neon.create_branch(
                project.id,
                name=name,
                parent_id=parent,
                endpoint_settings=self.endpoint_settings(self.preview),
                annotations=annotations(self.preview),
                expires_at=throwaway_end(),
            ).branch
            project.neon.assert_disposable(project.id, branch.id)
            project.rotate(branch.id)
        if self.schema == "old":
            self.scrub(branch.id)
        return branch.id

    def _is_untouched(self) -> bool:
        deadline = time.monotonic() + _PARTING_SECONDS
        try:
            while True:
                number, anybody = self._used()
                if number != self._number or not anybody:
                    return number == self._number
                if time.monotonic() > deadline:
                    return False
                time.sleep(_LOOK_SECONDS)
        except OrchestratorError:
            return False  # then a fresh one is made

    def _used(self) -> tuple[str, bool]:
        with (
            translating(f"looking at branch {self._branch}"),
            self.project.connect_reading(self._branch, "compatibility") as connection,
        ):
            row = connection.execute(_USED).fetchone()
        return (str(row[0]), bool(row[1])) if row else ("", True)

    def _end(self) -> None:
        self._branch, self._lent = "", False
        with self.changing:
            self.project.remove_trial(self.preview, self.schema)
