"""Routes of endpoints, connections and operations. Decide nothing."""

from typing import Any

from neon_embedded import asked, branches, endpoints, shown
from neon_embedded.app import Call, Result, Verb
from neon_embedded.computes import project_of
from neon_embedded.errors import Refusal
from neon_embedded.routes.table import ROUTES, limit_of, operations_shown, route
from neon_embedded.rows import EndpointRow, OperationRow


@route("GET", "/projects/{project}/endpoints")
def _endpoints(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    rows = call.plane.store.all(EndpointRow, project_id=call.path["project"])
    return {"endpoints": [shown.endpoint(row) for row in rows]}


@route("GET", "/projects/{project}/branches/{branch}/endpoints")
def _branch_endpoints(call: Call) -> dict[str, Any]:
    branch = branches.branch_of(call.plane, call.path["project"], call.path["branch"])
    return {
        "endpoints": [shown.endpoint(row) for row in call.plane.store.all(EndpointRow, branch_id=branch.id)]
    }


@route("POST", "/projects/{project}/endpoints")
def _create_endpoint(call: Call) -> Result:
    row, operations = endpoints.create_endpoint(call.plane, call.path["project"], call.body)
    row = call.plane.store.one(EndpointRow, id=row.id) or row
    return Result(
        body={"endpoint": shown.endpoint(row), "operations": operations_shown(operations)}, status=201
    )


@route("GET", "/projects/{project}/endpoints/{endpoint}")
def _endpoint(call: Call) -> dict[str, Any]:
    return {
        "endpoint": shown.endpoint(
            endpoints.endpoint_of(call.plane, call.path["project"], call.path["endpoint"])
        )
    }


@route("PATCH", "/projects/{project}/endpoints/{endpoint}")
def _update_endpoint(call: Call) -> dict[str, Any]:
    operations = endpoints.update_endpoint(call.plane, call.path["project"], call.path["endpoint"], call.body)
    return {**_endpoint(call), "operations": operations_shown(operations)}


@route("DELETE", "/projects/{project}/endpoints/{endpoint}")
def _delete_endpoint(call: Call) -> Result:
    done = endpoints.delete_endpoint(call.plane, call.path["project"], call.path["endpoint"])
    if done is None:
        return Result(body=None, status=204)
    return Result(body={"endpoint": shown.endpoint(done[0]), "operations": operations_shown(done[1])})


def _run_endpoint(verb: str) -> Verb:
    def run(call: Call) -> dict[str, Any]:
        operations = endpoints.run_endpoint(call.plane, call.path["project"], call.path["endpoint"], verb)
        return {**_endpoint(call), "operations": operations_shown(operations)}

    return run


for _verb in ("start", "suspend", "restart"):
    ROUTES["POST", f"/projects/{{project}}/endpoints/{{endpoint}}/{_verb}"] = _run_endpoint(_verb)


@route("GET", "/projects/{project}/connection_uri")
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


@route("GET", "/projects/{project}/operations")
def _list_operations(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    limit = limit_of(call, default=1000, highest=1000)
    rows = list(reversed(call.plane.store.all(OperationRow, project_id=call.path["project"])))
    if rows and call.plane.faults.take("lagging_operations"):
        newest = rows[0].branch_id
        rows = [row for row in rows if row.branch_id != newest]
    ids = [row.id for row in rows]
    cursor = call.query.get("cursor", "")
    begin = ids.index(cursor) + 1 if cursor in ids else 0
    page = rows[begin : begin + limit]
    return {"operations": operations_shown(page)} | ({"pagination": {"cursor": page[-1].id}} if page else {})


@route("GET", "/projects/{project}/operations/{operation}")
def _operation(call: Call) -> dict[str, Any]:
    # No look at the project: whoever waits for its deletion must see the end.
    row = call.plane.store.one(OperationRow, id=call.path["operation"], project_id=call.path["project"])
    if row is None:
        raise Refusal(404, f"operation not found: {call.path['operation']}")
    return {"operation": shown.operation(row)}
