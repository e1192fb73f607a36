"""discarding -> closed: undo everything, in reverse order; the row closes when all absence was observed.

The one step that touches several outside worlds: the runtime, then Neon.
"""

from collections.abc import Callable

from orchestrator.errors import StepFailed
from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.steps.border import translating
from orchestrator.steps.branch import branch_name
from orchestrator.steps.launch import Candidates
from orchestrator.steps.project import NeonProject


class DiscardStep:
    """Removes candidate, image and branch, whether or not the row remembers them."""

    def __init__(self, project: NeonProject, candidates: Candidates) -> None:
        self._project = project
        self._candidates = candidates

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Remove; what is not there is fine."""
        detail("stopping the app")
        self._candidates.remove(preview)
        name = branch_name(preview)
        detail(f"deleting branch {name}")
        with translating(f"deleting branch {name}"):
            neon = self._project.neon
            branch = neon.find_branch(self._project.id, name)
            if branch is not None:
                neon.delete_branch(self._project.id, branch.id)
                if neon.find_branch(self._project.id, name) is not None:
                    raise StepFailed(f"branch {name} is still there after it was deleted", hint="try again")
        return Advance(to=State.CLOSED, note="container, image and branch are gone", facts={"url": None})
