"""Routes of roles and databases. Decide nothing."""

from typing import Any, Final

from neon_embedded import branches, endpoints, shown
from neon_embedded.app import Call, Result
from neon_embedded.databases import update_database
from neon_embedded.routes.table import operations_shown, route
from neon_embedded.rows import BranchRow, DatabaseRow, RoleRow

_ROLES: Final = "/projects/{project}/branches/{branch}/roles"


def _row_of_branch(call: Call) -> BranchRow:
    return branches.branch_of(call.plane, call.path["project"], call.path["branch"])


@route("GET", _ROLES)
def _roles(call: Call) -> dict[str, Any]:
    rows = call.plane.store.all(RoleRow, branch_id=_row_of_branch(call).id)
    return {"roles": [shown.role(row) for row in rows]}


@route("POST", _ROLES)
def _create_role(call: Call) -> Result:
    row, operations = endpoints.create_role(call.plane, call.path["project"], call.path["branch"], call.body)
    body = {"role": shown.role(row, with_password=True), "operations": operations_shown(operations)}
    return Result(body=body, status=201)


@route("GET", _ROLES + "/{role}")
def _role(call: Call) -> dict[str, Any]:
    return {"role": shown.role(endpoints.role_of(call.plane, _row_of_branch(call), call.path["role"]))}


@route("DELETE", _ROLES + "/{role}")
def _delete_role(call: Call) -> Result:
    done = endpoints.delete_role(call.plane, call.path["project"], call.path["branch"], call.path["role"])
    if done is None:
        return Result(body=None, status=204)
    return Result(body={"role": shown.role(done[0]), "operations": operations_shown(done[1])})


@route("GET", _ROLES + "/{role}/reveal_password")
@route("POST", _ROLES + "/{role}/reveal_password")  # the PyPI client posts
def _reveal_password(call: Call) -> dict[str, Any]:
    return {"password": endpoints.role_of(call.plane, _row_of_branch(call), call.path["role"]).password}


@route("POST", _ROLES + "/{role}/reset_password")
def _reset_password(call: Call) -> dict[str, Any]:
    path = call.path
    row, operations = endpoints.reset_password(call.plane, path["project"], path["branch"], path["role"])
    return {"role": shown.role(row, with_password=True), "operations": operations_shown(operations)}


_DATABASES: Final = "/projects/{project}/branches/{branch}/databases"


@route("GET", _DATABASES)
def _databases(call: Call) -> dict[str, Any]:
    rows = call.plane.store.all(DatabaseRow, branch_id=_row_of_branch(call).id)
    return {"databases": [shown.database(row) for row in rows]}


@route("POST", _DATABASES)
def _create_database(call: Call) -> Result:
    row, operations = endpoints.create_database(
        call.plane, call.path["project"], call.path["branch"], call.body
    )
    return Result(
        body={"database": shown.database(row), "operations": operations_shown(operations)}, status=201
    )


@route("GET", _DATABASES + "/{database}")
def _database(call: Call) -> dict[str, Any]:
    return {
        "database": shown.database(
            endpoints.database_of(call.plane, _row_of_branch(call), call.path["database"])
        )
    }


@route("PATCH", _DATABASES + "/{database}")
def _update_database(call: Call) -> dict[str, Any]:
    path = call.path
    row, operations = update_database(
        call.plane, path["project"], path["branch"], path["database"], call.body
    )
    return {"database": shown.database(row), "operations": operations_shown(operations)}


@route("DELETE", _DATABASES + "/{database}")
def _delete_database(call: Call) -> Result:
    path = call.path
    done = endpoints.delete_database(call.plane, path["project"], path["branch"], path["database"])
    if done is None:
        return Result(body=None, status=204)
    return Result(body={"database": shown.database(done[0]), "operations": operations_shown(done[1])})
