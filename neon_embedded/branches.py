"""The verbs of projects and branches. Each writes its intent as rows, then acts in operations; knows no HTTP."""

from dataclasses import replace
from typing import Any

from neon_embedded import asked, ids
from neon_embedded.binaries import DEFAULT_VERSION, find_binaries
from neon_embedded.clone import remove_directory
from neon_embedded.computes import (
    apply_config,
    awake,
    destroy,
    free_port,
    initialise,
    listen_addresses,
    postmaster_of,
    project_of,
    restart,
    suspend,
    wake,
)
from neon_embedded.errors import NoPostgres, Refusal
from neon_embedded.plane import Change, Plane
from neon_embedded.points import Point, asked_point, base_for
from neon_embedded.postmaster import new_password
from neon_embedded.rows import (
    BranchRow,
    DatabaseRow,
    EndpointRow,
    OperationRow,
    ProjectRow,
    RoleRow,
    SnapshotRow,
    now,
)
from neon_embedded.timelines import adopt, fill_from_branch, fill_with_schema, passwords_of


def branch_of(plane: Plane, project_id: str, branch_id: str) -> BranchRow:
    """The branch's row. Raises Refusal 404."""
    project_of(plane, project_id)
    branch = plane.store.one(BranchRow, id=branch_id, project_id=project_id)
    if branch is None:
        raise Refusal(404, f"branch not found: {branch_id}")
    return branch


def default_branch(plane: Plane, project_id: str) -> BranchRow:
    """The project's default branch. Raises Refusal 404."""
    project_of(plane, project_id)
    branch = plane.store.one(BranchRow, project_id=project_id, is_default=True)
    if branch is None:
        raise Refusal(404, f"project {project_id} has no default branch")
    return branch


def create_project(plane: Plane, body: dict[str, Any]) -> tuple[ProjectRow, list[OperationRow]]:
    """Create a project with a default branch, a read-write endpoint, a role and a database."""
    wanted = asked.part(body, "project", required=True)
    of_branch = asked.part(wanted, "branch")
    version = asked.number(
        wanted.get("pg_version"), "pg_version", lowest=14, highest=18, default=DEFAULT_VERSION
    )
    try:
        find_binaries(version, plane.home.root)
    except NoPostgres as error:
        raise Refusal(422, f"{error.message}: {error.hint}") from None
    database = asked.database_name(asked.text(of_branch, "database_name", default="neondb"))
    role = asked.role_name(asked.text(of_branch, "role_name", default=f"{database}_owner"))
    project = ProjectRow(
        id=ids.project_id(),
        name="",
        pg_version=version,
        settings=asked.part(wanted, "settings"),
        history_retention_seconds=asked.number(
            wanted.get("history_retention_seconds"), "history_retention_seconds", lowest=0, highest=2_592_000,
            default=86_400,
        ),
    )  # fmt: skip
    name = asked.text(wanted, "name") or project.id
    branch = BranchRow(
        id=ids.branch_id(),
        project_id=project.id,
        name=asked.branch_name(asked.text(of_branch, "name", default="main")),
        is_default=True,
    )
    endpoint = EndpointRow(
        id=ids.endpoint_id(),
        project_id=project.id,
        branch_id=branch.id,
        port=free_port(plane),
        tls_port=free_port(plane),
        settings=asked.part(asked.part(wanted, "default_endpoint_settings"), "settings"),
    )
    listen_addresses(endpoint.settings)

    def ready() -> None:
        apply_config(plane, branch.id)
        with plane.store.transaction():
            plane.store.change(BranchRow, {"id": branch.id}, state="ready")
            plane.store.change(ProjectRow, {"id": project.id}, state="ready")
        plane.history_wanted.set()

    with plane.change(project.id) as change:
        with plane.store.transaction():
            plane.store.add(
                replace(project, name=name),
                branch,
                endpoint,
                RoleRow(branch_id=branch.id, name=role, password=new_password()),
                DatabaseRow(
                    id=plane.store.next_database_id(), branch_id=branch.id, name=database, owner_name=role
                ),
            )
        change.undo = lambda: _remove_project(plane, project.id)
        change.step("create_timeline", lambda: initialise(plane, branch), branch_id=branch.id)
        change.step(
            "start_compute", lambda: wake(plane, endpoint.id), branch_id=branch.id, endpoint_id=endpoint.id
        )
        change.step("apply_config", ready, branch_id=branch.id, endpoint_id=endpoint.id)
    return project, operations_of(plane, change)


def update_project(plane: Plane, project_id: str, body: dict[str, Any]) -> None:
    """Change name, settings or restore window."""
    project = project_of(plane, project_id)
    wanted = asked.part(body, "project", required=True)
    plane.store.change(
        ProjectRow,
        {"id": project_id},
        name=asked.text(wanted, "name", default=project.name),
        settings={**project.settings, **asked.part(wanted, "settings")},
        history_retention_seconds=asked.number(
            wanted.get("history_retention_seconds"), "history_retention_seconds", lowest=0, highest=2_592_000,
            default=project.history_retention_seconds,
        ),
    )  # fmt: skip


def delete_project(plane: Plane, project_id: str) -> list[OperationRow]:
    """Delete a project with all its branches. Raises Refusal 422 when one is protected."""
    project_of(plane, project_id)
    with plane.change(project_id) as change:
        branches = plane.store.all(BranchRow, project_id=project_id)
        if any(branch.protected for branch in branches):
            raise Refusal(422, "cannot delete a project that has protected branches")
        plane.store.change(ProjectRow, {"id": project_id}, state="deleting")
        change.step("delete_timeline", lambda: _remove_project(plane, project_id))
    return operations_of(plane, change)


def create_branch(
    plane: Plane, project_id: str, body: dict[str, Any]
) -> tuple[BranchRow, list[OperationRow]]:
    """Create a branch from the head or a point of its parent, or of its schema only, with the endpoints asked for.

    Raises:
        Refusal: 400, 404, 409 when the name is taken, 422 for what the embedded server cannot do (yet).
    """
    wanted, endpoints = asked.part(body, "branch"), body.get("endpoints") or []
    point = asked_point(wanted, lsn="parent_lsn", timestamp="parent_timestamp")
    init_source = asked.text(wanted, "init_source", default="parent-data")
    if init_source not in {"parent-data", "schema-only"}:
        raise Refusal(400, "invalid request: init_source (parent-data or schema-only)")
    schema_only = init_source == "schema-only"
    if not isinstance(endpoints, list) or len(endpoints) > 1:
        raise Refusal(422, "endpoints: the embedded server gives a branch at most one, of type read_write")
    branch_id = ids.branch_id()
    with plane.change(project_id) as change:
        parent = _parent(plane, project_id, asked.text(wanted, "parent_id"))
        branch = BranchRow(
            id=branch_id,
            project_id=project_id,
            name=asked.branch_name(asked.text(wanted, "name"))
            if wanted.get("name")
            else f"branch {branch_id}",
            # A branch with the schema only shares nothing with its source: a root, as on Neon.
            parent_id=None if schema_only else parent.id,
            parent_timestamp=point.time[:19] + "Z" if point and point.time and not schema_only else None,
            init_source=init_source,
            protected=asked.flag(wanted.get("protected"), "protected"),
            annotations=asked.labels(body.get("annotation_value")),
            expires_at=asked.expiry(wanted.get("expires_at")),
        )
        assert_name_free(plane, project_id, branch.name)
        if point is not None:
            base_for(plane, parent, point)
        computes = [new_endpoint(plane, branch, each) for each in endpoints]
        with plane.store.transaction():
            plane.store.add(branch, *computes, *_inherited_roles(plane, parent, branch))
            for database in plane.store.all(DatabaseRow, branch_id=parent.id):
                number = plane.store.next_database_id()
                plane.store.add(replace(database, id=number, branch_id=branch.id))
        change.undo = lambda: destroy(plane, branch.id)
        has_compute = bool(computes)
        if schema_only:
            change.step(
                "create_branch",
                lambda: _copy_schema(plane, parent, point, branch, has_compute),
                branch_id=branch_id,
            )
        else:
            change.step(
                "create_branch",
                lambda: _clone(plane, parent, point, branch, has_compute),
                branch_id=branch_id,
            )
        for compute in computes:
            change.step(
                "start_compute",
                lambda: _first_start(plane, branch, computes[0], new_passwords=parent.protected),
                branch_id=branch.id,
                endpoint_id=compute.id,
            )
    return branch, operations_of(plane, change)


def assert_name_free(plane: Plane, project_id: str, name: str, *, but: str = "") -> None:
    """Make sure that no branch of the project has the name, except the one with the id ``but``.

    Raises:
        Refusal: 409 BRANCH_ALREADY_EXISTS.
    """
    other = plane.store.one(BranchRow, project_id=project_id, name=name)
    if other is not None and other.id != but:
        raise Refusal(409, f'branch already exists; branch_name:"{name}"', code="BRANCH_ALREADY_EXISTS")


def update_branch(plane: Plane, project_id: str, branch_id: str, body: dict[str, Any]) -> list[OperationRow]:
    """Change name, protection or expiry; ``"expires_at": null`` clears it."""
    wanted = asked.part(body, "branch", required=True)
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        values: dict[str, Any] = {}
        if wanted.get("name") is not None:
            values["name"] = asked.branch_name(asked.text(wanted, "name"))
            assert_name_free(plane, project_id, values["name"], but=branch_id)
        if wanted.get("protected") is not None:
            values["protected"] = asked.flag(wanted["protected"], "protected")
        if "expires_at" in wanted:
            values["expires_at"] = asked.expiry(wanted["expires_at"])
            if values["expires_at"] and branch.is_default:
                raise Refusal(
                    400, "a default branch does not expire", code="DEFAULT_BRANCH_EXPIRATION_NOT_ALLOWED"
                )
            if values["expires_at"] and values.get("protected", branch.protected):
                raise Refusal(
                    400, "a protected branch does not expire", code="PROTECTED_BRANCH_EXPIRATION_NOT_ALLOWED"
                )
        plane.store.change(BranchRow, {"id": branch_id}, **values)
    return operations_of(plane, change)


def set_as_default(plane: Plane, project_id: str, branch_id: str) -> list[OperationRow]:
    """Make the branch the default; from then on its compute writes through to the disk."""
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        if not branch.is_default:
            with plane.store.transaction():
                plane.store.change(BranchRow, {"project_id": project_id}, is_default=False)
                plane.store.change(BranchRow, {"id": branch_id}, is_default=True, expires_at=None)
            for endpoint in plane.store.all(EndpointRow, branch_id=branch_id, state="active"):
                change.step(
                    "apply_config",
                    lambda endpoint=endpoint: restart(plane, endpoint.id, sync=True),  # type: ignore[misc]
                    branch_id=branch_id,
                    endpoint_id=endpoint.id,
                )
    return operations_of(plane, change)


def delete_branch(
    plane: Plane, project_id: str, branch_id: str
) -> tuple[BranchRow, list[OperationRow]] | None:
    """Delete a branch and its endpoint; None when it is gone already.

    Raises:
        Refusal: 422 for the default branch, a protected one, or one with children.
    """
    project_of(plane, project_id)
    if plane.store.one(BranchRow, id=branch_id, project_id=project_id) is None:
        return None
    with plane.change(project_id) as change:
        branch = plane.store.one(BranchRow, id=branch_id, project_id=project_id)
        if branch is None:
            return None
        if branch.is_default:
            raise Refusal(422, "cannot delete the default branch")
        if branch.protected:
            raise Refusal(422, "cannot delete protected branch")
        if plane.store.one(BranchRow, parent_id=branch_id):
            raise Refusal(422, "cannot delete a branch that has children; delete them first")
        plane.store.change(BranchRow, {"id": branch_id}, state="deleting")
        for endpoint in plane.store.all(EndpointRow, branch_id=branch_id):
            change.step(
                "suspend_compute",
                lambda: postmaster_of(plane, branch).stop(wait_for_checkpoint=False),
                branch_id=branch_id,
                endpoint_id=endpoint.id,
            )
        change.step("delete_timeline", lambda: destroy(plane, branch_id), branch_id=branch_id)
    return branch, operations_of(plane, change)


def operations_of(plane: Plane, change: Change) -> list[OperationRow]:
    """The change's operations as they are now."""
    found = [plane.store.one(OperationRow, id=row.id) for row, _ in change.steps]
    return [row for row in found if row is not None]


def new_endpoint(plane: Plane, branch: BranchRow, wanted: object) -> EndpointRow:
    """The row of a new endpoint. Raises Refusal 400 or 422."""
    if not isinstance(wanted, dict):
        raise Refusal(400, "invalid request: endpoints (objects expected)")
    if asked.text(wanted, "type", default="read_write") != "read_write":
        raise Refusal(422, "type: the embedded server has only read_write endpoints")
    settings = asked.part(wanted, "settings")
    listen_addresses(settings)
    return EndpointRow(
        id=ids.endpoint_id(),
        project_id=branch.project_id,
        branch_id=branch.id,
        port=free_port(plane),
        tls_port=free_port(plane),
        settings=settings,
        suspend_timeout_seconds=asked.number(
            wanted.get("suspend_timeout_seconds"),
            "suspend_timeout_seconds",
            lowest=-1,
            highest=604_800,
            default=0,
        ),
        disabled=asked.flag(wanted.get("disabled"), "disabled"),
    )


def _parent(plane: Plane, project_id: str, parent_id: str) -> BranchRow:
    parent = branch_of(plane, project_id, parent_id) if parent_id else default_branch(plane, project_id)
    if parent.state != "ready":
        raise Refusal(422, f"the parent branch {parent.id} is not ready")
    if parent.expires_at:
        raise Refusal(422, f"the parent branch {parent.id} expires; it cannot have children")
    return parent


def _inherited_roles(plane: Plane, parent: BranchRow, child: BranchRow) -> list[RoleRow]:
    """The parent's roles with their passwords; new passwords when the parent is protected (Neon docs)."""
    return [
        replace(role, branch_id=child.id, password=new_password() if parent.protected else role.password)
        for role in plane.store.all(RoleRow, branch_id=parent.id)
    ]


def _clone(
    plane: Plane, parent: BranchRow, point: Point | None, branch: BranchRow, has_compute: bool
) -> None:
    target = postmaster_of(plane, branch)
    lsn = fill_from_branch(plane, parent, point, target)
    plane.store.change(BranchRow, {"id": branch.id}, parent_lsn=lsn or None)
    if point is not None:
        # Roles and databases may have been others then; names come from the data, passwords from the rows.
        roles, databases = adopt(plane, target, branch.id, passwords_of(plane, branch.id))
        replace_config(plane, branch.id, roles, databases)
    if not has_compute:
        # Replay the window's WAL now, so that the branch lies there whole; the first start stays quick.
        with awake(plane, branch):
            pass
        plane.store.change(BranchRow, {"id": branch.id}, state="ready")


def _copy_schema(
    plane: Plane, source: BranchRow, point: Point | None, branch: BranchRow, has_compute: bool
) -> None:
    fill_with_schema(plane, source, point, branch)
    if not has_compute:
        plane.store.change(BranchRow, {"id": branch.id}, state="ready")


def replace_config(plane: Plane, branch_id: str, roles: list[RoleRow], databases: list[DatabaseRow]) -> None:
    """Make these the branch's rows of roles and databases."""
    with plane.store.transaction():
        plane.store.remove(RoleRow, branch_id=branch_id)
        plane.store.remove(DatabaseRow, branch_id=branch_id)
        plane.store.add(*roles, *databases)


def _first_start(plane: Plane, branch: BranchRow, endpoint: EndpointRow, *, new_passwords: bool) -> None:
    if endpoint.disabled:
        with awake(plane, branch):
            pass
        suspend(plane, endpoint.id)
    else:
        wake(plane, endpoint.id)
    if new_passwords:
        apply_config(plane, branch.id)
    plane.store.change(BranchRow, {"id": branch.id}, state="ready")


def _remove_project(plane: Plane, project_id: str) -> None:
    for branch in plane.store.all(BranchRow, project_id=project_id):
        destroy(plane, branch.id)
    for snapshot in plane.store.all(SnapshotRow, project_id=project_id):
        remove_directory(plane.home.snapshots / snapshot.id)
    plane.store.remove(ProjectRow, id=project_id)


def is_expired(branch: BranchRow) -> bool:
    """Whether the branch's time is over."""
    return branch.expires_at is not None and branch.expires_at <= now()
