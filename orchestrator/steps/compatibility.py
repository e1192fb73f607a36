"""Two versions of the app tried on both schemas, side by side, each time on a branch on which nobody wrote.

Touches Neon and the runtime. Never the preview's own branch, which a person clicks in: an app may write when it starts.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.checks.beside import Beside, Say
from orchestrator.checks.compatibility import CELLS, CHECK, Cell, breaking, judge, table
from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.names import parts_of
from orchestrator.checks.report import Finding
from orchestrator.checks.requests import Answer, Request, ask, read_requests
from orchestrator.errors import OrchestratorError, SettingsError, StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.migration.plan import Plan
from orchestrator.settings import Settings
from orchestrator.steps.border import translating
from orchestrator.steps.ground import Ground
from orchestrator.steps.launch import Candidates, Patience, Version
from orchestrator.steps.project import NeonProject
from orchestrator.steps.safety import Scrub
from preview.errors import LaunchFailed, PortInUse, Unhealthy
from preview.released import Release
from preview.spec import Image

#: How many of the app's last lines are looked through for names of what the plan takes away.
_LOG_LINES = 200
#: A version that started well once may take so long the next time, seconds, before it counts as not healthy; and may
#: answer so long that it is not. Each at least, and three times what its start took.
_SHORTEST_PATIENCE = 10.0
_SHORTEST_STEADY = 1.5
#: Which version meets which schema, two at a time: first where it should work, which tells how long it takes to start.
_ROUNDS = ({"old": "current", "new": "new"}, {"old": "new", "new": "current"})
#: The same where nobody says which version runs now.
_ALONE = ({"new": "new"}, {"old": "new"})
_FOLDER_WANTED = "give report.current_context, the folder of the version that runs in production"
_IMAGE_WANTED = "give report.current_image, the image that runs in production"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Which version on which schema, how it is run, and how long it is waited for."""

    version: str
    schema: str
    how: Version
    patience: Patience


@dataclass
class CompatibilityLook:
    """A trial and what came of it; the runner asks for findings first, then for figures."""

    compatibility: "Compatibility"
    preview: Preview
    plan: Plan
    today: Ground
    cells: tuple[Cell, ...] = ()
    stopped: threading.Event = field(default_factory=threading.Event)

    def look(self, say: Say) -> tuple[Finding, ...]:
        """Try all four."""
        findings, self.cells = self.compatibility.run(self.preview, self.plan, self.today, say, self.stopped)
        return findings

    def stop(self) -> None:
        """End what `look` does in another thread, also when it has not begun: those that run end, none is begun."""
        self.stopped.set()
        self.compatibility.stop(self.preview)

    def measures(self) -> Mapping[str, Any]:
        """``compatibility``, the four-way table; nothing where nothing ran."""
        return {"compatibility": table(self.cells)} if self.cells else {}


class Compatibility:
    """Tries the running and the new version.

    Args:
        project: where.
        settings: which version runs now, and what to ask it.
        candidates: runs them.
        endpoint_settings: what a branch is created with, so that a container can reach it.
        last_image: the image of the last promotion that the diary knows; None when there was none.
        scrub: run on branches of main before a version sees them.
        live: what a release put into production; None when nothing did.
    """

    def __init__(
        self,
        project: NeonProject,
        settings: Settings,
        candidates: Candidates,
        endpoint_settings: Callable[[Preview], Mapping[str, Any] | None],
        last_image: Callable[[], str | None] = lambda: None,
        *,
        scrub: Scrub,
        live: Callable[[], Release | None] = lambda: None,
    ) -> None:
        self._live = live
        self._scrub = scrub
        self._project = project
        self._settings = settings
        self._candidates = candidates
        self._endpoint_settings = endpoint_settings
        self._last_image = last_image
        # Neon takes one change of a project at a time (DESIGN, rule 4).
        self._changing = threading.Lock()

    def stop(self, preview: Preview) -> None:
        """End the versions that run."""
        for version in _ROUNDS[0].values():
            with suppress(OrchestratorError):  # the trial's own end does it again
                self._candidates.stop_trial(preview, version)

    def run(
        self, preview: Preview, plan: Plan, today: Ground, say: Say, stopped: threading.Event
    ) -> tuple[tuple[Finding, ...], tuple[Cell, ...]]:
        """Findings and the four cells; those of the new version where nobody says which one runs now.

        The two versions are tried side by side: each mostly waits, for its branch and until it is healthy. The new one
        alone is tried for its requests: that it gets healthy is known from the preview's own start.

        Args:
            preview: whose; its branch may have children meanwhile.
            plan: what was applied to its branch.
            today: where today's schema is (``today``).
            say: told what is done, in any thread.
            stopped: set by another thread, when no trial is to be begun any more.

        Raises:
            SettingsError: the file of requests makes no sense.
            StepFailed: a branch cannot be made, or the runtime does not answer.
        """
        requests = self._requests()
        versions, unknown = self._versions(preview)
        missed = [not_looked_at(CHECK, "running version", unknown)] if unknown else []
        if unknown and all(each.only == "current" for each in requests[1:]):
            return tuple(missed), ()
        longest = self._settings.app.health_timeout_seconds
        patience = dict.fromkeys(versions, Patience(seconds=longest))
        cells: dict[tuple[str, str], Cell] = {}
        with today as old, ExitStack() as stack:
            if not stopped.is_set():
                # First the one that main may have a spare for: who waits for a copy would keep it waiting too.
                old.make()
            grounds = {"old": old, "new": stack.enter_context(self._ground(preview, "new"))}
            for turn in _ALONE if unknown else _ROUNDS:

                def tried(schema: str, say: Say, turn: Mapping[str, str] = turn) -> tuple[Cell, float | None]:
                    if stopped.is_set():
                        raise StepFailed("the trials of two versions were given up")
                    version = turn[schema]
                    trial = _Trial(
                        version=version, schema=schema, how=versions[version], patience=patience[version]
                    )
                    return self._cell(preview, plan, trial, grounds[schema], requests, say)

                if len(turn) == 1:
                    seen = {schema: tried(schema, say) for schema in turn}
                else:
                    with Beside(partial(tried, "new"), lambda: self.stop(preview)) as other:
                        seen = {"old": tried("old", say), "new": other.result(say)}
                for schema, (cell, took) in seen.items():
                    cells[cell.version, schema] = cell
                    if took is not None:
                        patience[cell.version] = Patience(
                            seconds=min(longest, max(_SHORTEST_PATIENCE, 3 * took)),
                            steady=max(_SHORTEST_STEADY, 3 * took),
                        )
        found = tuple(cells[each] for each in CELLS if each in cells)
        return (*missed, *judge(found, plan)), found

    def today(self, preview: Preview) -> Ground:
        """A branch of main, to be: not made before the trials begin."""
        return self._ground(preview, "old")

    def _ground(self, preview: Preview, schema: str) -> Ground:
        return Ground(
            project=self._project,
            preview=preview,
            schema=schema,
            endpoint_settings=self._endpoint_settings,
            scrub=lambda branch_id: self._scrub.run(branch_id, lambda _text: None),
            changing=self._changing,
        )

    def _versions(self, preview: Preview) -> tuple[Mapping[str, Version], str]:
        """The two versions, and why the running one is not among them; empty when it is."""
        report, app = self._settings.report, self._settings.app
        known = preview.facts.get("image")
        image = Image(reference=known["reference"], id=known["id"]) if known else None
        if self._candidates.runtime(preview).kind == "process":
            live = self._live()
            new = Version(command=tuple(app.command), folder=self._settings.path(app.context))
            if not report.current_context and live is not None and live.folder:
                return {"current": Version(command=live.command, folder=Path(live.folder)), "new": new}, ""
            if not report.current_context:
                return {"new": new}, _FOLDER_WANTED
            folder = self._settings.path(report.current_context)
            if not folder.is_dir():
                raise SettingsError(f"report.current_context: there is no folder {report.current_context}")
            command = tuple(report.current_command or app.command)
            return {"current": Version(command=command, folder=folder), "new": new}, ""
        new = Version(image=image, command=tuple(app.container_command))
        live = self._live()
        released = live.image.reference if live and live.image and live.runtime == "docker" else None
        reference = report.current_image or released or self._last_image()
        if not reference:
            return {"new": new}, _IMAGE_WANTED
        try:
            with translating(f"getting the image {reference}"):
                current = self._candidates.runtime(preview).image(reference)
        except StepFailed as error:
            return {"new": new}, f"{error.message}; {_IMAGE_WANTED}"
        command = tuple(report.current_command or app.container_command)
        return {"current": Version(image=current, command=command), "new": new}, ""

    def _requests(self) -> tuple[Request, ...]:
        """Health first, then the file's."""
        file = self._settings.report.requests
        health = Request(name="health", path=self._settings.app.health)
        path = self._settings.path(file)
        if not path.exists():
            return (health,)
        try:
            return (health, *read_requests(file, path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file} cannot be read ({type(error).__name__})") from None

    def _cell(
        self,
        preview: Preview,
        plan: Plan,
        trial: "_Trial",
        ground: Ground,
        requests: Sequence[Request],
        say: Say,
    ) -> tuple[Cell, float | None]:
        """One version on a branch of main or of the preview's branch on which nobody wrote; it has ended afterwards.

        Returns:
            What it answered, and how long it took to get healthy, seconds; None when it did not.
        """
        say(f"trying the {trial.version} version on the {trial.schema} schema")
        asked = [each for each in requests if each.only in {"", trial.version}]
        lines: Sequence[str]
        took = None
        self._candidates.stop_trial(preview, trial.version)  # a dead run's
        try:
            uri = ground.uri()
            began = time.monotonic()
            try:
                url = self._candidates.start_trial(preview, uri, trial.version, trial.how, trial.patience)
            except (Unhealthy, LaunchFailed) as error:
                if isinstance(error, PortInUse):
                    raise StepFailed(error.message, hint=error.hint) from error
                seen = error.status if isinstance(error, Unhealthy) else "it cannot be started"
                lines = getattr(error, "log_tail", ())
                unasked = {each.name: Answer(ok=False, seen="not started") for each in asked[1:]}
                answers = {"health": Answer(ok=False, seen=seen), **unasked}
            else:
                took = time.monotonic() - began
                answers = {each.name: ask(url, each) for each in asked}
                lines = self._candidates.trial_log(preview, trial.version, _LOG_LINES)
        finally:
            self._candidates.stop_trial(preview, trial.version)
        cell = Cell(version=trial.version, schema=trial.schema, answers=answers)
        return (replace(cell, log_names=_named(lines, plan)) if cell.failed else cell), took


def _named(lines: Sequence[str], plan: Plan) -> tuple[str, ...]:
    """What the plan takes away and the log names; nothing else of the log is kept."""
    text = "\n".join(lines)
    return tuple(
        each
        for each in breaking(plan)
        if parts_of(each) and re.search(rf"(?<!\w){re.escape(parts_of(each)[-1])}(?!\w)", text)
    )
