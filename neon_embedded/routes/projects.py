"""Routes of projects and branches. Decide nothing."""

import base64
import json
from typing import Any

from neon_embedded import branches, shown
from neon_embedded.app import Call, Result
from neon_embedded.computes import project_of
from neon_embedded.errors import Refusal
from neon_embedded.routes.table import branch_shown, connection_uris, limit_of, operations_shown, route
from neon_embedded.rows import BranchRow, DatabaseRow, EndpointRow, ProjectRow, RoleRow


@route("GET", "/projects")
def _projects(call: Call) -> dict[str, Any]:
    search, limit = call.query.get("search", ""), limit_of(call, default=10, highest=400)
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


@route("GET", "/projects/shared")
def _shared(call: Call) -> dict[str, Any]:  # noqa: ARG001
    return {"projects": []}


@route("POST", "/projects")
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
        "branch": branch_shown(call, branch),
        "endpoints": [shown.endpoint(each) for each in computes],
        "roles": [shown.role(each, with_password=True) for each in roles],
        "databases": [shown.database(each) for each in databases],
        "operations": operations_shown(operations),
        "connection_uris": connection_uris(call, branch),
    }
    return Result(body=body, status=201)


@route("GET", "/projects/{project}")
def _project(call: Call) -> dict[str, Any]:
    return {"project": shown.project(project_of(call.plane, call.path["project"]))}


@route("PATCH", "/projects/{project}")
def _update_project(call: Call) -> dict[str, Any]:
    branches.update_project(call.plane, call.path["project"], call.body)
    return {**_project(call), "operations": []}


@route("DELETE", "/projects/{project}")
def _delete_project(call: Call) -> dict[str, Any]:
    body = _project(call)
    # The answer has no operations in the specification; ours tells them, so that a waiter can see the end.
    return body | {"operations": operations_shown(branches.delete_project(call.plane, call.path["project"]))}


@route("GET", "/projects/{project}/branches")
def _branches(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    search, limit = call.query.get("search", ""), limit_of(call, default=10_000, highest=10_000)
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
        "branches": [branch_shown(call, row) for row in page],
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


@route("GET", "/projects/{project}/branches/count")
def _count_branches(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    rows = call.plane.store.all(BranchRow, project_id=call.path["project"])
    return {"count": sum(call.query.get("search", "") in row.name for row in rows)}


@route("POST", "/projects/{project}/branches")
def _create_branch(call: Call) -> Result:
    plane = call.plane
    created, operations = branches.create_branch(plane, call.path["project"], call.body)
    row = plane.store.one(BranchRow, id=created.id) or created
    roles, databases = (
        plane.store.all(RoleRow, branch_id=row.id),
        plane.store.all(DatabaseRow, branch_id=row.id),
    )
    body: dict[str, Any] = {
        "branch": branch_shown(call, row),
        "endpoints": [shown.endpoint(each) for each in plane.store.all(EndpointRow, branch_id=row.id)],
        "operations": operations_shown(operations),
        "roles": [shown.role(each, with_password=True) for each in roles],
        "databases": [shown.database(each) for each in databases],
        "annotation": shown.annotation(row),
    }
    if body["endpoints"] and len(roles) == 1 and len(databases) == 1:
        body["connection_uris"] = connection_uris(call, row)
    return Result(body=body, status=201)


@route("GET", "/projects/{project}/branches/{branch}")
def _branch(call: Call) -> dict[str, Any]:
    row = branches.branch_of(call.plane, call.path["project"], call.path["branch"])
    return {"branch": branch_shown(call, row, now=True), "annotation": shown.annotation(row)}


@route("PATCH", "/projects/{project}/branches/{branch}")
def _update_branch(call: Call) -> dict[str, Any]:
    operations = branches.update_branch(call.plane, call.path["project"], call.path["branch"], call.body)
    return {"branch": _branch(call)["branch"], "operations": operations_shown(operations)}


@route("DELETE", "/projects/{project}/branches/{branch}")
def _delete_branch(call: Call) -> Result:
    done = branches.delete_branch(call.plane, call.path["project"], call.path["branch"])
    if done is None:
        return Result(body=None, status=204)
    branch, operations = done
    body = branch_shown(call, branch) | {"pending_state": "storage_deleted"}
    return Result(body={"branch": body, "operations": operations_shown(operations)})


@route("POST", "/projects/{project}/branches/{branch}/set_as_default")
@route("POST", "/projects/{project}/branches/{branch}/set_as_primary")
def _set_as_default(call: Call) -> dict[str, Any]:
    operations = branches.set_as_default(call.plane, call.path["project"], call.path["branch"])
    return {"branch": _branch(call)["branch"], "operations": operations_shown(operations)}
