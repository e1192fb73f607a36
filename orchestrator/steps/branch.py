"""branching -> migrating: a branch of main with credentials of its own. Touches Neon."""

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.postgres.inspect import inspect
from orchestrator.steps.backstop import backstop
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject, annotations, branch_name
from orchestrator.steps.safety import Scrub


class BranchStep:
    """Creates the branch, rotates what it inherited, and remembers what main looked like.

    Args:
        project: where.
        endpoint_settings: a function that gives the endpoint settings a branch is created with (where the
            embedded server listens for the candidate); it is only asked when a branch is about to be made.
        scrub: run before anything else sees the branch.
    """

    def __init__(
        self,
        project: NeonProject,
        endpoint_settings: Callable[[Preview], Mapping[str, Any] | None],
        scrub: Scrub,
    ) -> None:
        self._project = project
        self._scrub = scrub
        self._endpoint_settings = endpoint_settings

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Bring the branch about. Everything is looked for by its derived name first."""
        project, neon = self._project, self._project.neon
        name = branch_name(preview)
        branch = project.own_branch(preview)
        with translating(f"making branch {name}"):
            if branch is not None and not preview.facts.get("rotated"):
                # Either ours from a run that died before it was recorded, or stale: a fresh one costs little,
                # and main may have moved meanwhile.
                detail(f"removing the unfinished branch {name}")
                project.remove_scratch(preview)
                project.remove_trials(preview)
                project.delete_own(branch)
                branch = None
            if branch is None:
                detail(f"branching {project.main.name}")
                branch = neon.create_branch(
                    project.id,
                    name=name,
                    parent_id=project.main.id,
                    endpoint_settings=self._endpoint_settings(preview),
                    annotations=annotations(preview),
                    expires_at=backstop(preview.expires_at),
                ).branch
            neon.assert_disposable(project.id, branch.id)
            detail("rotating the inherited passwords")
            # A child inherits production's role passwords (Neon docs, branching): nobody sees a URL before this.
            project.rotate(branch.id)
        self._scrub.run(branch.id, detail)
        with (
            translating(f"looking at branch {name}"),
            project.connect_reading(branch.id, "inspect") as connection,
        ):
            base = inspect(connection)
        return Advance(
            to=State.MIGRATING,
            note=f"{name} from {project.main.name}",
            facts={
                "branch": {"id": branch.id, "name": branch.name},
                "main": {"id": project.main.id, "name": project.main.name, "lsn": branch.parent_lsn},
                "base": base.fingerprint(),
                "rotated": True,
            },
        )
