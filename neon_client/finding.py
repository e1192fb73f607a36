"""Finding again what a lost answer may have made, and what a full plan could lose. Changes nothing on Neon."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from neon_client.errors import NeonError, NotFound, QuotaExceeded
from neon_client.models import Branch, CreatedBranch, CreatedProject, Project

if TYPE_CHECKING:
    from neon_client.branches import Branches
    from neon_client.client import NeonClient

#: How many branches a full plan's hint names.
_NAMED: Final = 5


def found_branch(client: "Branches", project_id: str, branch_id: str) -> CreatedBranch | None:
    """A branch whose announcement was lost, ready; None when its creation failed and it went away again.

    The list of operations lags (reference: neon-api.md, section 2), so the branch itself is asked as well.
    """
    try:
        done = client.wait(project_id, client.pending(project_id, branch_id))
        client.until(
            lambda: client.branch(project_id, branch_id).current_state != "init",
            f"branch {branch_id} of project {project_id} is still being made",
        )
        client.until(
            lambda: all(each.current_state != "init" for each in client.endpoints(project_id, branch_id)),
            f"the endpoint of branch {branch_id} is still being made",
        )
        return CreatedBranch(
            branch=client.branch(project_id, branch_id),
            endpoints=client.endpoints(project_id, branch_id),
            operations=done,
        )
    except NotFound:
        return None


def found_project(client: "NeonClient", project: Project) -> CreatedProject:
    """A project whose announcement was lost, ready, with all that is in it."""
    client.wait(project.id, client.pending(project.id, None))
    client.until(
        lambda: client.default_branch(project.id).current_state != "init",
        f"project {project.id} is still being made",
    )
    branch = client.default_branch(project.id)
    roles, databases = client.roles(project.id, branch.id), client.databases(project.id, branch.id)
    uris = [
        client.connection_uri(project.id, branch_id=branch.id, database=each.name, role=each.owner_name)
        for each in databases
    ]
    return CreatedProject(
        project=project,
        branch=branch,
        endpoints=client.endpoints(project.id, branch.id),
        roles=roles,
        databases=databases,
        connection_uris=tuple(uris),
    )


def discardable(branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
    """The branches that could be deleted now (not main, not protected, no children), oldest first."""
    parents = {branch.parent_id for branch in branches}
    free = [
        branch
        for branch in branches
        if not branch.default and not branch.protected and branch.id not in parents
    ]
    return tuple(sorted(free, key=lambda branch: (branch.created_at is None, branch.created_at)))


@contextmanager
def naming_what_to_discard(client: "Branches", project_id: str) -> Iterator[None]:
    """When the plan's limit of branches is reached, the error's hint names the oldest that could go."""
    try:
        yield
    except QuotaExceeded as full:
        try:
            branches = client.branches(project_id)
        except NeonError:
            raise full from None
        free = discardable(branches)
        if not free:
            full.hint = (
                f"the project's {len(branches)} branches are all protected or parents; raise the plan's limit"
            )
        else:
            more = f" and {len(free) - _NAMED} more" if len(free) > _NAMED else ""
            full.hint = (
                f"discard what is not needed any more, or raise the plan's limit; of the project's {len(branches)} "
                f"branches these could go, oldest first: {', '.join(map(_shown, free[:_NAMED]))}{more}"
            )
        raise


def _shown(branch: Branch) -> str:
    since = f" (since {branch.created_at:%Y-%m-%d})" if branch.created_at else ""
    preview = branch.annotations.get("preview-name")
    return f"preview {preview}{since}" if preview else f"{branch.name}{since}"
