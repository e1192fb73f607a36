"""discarding -> closed: undo everything, in reverse order; the row closes when all absence was observed.

The one step that touches several outside worlds: the runtime, then Neon.
"""

from collections.abc import Callable

from orchestrator.errors import StepFailed
from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.steps.launch import Candidates, candidate_name
from orchestrator.steps.project import NeonProject, branch_name


class DiscardStep:
    """Removes candidate, image and branch, whether or not the row remembers them."""

    def __init__(self, project: NeonProject, candidates: Candidates) -> None:
        self._project = project
        self._candidates = candidates

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Remove; what is not there is fine."""
        detail("stopping the app")
        unseen = ""
        try:
            self._candidates.remove(preview)
        except StepFailed as error:
            if not preview.facts.get("forced"):
                error.hint = (
                    f"{error.hint}; without it for good: `preview discard {preview.name} --force`".lstrip(
                        "; "
                    )
                )
                raise
            unseen = f"; given up by force, {candidate_name(preview)} may still be there: {error.message}"
        name = branch_name(preview)
        detail(f"deleting branch {name}")
        self._project.remove_scratch(preview)
        self._project.remove_untouched(preview)
        self._project.remove_trial(preview)
        branch = self._project.own_branch(preview)
        if branch is not None:
            self._project.delete_own(branch)
            if self._project.own_branch(preview) is not None:
                raise StepFailed(f"branch {name} is still there after it was deleted", hint="try again")
        note = f"the branch is gone{unseen}" if unseen else "app, image and branch are gone"
        return Advance(to=State.CLOSED, note=note, facts={"url": None})
