"""The verbs of endpoints, roles and databases. Each writes its intent as rows, then acts; knows no HTTP."""

from typing import Any

from neon_embedded import asked
from neon_embedded.branches import branch_of, new_endpoint, operations_of
from neon_embedded.computes import (
    apply_config,
    drop_database,
    drop_role,
    keep_door,
    listen_addresses,
    postmaster_of,
    project_of,
    restart,
    shut_out,
    suspend,
    wake,
)
from neon_embedded.errors import Refusal
from neon_embedded.plane import Plane
from neon_embedded.postmaster import answers, new_password
from neon_embedded.rows import BranchRow, DatabaseRow, EndpointRow, OperationRow, RoleRow

Operations = list[OperationRow]


def endpoint_of(plane: Plane, project_id: str, endpoint_id: str) -> EndpointRow:
    """The endpoint's row. Raises Refusal 404."""
    project_of(plane, project_id)
    endpoint = plane.store.one(EndpointRow, id=endpoint_id, project_id=project_id)
    if endpoint is None:
        raise Refusal(404, f"endpoint not found: {endpoint_id}")
    return endpoint


def create_endpoint(plane: Plane, project_id: str, body: dict[str, Any]) -> tuple[EndpointRow, Operations]:
    """Give a branch its read-write endpoint. Raises Refusal 409 when it has one."""
    wanted = asked.part(body, "endpoint", required=True)
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, asked.text(wanted, "branch_id"))
        if branch.state != "ready":
            raise Refusal(422, f"the branch {branch.id} is not ready")
        if plane.store.one(EndpointRow, branch_id=branch.id):
            raise Refusal(409, "read_write endpoint already exists")
        endpoint = new_endpoint(plane, branch, wanted)
        plane.store.add(endpoint)
        change.undo = lambda: plane.store.remove(EndpointRow, id=endpoint.id)
        change.step(
            "start_compute", lambda: wake(plane, endpoint.id), branch_id=branch.id, endpoint_id=endpoint.id
        )
    return endpoint, operations_of(plane, change)


def update_endpoint(plane: Plane, project_id: str, endpoint_id: str, body: dict[str, Any]) -> Operations:
    """Change settings; a running compute restarts when it must listen elsewhere."""
    wanted = asked.part(body, "endpoint", required=True)
    with plane.change(project_id) as change:
        endpoint = endpoint_of(plane, project_id, endpoint_id)
        settings = asked.part(wanted, "settings") if "settings" in wanted else endpoint.settings
        before, after = listen_addresses(endpoint.settings), listen_addresses(settings)
        plane.store.change(
            EndpointRow,
            {"id": endpoint_id},
            settings=settings,
            disabled=asked.flag(wanted.get("disabled"), "disabled", default=endpoint.disabled),
            suspend_timeout_seconds=asked.number(
                wanted.get("suspend_timeout_seconds"), "suspend_timeout_seconds", lowest=-1, highest=604_800,
                default=endpoint.suspend_timeout_seconds,
            ),
        )  # fmt: skip
        changed = endpoint_of(plane, project_id, endpoint_id)
        if endpoint.state != "active":
            keep_door(plane, endpoint_id)  # elsewhere perhaps, or not at all any more
        elif changed.disabled:
            change.step(
                "suspend_compute",
                lambda: suspend(plane, endpoint_id),
                branch_id=endpoint.branch_id,
                endpoint_id=endpoint_id,
            )
        elif before != after or not all(answers(address, endpoint.port) for address in after):

            def undo() -> None:
                plane.store.change(EndpointRow, {"id": endpoint_id}, settings=endpoint.settings)
                restart(plane, endpoint_id)

            change.undo = undo
            change.step(
                "apply_config",
                lambda: restart(plane, endpoint_id),
                branch_id=endpoint.branch_id,
                endpoint_id=endpoint_id,
            )
    return operations_of(plane, change)


def run_endpoint(plane: Plane, project_id: str, endpoint_id: str, verb: str) -> Operations:
    """Start, suspend or restart an endpoint's compute; being so already is fine."""
    works = {
        "start": ("start_compute", wake),
        "suspend": ("suspend_compute", suspend),
        "restart": ("start_compute", restart),
    }
    action, work = works[verb]
    with plane.change(project_id) as change:
        endpoint = endpoint_of(plane, project_id, endpoint_id)
        if endpoint.disabled and verb != "suspend":
            raise Refusal(422, "the endpoint is disabled")
        change.step(
            action, lambda: work(plane, endpoint_id), branch_id=endpoint.branch_id, endpoint_id=endpoint_id
        )
    return operations_of(plane, change)


def delete_endpoint(plane: Plane, project_id: str, endpoint_id: str) -> tuple[EndpointRow, Operations] | None:
    """Delete an endpoint, not its branch; None when it is gone."""
    project_of(plane, project_id)
    with plane.change(project_id) as change:
        endpoint = plane.store.one(EndpointRow, id=endpoint_id, project_id=project_id)
        if endpoint is None:
            return None
        branch = branch_of(plane, project_id, endpoint.branch_id)
        if branch.protected:
            raise Refusal(422, "cannot delete the endpoint of a protected branch")

        def work() -> None:
            with plane.compute(branch.id):
                shut_out(plane, endpoint_id)
                plane.store.remove(EndpointRow, id=endpoint_id)
                postmaster_of(plane, branch).stop()

        change.step("suspend_compute", work, branch_id=branch.id, endpoint_id=endpoint_id)
    return endpoint, operations_of(plane, change)


def role_of(plane: Plane, branch: BranchRow, name: str) -> RoleRow:
    """The role's row. Raises Refusal 404."""
    role = plane.store.one(RoleRow, branch_id=branch.id, name=name)
    if role is None:
        raise Refusal(404, f"role not found: {name}")
    return role


def create_role(
    plane: Plane, project_id: str, branch_id: str, body: dict[str, Any]
) -> tuple[RoleRow, Operations]:
    """Create a role with a new password. Raises Refusal 409 when it exists."""
    wanted = asked.part(body, "role", required=True)
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        role = RoleRow(
            branch_id=branch_id,
            name=asked.role_name(asked.text(wanted, "name")),
            password=new_password(),
            no_login=asked.flag(wanted.get("no_login"), "no_login"),
        )
        if plane.store.one(RoleRow, branch_id=branch_id, name=role.name):
            raise Refusal(409, f"role already exists; role_name:{role.name!r}", code="ROLE_ALREADY_EXISTS")
        plane.store.add(role)
        change.undo = lambda: plane.store.remove(RoleRow, branch_id=branch_id, name=role.name)
        # A role of this name that SQL made gets this password, as on Neon.
        change.step(
            "apply_config",
            lambda: apply_config(plane, branch.id, passwords_of={role.name}),
            branch_id=branch_id,
        )
    return role, operations_of(plane, change)


def delete_role(
    plane: Plane, project_id: str, branch_id: str, name: str
) -> tuple[RoleRow, Operations] | None:
    """Drop a role; None when it is gone. Raises Refusal 422 when it owns a database."""
    branch = branch_of(plane, project_id, branch_id)
    with plane.change(project_id) as change:
        role = plane.store.one(RoleRow, branch_id=branch_id, name=name)
        if role is None:
            return None
        if plane.store.one(DatabaseRow, branch_id=branch_id, owner_name=name):
            raise Refusal(422, f"role {name!r} owns a database")

        def work() -> None:
            drop_role(plane, branch, name)
            plane.store.remove(RoleRow, branch_id=branch_id, name=name)

        change.step("apply_config", work, branch_id=branch_id)
    return role, operations_of(plane, change)


def reset_password(plane: Plane, project_id: str, branch_id: str, name: str) -> tuple[RoleRow, Operations]:
    """Give a role a new password on this branch and end its sessions there."""
    branch = branch_of(plane, project_id, branch_id)
    with plane.change(project_id) as change:
        role, password = role_of(plane, branch, name), new_password()
        key = {"branch_id": branch_id, "name": name}
        plane.store.change(RoleRow, key, password=password)
        change.undo = lambda: plane.store.change(RoleRow, key, password=role.password)
        change.step(
            "apply_config", lambda: apply_config(plane, branch_id, passwords_of={name}), branch_id=branch_id
        )
    return role_of(plane, branch, name), operations_of(plane, change)


def database_of(plane: Plane, branch: BranchRow, name: str) -> DatabaseRow:
    """The database's row. Raises Refusal 404."""
    database = plane.store.one(DatabaseRow, branch_id=branch.id, name=name)
    if database is None:
        raise Refusal(404, f"database not found: {name}")
    return database


def create_database(
    plane: Plane, project_id: str, branch_id: str, body: dict[str, Any]
) -> tuple[DatabaseRow, Operations]:
    """Create a database. Raises Refusal 409 when it exists, 404 when its owner does not."""
    wanted = asked.part(body, "database", required=True)
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        owner = role_of(plane, branch, asked.text(wanted, "owner_name"))
        database = DatabaseRow(
            id=plane.store.next_database_id(),
            branch_id=branch_id,
            name=asked.database_name(asked.text(wanted, "name")),
            owner_name=owner.name,
        )
        if plane.store.one(DatabaseRow, branch_id=branch_id, name=database.name):
            raise Refusal(
                409,
                f"database already exists; database_name:{database.name!r}",
                code="DATABASE_ALREADY_EXISTS",
            )
        plane.store.add(database)
        change.undo = lambda: plane.store.remove(DatabaseRow, branch_id=branch_id, name=database.name)
        change.step(
            "apply_config", lambda: apply_config(plane, branch_id, passwords_of=set()), branch_id=branch_id
        )
    return database, operations_of(plane, change)


def delete_database(
    plane: Plane, project_id: str, branch_id: str, name: str
) -> tuple[DatabaseRow, Operations] | None:
    """Drop a database with its sessions; None when it is gone."""
    branch = branch_of(plane, project_id, branch_id)
    with plane.change(project_id) as change:
        database = plane.store.one(DatabaseRow, branch_id=branch_id, name=name)
        if database is None:
            return None

        def work() -> None:
            drop_database(plane, branch, name)
            plane.store.remove(DatabaseRow, branch_id=branch_id, name=name)

        change.step("apply_config", work, branch_id=branch_id)
    return database, operations_of(plane, change)


def connection_uri(
    plane: Plane, project_id: str, *, branch_id: str, endpoint_id: str, database: str, role: str
) -> str:
    """The bare URI of a database, to the compute itself: no TLS, no query, no pooling. Raises Refusal 404."""
    from urllib.parse import quote

    project_of(plane, project_id)
    if endpoint_id:
        branch_id = endpoint_of(plane, project_id, endpoint_id).branch_id
    where = {"project_id": project_id, **({"id": branch_id} if branch_id else {"is_default": True})}
    branch = plane.store.one(BranchRow, **where)
    if branch is None:
        raise Refusal(404, f"branch not found: {branch_id or 'the default'}")
    endpoint = plane.store.one(EndpointRow, branch_id=branch.id)
    if endpoint is None:
        raise Refusal(404, f"the branch {branch.id} has no endpoint")
    password = quote(role_of(plane, branch, role).password, safe="")
    name = quote(database_of(plane, branch, database).name, safe="")
    return f"postgresql://{quote(role, safe='')}:{password}@127.0.0.1:{endpoint.port}/{name}"
