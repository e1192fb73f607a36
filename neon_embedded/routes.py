"""Which request is which verb, and how its answer looks in the Neon API v2. Decides nothing."""

import base64
import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from neon_embedded import asked, branches, endpoints, shown
from neon_embedded.app import Call, Result, Verb
from neon_embedded.computes import project_of
from neon_embedded.errors import Refusal
from neon_embedded.faults import FAULTS
from neon_embedded.reconcile import heal
from neon_embedded.rows import BranchRow, DatabaseRow, EndpointRow, OperationRow, ProjectRow, RoleRow

V = TypeVar("V", bound=Verb)

ROUTES: Final[dict[tuple[str, str], Verb]] = {}


def _route(method: str, path: str) -> Callable[[V], V]:
    def remember(verb: V) -> V:
        ROUTES[method, path] = verb
        return verb

    return remember


def _operations(rows: list[OperationRow]) -> list[dict[str, Any]]:
    return [shown.operation(row) for row in rows]


def _limit(call: Call, *, default: int, highest: int) -> int:
    return asked.number(call.query.get("limit"), "limit", lowest=1, highest=highest, default=default)


# Account


@_route("GET", "/users/me")
def _me(call: Call) -> dict[str, Any]:  # noqa: ARG001 - every verb takes a call
    return shown.user()


@_route("GET", "/users/me/organizations")
def _organizations(call: Call) -> dict[str, Any]:  # noqa: ARG001
    return {"organizations": []}


@_route("GET", "/auth")
def _auth(call: Call) -> dict[str, Any]:  # noqa: ARG001
    return {"account_id": shown.ACCOUNT, "auth_method": "api_key_user"}


@_route("GET", "/regions")
def _regions(call: Call) -> dict[str, Any]:  # noqa: ARG001
    return {
        "regions": [
            {
                "region_id": shown.REGION,
                "name": "this machine",
                "default": True,
                "geo_lat": "",
                "geo_long": "",
            }
        ]
    }


# Projects


@_route("GET", "/projects")
def _projects(call: Call) -> dict[str, Any]:
    search, limit = call.query.get("search", ""), _limit(call, default=10, highest=400)
    rows = [row for row in call.plane.store.all(ProjectRow) if search in row.name or search in row.id]
    ids = [row.id for row in rows]
    cursor = call.query.get("cursor", "")
    begin = ids.index(cursor) + 1 if cursor in ids else 0
    page = rows[begin : begin + limit]
    body: dict[str, Any] = {
        "projects": [shown.project(row) for row in page],
        "applications": {},
        "integrations": {},
    }
    # As the real server: a cursor even on the last page, none when the page is empty.
    return body | ({"pagination": {"cursor": page[-1].id}} if page else {})


@_route("GET", "/projects/shared")
def _shared(call: Call) -> dict[str, Any]:  # noqa: ARG001
    return {"projects": []}


@_route("POST", "/projects")
def _create_project(call: Call) -> Result:
    plane = call.plane
    project, operations = branches.create_project(plane, call.body)
    failed = next((row for row in operations if row.status == "failed"), None)
    row = plane.store.one(ProjectRow, id=project.id)
    if row is None:
        raise Refusal(500, f"the project could not be made: {failed.error if failed else 'see the log'}")
    branch = branches.default_branch(plane, row.id)
    roles = plane.store.all(RoleRow, branch_id=branch.id)
    databases = plane.store.all(DatabaseRow, branch_id=branch.id)
    computes = plane.store.all(EndpointRow, branch_id=branch.id)
    body = {
        "project": shown.project(row),
        "branch": shown.branch(branch),
        "endpoints": [shown.endpoint(each) for each in computes],
        "roles": [shown.role(each, with_password=True) for each in roles],
        "databases": [shown.database(each) for each in databases],
        "operations": _operations(operations),
        "connection_uris": _connection_uris(call, branch),
    }
    return Result(body=body, status=201)


@_route("GET", "/projects/{project}")
def _project(call: Call) -> dict[str, Any]:
    return {"project": shown.project(project_of(call.plane, call.path["project"]))}


@_route("PATCH", "/projects/{project}")
def _update_project(call: Call) -> dict[str, Any]:
    branches.update_project(call.plane, call.path["project"], call.body)
    return {**_project(call), "operations": []}


@_route("DELETE", "/projects/{project}")
def _delete_project(call: Call) -> dict[str, Any]:
    body = _project(call)
    # The answer has no operations in the specification; ours tells them, so that a waiter can see the end.
    return body | {"operations": _operations(branches.delete_project(call.plane, call.path["project"]))}


# Branches


@_route("GET", "/projects/{project}/branches")
def _branches(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    search, limit = call.query.get("search", ""), _limit(call, default=10_000, highest=10_000)
    rows = [
        row
        for row in call.plane.store.all(BranchRow, project_id=call.path["project"])
        if search in row.name or search in row.id
    ]
    ids = [row.id for row in rows]
    after = _cursor(call.query.get("cursor", ""))
    begin = ids.index(after) + 1 if after in ids else 0
    page = rows[begin : begin + limit]
    body: dict[str, Any] = {
        "branches": [shown.branch(row) for row in page],
        "annotations": {row.id: shown.annotation(row) for row in page if row.annotations},
    }
    if len(rows) > begin + limit:
        point = {"branch_id": page[-1].id, "sort_by": "created_at", "sort_order": "ASC"}
        following = base64.b64encode(json.dumps(point).encode()).decode()
        body["pagination"] = {"next": following, "sort_by": "created_at", "sort_order": "ASC"}
    return body


def _cursor(text: str) -> str:
    if not text:
        return ""
    try:
        point = json.loads(base64.b64decode(text, validate=True))
        return str(point["branch_id"])
    except (ValueError, KeyError, TypeError):
        raise Refusal(400, "invalid request: cursor") from None


@_route("GET", "/projects/{project}/branches/count")
def _count_branches(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    rows = call.plane.store.all(BranchRow, project_id=call.path["project"])
    return {"count": sum(call.query.get("search", "") in row.name for row in rows)}


@_route("POST", "/projects/{project}/branches")
def _create_branch(call: Call) -> Result:
    plane = call.plane
    created, operations = branches.create_branch(plane, call.path["project"], call.body)
    row = plane.store.one(BranchRow, id=created.id) or created
    roles, databases = (
        plane.store.all(RoleRow, branch_id=row.id),
        plane.store.all(DatabaseRow, branch_id=row.id),
    )
    body: dict[str, Any] = {
        "branch": shown.branch(row),
        "endpoints": [shown.endpoint(each) for each in plane.store.all(EndpointRow, branch_id=row.id)],
        "operations": _operations(operations),
        "roles": [shown.role(each, with_password=True) for each in roles],
        "databases": [shown.database(each) for each in databases],
        "annotation": shown.annotation(row),
    }
    if body["endpoints"] and len(roles) == 1 and len(databases) == 1:
        body["connection_uris"] = _connection_uris(call, row)
    return Result(body=body, status=201)


@_route("GET", "/projects/{project}/branches/{branch}")
def _branch(call: Call) -> dict[str, Any]:
    row = branches.branch_of(call.plane, call.path["project"], call.path["branch"])
    return {"branch": shown.branch(row), "annotation": shown.annotation(row)}


@_route("PATCH", "/projects/{project}/branches/{branch}")
def _update_branch(call: Call) -> dict[str, Any]:
    operations = branches.update_branch(call.plane, call.path["project"], call.path["branch"], call.body)
    return {"branch": _branch(call)["branch"], "operations": _operations(operations)}


@_route("DELETE", "/projects/{project}/branches/{branch}")
def _delete_branch(call: Call) -> Result:
    done = branches.delete_branch(call.plane, call.path["project"], call.path["branch"])
    if done is None:
        return Result(body=None, status=204)
    branch, operations = done
    body = shown.branch(branch) | {"pending_state": "storage_deleted"}
    return Result(body={"branch": body, "operations": _operations(operations)})


@_route("POST", "/projects/{project}/branches/{branch}/set_as_default")
@_route("POST", "/projects/{project}/branches/{branch}/set_as_primary")
def _set_as_default(call: Call) -> dict[str, Any]:
    operations = branches.set_as_default(call.plane, call.path["project"], call.path["branch"])
    return {"branch": _branch(call)["branch"], "operations": _operations(operations)}


# Endpoints


@_route("GET", "/projects/{project}/endpoints")
def _endpoints(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    rows = call.plane.store.all(EndpointRow, project_id=call.path["project"])
    return {"endpoints": [shown.endpoint(row) for row in rows]}


@_route("GET", "/projects/{project}/branches/{branch}/endpoints")
def _branch_endpoints(call: Call) -> dict[str, Any]:
    branch = branches.branch_of(call.plane, call.path["project"], call.path["branch"])
    return {
        "endpoints": [shown.endpoint(row) for row in call.plane.store.all(EndpointRow, branch_id=branch.id)]
    }


@_route("POST", "/projects/{project}/endpoints")
def _create_endpoint(call: Call) -> Result:
    row, operations = endpoints.create_endpoint(call.plane, call.path["project"], call.body)
    row = call.plane.store.one(EndpointRow, id=row.id) or row
    return Result(body={"endpoint": shown.endpoint(row), "operations": _operations(operations)}, status=201)


@_route("GET", "/projects/{project}/endpoints/{endpoint}")
def _endpoint(call: Call) -> dict[str, Any]:
    return {
        "endpoint": shown.endpoint(
            endpoints.endpoint_of(call.plane, call.path["project"], call.path["endpoint"])
        )
    }


@_route("PATCH", "/projects/{project}/endpoints/{endpoint}")
def _update_endpoint(call: Call) -> dict[str, Any]:
    operations = endpoints.update_endpoint(call.plane, call.path["project"], call.path["endpoint"], call.body)
    return {**_endpoint(call), "operations": _operations(operations)}


@_route("DELETE", "/projects/{project}/endpoints/{endpoint}")
def _delete_endpoint(call: Call) -> Result:
    done = endpoints.delete_endpoint(call.plane, call.path["project"], call.path["endpoint"])
    if done is None:
        return Result(body=None, status=204)
    return Result(body={"endpoint": shown.endpoint(done[0]), "operations": _operations(done[1])})


def _run_endpoint(verb: str) -> Verb:
    def run(call: Call) -> dict[str, Any]:
        operations = endpoints.run_endpoint(call.plane, call.path["project"], call.path["endpoint"], verb)
        return {**_endpoint(call), "operations": _operations(operations)}

    return run


for _verb in ("start", "suspend", "restart"):
    ROUTES["POST", f"/projects/{{project}}/endpoints/{{endpoint}}/{_verb}"] = _run_endpoint(_verb)


# Roles


_ROLES: Final = "/projects/{project}/branches/{branch}/roles"


def _row_of_branch(call: Call) -> BranchRow:
    return branches.branch_of(call.plane, call.path["project"], call.path["branch"])


@_route("GET", _ROLES)
def _roles(call: Call) -> dict[str, Any]:
    rows = call.plane.store.all(RoleRow, branch_id=_row_of_branch(call).id)
    return {"roles": [shown.role(row) for row in rows]}


@_route("POST", _ROLES)
def _create_role(call: Call) -> Result:
    row, operations = endpoints.create_role(call.plane, call.path["project"], call.path["branch"], call.body)
    body = {"role": shown.role(row, with_password=True), "operations": _operations(operations)}
    return Result(body=body, status=201)


@_route("GET", _ROLES + "/{role}")
def _role(call: Call) -> dict[str, Any]:
    return {"role": shown.role(endpoints.role_of(call.plane, _row_of_branch(call), call.path["role"]))}


@_route("DELETE", _ROLES + "/{role}")
def _delete_role(call: Call) -> Result:
    done = endpoints.delete_role(call.plane, call.path["project"], call.path["branch"], call.path["role"])
    if done is None:
        return Result(body=None, status=204)
    return Result(body={"role": shown.role(done[0]), "operations": _operations(done[1])})


@_route("GET", _ROLES + "/{role}/reveal_password")
@_route("POST", _ROLES + "/{role}/reveal_password")  # the PyPI client posts
def _reveal_password(call: Call) -> dict[str, Any]:
    return {"password": endpoints.role_of(call.plane, _row_of_branch(call), call.path["role"]).password}


@_route("POST", _ROLES + "/{role}/reset_password")
def _reset_password(call: Call) -> dict[str, Any]:
    path = call.path
    row, operations = endpoints.reset_password(call.plane, path["project"], path["branch"], path["role"])
    return {"role": shown.role(row, with_password=True), "operations": _operations(operations)}


# Databases


_DATABASES: Final = "/projects/{project}/branches/{branch}/databases"


@_route("GET", _DATABASES)
def _databases(call: Call) -> dict[str, Any]:
    rows = call.plane.store.all(DatabaseRow, branch_id=_row_of_branch(call).id)
    return {"databases": [shown.database(row) for row in rows]}


@_route("POST", _DATABASES)
def _create_database(call: Call) -> Result:
    row, operations = endpoints.create_database(
        call.plane, call.path["project"], call.path["branch"], call.body
    )
    return Result(body={"database": shown.database(row), "operations": _operations(operations)}, status=201)


@_route("GET", _DATABASES + "/{database}")
def _database(call: Call) -> dict[str, Any]:
    return {
        "database": shown.database(
            endpoints.database_of(call.plane, _row_of_branch(call), call.path["database"])
        )
    }


@_route("DELETE", _DATABASES + "/{database}")
def _delete_database(call: Call) -> Result:
    path = call.path
    done = endpoints.delete_database(call.plane, path["project"], path["branch"], path["database"])
    if done is None:
        return Result(body=None, status=204)
    return Result(body={"database": shown.database(done[0]), "operations": _operations(done[1])})


# Connecting and operations


@_route("GET", "/projects/{project}/connection_uri")
def _connection_uri(call: Call) -> dict[str, Any]:
    for required in ("database_name", "role_name"):
        if not call.query.get(required):
            raise Refusal(400, f"invalid request: query parameter {required!r} is required")
    asked.flag(call.query.get("pooled"), "pooled")
    uri = endpoints.connection_uri(
        call.plane,
        call.path["project"],
        branch_id=call.query.get("branch_id", ""),
        endpoint_id=call.query.get("endpoint_id", ""),
        database=call.query["database_name"],
        role=call.query["role_name"],
    )
    return {"uri": uri}


def _connection_uris(call: Call, branch: BranchRow) -> list[dict[str, Any]]:
    found = []
    for database in call.plane.store.all(DatabaseRow, branch_id=branch.id):
        role = endpoints.role_of(call.plane, branch, database.owner_name)
        uri = endpoints.connection_uri(
            call.plane,
            branch.project_id,
            branch_id=branch.id,
            endpoint_id="",
            database=database.name,
            role=role.name,
        )
        host = uri.rpartition("@")[2].partition("/")[0]
        parameters = {"database": database.name, "role": role.name, "password": role.password}
        hosts = {"host": host, "pooler_host": host}
        found.append({"connection_uri": uri, "connection_parameters": parameters | hosts})
    return found


@_route("GET", "/projects/{project}/operations")
def _list_operations(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    limit = _limit(call, default=1000, highest=1000)
    rows = list(reversed(call.plane.store.all(OperationRow, project_id=call.path["project"])))
    ids = [row.id for row in rows]
    cursor = call.query.get("cursor", "")
    begin = ids.index(cursor) + 1 if cursor in ids else 0
    page = rows[begin : begin + limit]
    return {"operations": _operations(page)} | ({"pagination": {"cursor": page[-1].id}} if page else {})


@_route("GET", "/projects/{project}/operations/{operation}")
def _operation(call: Call) -> dict[str, Any]:
    # No look at the project: whoever waits for its deletion must see the end.
    row = call.plane.store.one(OperationRow, id=call.path["operation"], project_id=call.path["project"])
    if row is None:
        raise Refusal(404, f"operation not found: {call.path['operation']}")
    return {"operation": shown.operation(row)}


# What Neon does not have: below /embedded


@_route("POST", "/embedded/heal")
def _heal(call: Call) -> dict[str, Any]:
    heal(call.plane, timeout_seconds=15.0)
    return _status(call)


@_route("GET", "/embedded/status")
def _status(call: Call) -> dict[str, Any]:
    store = call.plane.store
    projects = [
        {
            "id": project.id,
            "name": project.name,
            "pg_version": project.pg_version,
            "branches": [
                {
                    "id": branch.id,
                    "name": branch.name,
                    "default": branch.is_default,
                    "computes": [
                        {"id": each.id, "state": each.state, "host": f"127.0.0.1:{each.port}"}
                        for each in store.all(EndpointRow, branch_id=branch.id)
                    ],
                }
                for branch in store.all(BranchRow, project_id=project.id)
            ],
        }
        for project in store.all(ProjectRow)
    ]
    return {"home": str(call.plane.home.root), "projects": projects}


@_route("POST", "/embedded/faults")
def _arm(call: Call) -> dict[str, Any]:
    if not call.plane.faults.allowed:
        raise Refusal(404, "faults are off; start the server with NEON_EMBEDDED_FAULTS=1")
    try:
        counts = {
            name: asked.number(count, name, lowest=0, highest=1000, default=0)
            for name, count in call.body.items()
        }
        call.plane.faults.arm(counts)
    except KeyError as unknown:
        raise Refusal(400, f"unknown fault {unknown}; there are: {', '.join(FAULTS)}") from None
    return {}
