"""Whether a ready preview is still what `up` would make now: looks at main, goal, image and app; changes nothing."""

from collections.abc import Callable

from orchestrator.lifecycle import Preview, State
from orchestrator.postgres.inspect import inspect
from orchestrator.steps.border import translating
from orchestrator.steps.command import Command
from orchestrator.steps.goal import Goal
from orchestrator.steps.launch import Candidates, candidate_name
from orchestrator.steps.own import OwnSteps
from orchestrator.steps.project import NeonProject


class Freshness:
    """Compares a ready preview with the world."""

    def __init__(
        self,
        project: NeonProject,
        goal: Goal,
        candidates: Candidates,
        detail: Callable[[str], None],
        *,
        command: Command,
        own: OwnSteps,
    ) -> None:
        self._project = project
        self._goal = goal
        self._command = command
        self._own = own
        self._candidates = candidates
        self._detail = detail

    def goal(self, preview: Preview) -> str:
        """The goal's fingerprint as it is now."""
        if self._command.wanted:
            # What it makes depends on itself and on the image; running it again would not make the same times and ids.
            same = (preview.facts.get("command") or {}).get("argv") == self._command.argv
            return str(preview.facts["goal"]) if same else ""
        return self._goal.fingerprint_of(self._goal.snapshot(preview.facts["branch"]["id"], self._detail))

    def stale(self, preview: Preview) -> tuple[State, str] | None:
        """The state to go back to and why, or None."""
        facts, project = preview.facts, self._project
        with translating("looking for the branch"):
            branch = project.neon.find_branch(project.id, facts["branch"]["name"])
        if branch is None or branch.id != facts["branch"]["id"]:
            return State.BRANCHING, "the branch is gone"
        with (
            project.connect_reading(project.main.id, "compare") as connection,
            translating("inspecting main"),
        ):
            known = {facts["base"], (facts.get("expanded") or {}).get("main")}
            if inspect(connection).fingerprint() not in known:
                return State.BRANCHING, "main has changed"
        if moved := self._moved(preview):
            return moved
        with translating("looking for the app"):
            there = self._candidates.runtime(preview).observe(candidate_name(preview))
        if there is None or there.state != "running":
            return State.LAUNCHING, "the app is not running" if there else "the app is gone"
        return None

    def _moved(self, preview: Preview) -> tuple[State, str] | None:
        """What is not as the rehearsal took it: the goal, own steps, the image."""
        facts = preview.facts
        if self.goal(preview) != facts["goal"]:
            return State.BRANCHING, "the goal has changed"
        if [list(each) for each in self._own.digests()] != list(facts.get("own_steps") or []):
            return State.BRANCHING, "a step of your own has changed"
        image = self._candidates.image(preview, self._detail)
        if image is not None and image.id != (facts.get("image") or {}).get("id"):
            if self._command.wanted:
                return State.BRANCHING, "the app has changed, and its migrations may have"
            return State.LAUNCHING, "the app has changed"
        return None
