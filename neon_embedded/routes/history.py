"""Routes of points in time: restore, schema, compare_schema, and ours that cares for histories. Decide nothing."""

from typing import Any

from neon_embedded import restores, schemas
from neon_embedded.app import Call
from neon_embedded.branches import branch_of
from neon_embedded.errors import Refusal
from neon_embedded.history import bases_of, care_for_history
from neon_embedded.points import asked_point
from neon_embedded.routes.table import branch_shown, operations_shown, route
from neon_embedded.rows import BranchRow


@route("POST", "/projects/{project}/branches/{branch}/restore")
def _restore(call: Call) -> dict[str, Any]:
    project, branch = call.path["project"], call.path["branch"]
    operations = restores.restore_branch(call.plane, project, branch, call.body)
    row = branch_of(call.plane, project, branch)
    return {"branch": branch_shown(call, row), "operations": operations_shown(operations)}


@route("GET", "/projects/{project}/branches/{branch}/schema")
def _schema(call: Call) -> dict[str, Any]:
    point = asked_point(call.query, lsn="lsn", timestamp="timestamp")
    form = call.query.get("format") or "sql"
    if form not in {"sql", "json"}:
        raise Refusal(400, "invalid request: format (sql or json)")
    read = schemas.schema_of if form == "sql" else schemas.tables_of
    database = call.query.get("db_name", "")
    return {form: read(call.plane, call.path["project"], call.path["branch"], database=database, point=point)}


@route("GET", "/projects/{project}/branches/{branch}/compare_schema")
def _compare_schema(call: Call) -> dict[str, Any]:
    diff = schemas.compare_schemas(
        call.plane,
        call.path["project"],
        call.path["branch"],
        base_branch_id=call.query.get("base_branch_id", ""),
        database=call.query.get("db_name", ""),
        point=asked_point(call.query, lsn="lsn", timestamp="timestamp"),
        base_point=asked_point(call.query, lsn="base_lsn", timestamp="base_timestamp"),
    )
    return {"diff": diff}


@route("POST", "/embedded/history")
def _care(call: Call) -> dict[str, Any]:
    care_for_history(call.plane)
    rows = call.plane.store.all(BranchRow, parent_id=None)
    return {
        "bases": {
            row.id: [
                {"stop_lsn": base.stop_lsn, "taken_at": base.taken_at} for base in bases_of(call.plane, row)
            ]
            for row in rows
        }
    }


@route("GET", "/consumption_history/v2/branches")
def _consumption(call: Call) -> dict[str, Any]:  # noqa: ARG001 - every verb takes a call
    raise Refusal(403, "consumption history is not available: this machine bills nothing")
