"""Routes of snapshots. Decide nothing."""

from typing import Any, Final

from neon_embedded import schedules, shown, snapshots
from neon_embedded.app import Call, Result
from neon_embedded.branches import branch_of
from neon_embedded.computes import project_of
from neon_embedded.routes.table import branch_shown, operations_shown, route
from neon_embedded.rows import EndpointRow, SnapshotRow


@route("POST", "/projects/{project}/branches/{branch}/snapshot")
def _create(call: Call) -> dict[str, Any]:
    made, operations = snapshots.create_snapshot(
        call.plane, call.path["project"], call.path["branch"], dict(call.query)
    )
    row = call.plane.store.one(SnapshotRow, id=made.id) or made
    return {"snapshot": shown.snapshot(row), "operations": operations_shown(operations)}


@route("GET", "/projects/{project}/snapshots")
def _list(call: Call) -> dict[str, Any]:
    project_of(call.plane, call.path["project"])
    rows = call.plane.store.all(SnapshotRow, project_id=call.path["project"])
    return {"snapshots": [shown.snapshot(row) for row in rows]}


@route("PATCH", "/projects/{project}/snapshots/{snapshot}")
def _rename(call: Call) -> dict[str, Any]:
    row = snapshots.rename_snapshot(call.plane, call.path["project"], call.path["snapshot"], call.body)
    return {"snapshot": shown.snapshot(row)}


@route("DELETE", "/projects/{project}/snapshots/{snapshot}")
def _delete(call: Call) -> Result:
    operations = snapshots.delete_snapshot(call.plane, call.path["project"], call.path["snapshot"])
    return Result(body={"operations": operations_shown(operations)}, status=202)


@route("POST", "/projects/{project}/snapshots/{snapshot}/restore")
def _restore(call: Call) -> dict[str, Any]:
    wanted = {**({"name": call.query["name"]} if call.query.get("name") else {}), **call.body}
    made, operations = snapshots.restore_snapshot(
        call.plane, call.path["project"], call.path["snapshot"], wanted
    )
    row = branch_of(call.plane, call.path["project"], made.id) if operations else made
    endpoints = call.plane.store.all(EndpointRow, branch_id=row.id)
    shown_endpoints = {"endpoints": [shown.endpoint(each) for each in endpoints]} if endpoints else {}
    return {"branch": branch_shown(call, row), **shown_endpoints, "operations": operations_shown(operations)}


_SCHEDULE: Final = "/projects/{project}/branches/{branch}/backup_schedule"


@route("GET", _SCHEDULE)
def _schedule(call: Call) -> dict[str, Any]:
    return {"schedule": schedules.schedule_of(call.plane, call.path["project"], call.path["branch"])}


@route("PUT", _SCHEDULE)
def _put_schedule(call: Call) -> dict[str, Any]:
    schedules.put_schedule(call.plane, call.path["project"], call.path["branch"], call.body)
    return {}


@route("POST", "/projects/{project}/branches/{branch}/finalize_restore")
def _finalize(call: Call) -> dict[str, Any]:
    operations = snapshots.finalize_restore(call.plane, call.path["project"], call.path["branch"], call.body)
    return {"operations": operations_shown(operations)}
