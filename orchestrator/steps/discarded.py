"""Branches of discarded previews that are kept for a while, for `preview restore` to bring back. Touches Neon."""

from datetime import datetime

from neon_client.models import Branch
from orchestrator.errors import StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.steps.backstop import set_end
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject, branch_name


class Discarded:
    """Puts a preview's branch aside, and brings it back."""

    def __init__(self, project: NeonProject) -> None:
        self._project = project

    def put_aside(self, preview: Preview, until: datetime) -> None:
        """Give the branch its name of a discarded one and an end; its compute sleeps. No branch is fine.

        Raises:
            StepFailed: Neon does not do it; a branch that has children cannot have an end.
        """
        project, neon = self._project, self._project.neon
        branch = project.own_branch(preview)
        if branch is None:
            return
        with translating(f"keeping branch {branch.name} until {until:%Y-%m-%d %H:%M}"):
            set_end(neon, project.id, branch.id, until)
            neon.update_branch(project.id, branch.id, name=discarded_name(preview))
            for each in neon.endpoints(project.id, branch.id):
                neon.suspend_endpoint(project.id, each.id)

    def bring_back(self, preview: Preview, ends: datetime | None) -> Branch:
        """Give the branch its own name again, and another end; may be run again.

        Raises:
            StepFailed: it is gone.
        """
        project, neon = self._project, self._project.neon
        with translating(f"looking for branch {discarded_name(preview)}"):
            branch = neon.find_branch(project.id, discarded_name(preview)) or project.own_branch(preview)
        if branch is None:
            raise StepFailed(
                f"branch {discarded_name(preview)} is gone, and with it the data of {preview.name}",
                hint=f"`preview up {preview.name}` makes a new preview",
            )
        with translating(f"bringing back branch {branch.name}"):
            set_end(neon, project.id, branch.id, ends)
            if branch.name == branch_name(preview):
                return branch
            return neon.update_branch(project.id, branch.id, name=branch_name(preview))


def discarded_name(preview: Preview) -> str:
    """The derived name of a discarded preview's branch."""
    return f"discarded/{preview.slug}"
