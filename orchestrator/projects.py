"""Neon projects for a beginning: find one, or make one on the embedded server with an empty development branch.

Never changes a project that exists, except for adding the development branch that was asked for.
"""

from dataclasses import dataclass

from neon_client import NeonClient
from neon_client.models import Project
from orchestrator.errors import UsageError
from orchestrator.steps.border import translating

#: The embedded server also holds the diary; it is no project of the user's.
STORE_PROJECT = "preview-store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What `init` learned.

    Attributes:
        project: the project.
        created: whether it was made just now.
        databases: the names of main's databases.
    """

    project: Project
    created: bool
    databases: tuple[str, ...]


def find_project(neon: NeonClient, *, project_id: str | None, name: str | None) -> Project:
    """The project by id or name.

    Raises:
        UsageError: none, or several of that name; names what there is.
    """
    with translating("looking for the project"):
        if project_id:
            return neon.project(project_id)
        projects = [project for project in neon.projects() if project.name != STORE_PROJECT]
    named = [project for project in projects if project.name == name]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(
            f"there are {len(named)} projects named {name!r}: {', '.join(project.id for project in named)}",
            hint="give project.id instead of project.name in preview.toml",
        )
    known = ", ".join(f"{project.name} ({project.id})" for project in projects) or "none"
    raise UsageError(f"there is no Neon project named {name!r}", hint=f"projects: {known}")


def ensure_embedded(neon: NeonClient, *, name: str, database: str, development: str | None) -> Found:
    """The embedded project of this name, made when it is not there; with a development branch when asked for.

    Raises:
        UsageError: it is the project that holds the diary.
    """
    if name == STORE_PROJECT:
        raise UsageError(
            f"project {name} of the embedded server is taken: it holds the diary of all previews",
            hint="choose another name with --project",
        )
    with translating(f"making project {name}"):
        found = [project for project in neon.projects() if project.name == name]
        created = not found
        role = f"{database}_owner"
        project = (
            found[0]
            if found
            else neon.create_project(name=name, database_name=database, role_name=role[:63]).project
        )
        main = neon.default_branch(project.id)
        if development and neon.find_branch(project.id, development) is None:
            branch = neon.create_branch(project.id, name=development, parent_id=main.id).branch
            for inherited in neon.roles(project.id, branch.id):
                if not inherited.no_login:
                    neon.reset_password(project.id, branch.id, inherited.name)
        databases = tuple(sorted(each.name for each in neon.databases(project.id, main.id)))
    return Found(project=project, created=created, databases=databases)
