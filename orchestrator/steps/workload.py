"""The workload around a rehearsal: its files read, an untouched branch made for it and removed. Touches Neon.

Here a second branch is needed: queries are executed by turns, so that a busy moment of the machine hurts both alike.
Where the versions of the app left one on which nobody wrote, that is it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.checks.beside import Say
from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.report import Finding
from orchestrator.checks.runs import Measured, run_findings, run_workload
from orchestrator.checks.used_indexes import CHECK
from orchestrator.checks.workload import Item, read_workload
from orchestrator.database import Connection
from orchestrator.errors import SettingsError
from orchestrator.lifecycle import Preview
from orchestrator.settings import Settings
from orchestrator.steps.backstop import throwaway_end
from orchestrator.steps.border import translating
from orchestrator.steps.ground import Ground
from orchestrator.steps.project import NeonProject, annotations, untouched_name


@dataclass
class WorkloadLook:
    """A run and what came of it; the runner asks for findings first, then for figures."""

    run: Callable[[Say], tuple[tuple[Finding, ...], tuple[Measured, ...]]]
    measured: tuple[Measured, ...] = ()

    def look(self, say: Say) -> tuple[Finding, ...]:
        """Run the workload."""
        findings, self.measured = self.run(say)
        return findings

    def measures(self) -> Mapping[str, Any]:
        """``workload``, one row a query; nothing where none ran."""
        return {"workload": [each.to_json() for each in self.measured]} if self.measured else {}


class Workload:
    """The files of `report.workload`, measured."""

    def __init__(
        self,
        project: NeonProject,
        settings: Settings,
        endpoint_settings: Callable[[Preview], Mapping[str, Any] | None],
    ) -> None:
        self._project = project
        self._settings = settings
        self._endpoint_settings = endpoint_settings

    def items(self) -> tuple[Item, ...]:
        """Every query of every file, in the order of the files' names.

        Raises:
            SettingsError: a file cannot be read, or a line in it makes no sense.
        """
        folder, pattern = self._settings.directory, self._settings.report.workload
        found: list[Item] = []
        for path in sorted(folder.glob(pattern)):
            name = path.relative_to(folder).as_posix()
            try:
                content = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name} cannot be read ({type(error).__name__})") from None
            found += read_workload(name, content)
        return tuple(found)

    def has_files(self) -> bool:
        """Whether there is anything to run, as far as the names of files tell."""
        try:
            return any(self._settings.directory.glob(self._settings.report.workload))
        except (OSError, ValueError, NotImplementedError):  # no pattern: who runs it says so
            return False

    def run(
        self, preview: Preview, migrated: Connection, today: Ground, detail: Callable[[str], None]
    ) -> tuple[tuple[Finding, ...], tuple[Measured, ...]]:
        """Measure; findings and figures.

        Args:
            preview: whose.
            migrated: a reading connection to its branch.
            today: perhaps has a branch of main that is handed on.
            detail: told what is done.
        """
        items = self.items()
        if not items:
            why = f"no file fits {self._settings.report.workload}: nothing was measured by running it"
            return (not_looked_at(CHECK, "workload", why),), ()
        slower = self._settings.report.slower
        with self._untouched(preview, today, detail) as untouched:
            detail(f"running {len(items)} queries on both branches")
            measured = run_workload(items, untouched, migrated, slower=slower)
        return run_findings(measured, slower), measured

    @contextmanager
    def _untouched(
        self, preview: Preview, today: Ground, detail: Callable[[str], None]
    ) -> Iterator[Connection]:
        """A connection to a copy of main on which nobody wrote, which is gone at the end of the block."""
        project, name = self._project, untouched_name(preview)
        project.remove_untouched(preview)  # a dead run's
        with today.rest() as branch_id:
            if branch_id:
                with project.connect_reading(branch_id, "workload") as connection:
                    yield connection
                return
        try:
            with translating(f"making branch {name}"):
                detail(f"branching {project.main.name} to compare with")
                branch = project.neon.create_branch(
                    project.id,
                    name=name,
                    parent_id=project.main.id,
                    endpoint_settings=self._endpoint_settings(preview),
                    annotations=annotations(preview),
                    expires_at=throwaway_end(),
                ).branch
                project.neon.assert_disposable(project.id, branch.id)
                project.rotate(branch.id)
            with project.connect_reading(branch.id, "workload") as connection:
                yield connection
        finally:
            project.remove_untouched(preview)
