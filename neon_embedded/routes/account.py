"""Routes of the account and of what is ours alone (``/embedded``). Decide nothing."""

from typing import Any

from neon_embedded import asked, shown
from neon_embedded.app import Call
from neon_embedded.computes import postmaster_of
from neon_embedded.errors import Refusal
from neon_embedded.faults import FAULTS
from neon_embedded.following import set_spares
from neon_embedded.idleness import timeout_of
from neon_embedded.memory import memory_bytes
from neon_embedded.reconcile import heal
from neon_embedded.routes.table import route
from neon_embedded.rows import BranchRow, EndpointRow, ProjectRow
from neon_embedded.spares import MOST, shown_spares


@route("GET", "/users/me")
def _me(call: Call) -> dict[str, Any]:  # noqa: ARG001 - every verb takes a call
    return shown.user()


@route("GET", "/users/me/organizations")
def _organizations(call: Call) -> dict[str, Any]:  # noqa: ARG001
    return {"organizations": []}


@route("GET", "/auth")
def _auth(call: Call) -> dict[str, Any]:  # noqa: ARG001
    return {"account_id": shown.ACCOUNT, "auth_method": "api_key_user"}


@route("GET", "/regions")
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


@route("POST", "/embedded/heal")
def _heal(call: Call) -> dict[str, Any]:
    heal(call.plane, timeout_seconds=15.0)
    return _status(call)


@route("GET", "/embedded/status")
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
                    "spares": shown_spares(call.plane, branch),
                    "computes": [
                        _compute(call, branch, each) for each in store.all(EndpointRow, branch_id=branch.id)
                    ],
                }
                for branch in store.all(BranchRow, project_id=project.id)
            ],
        }
        for project in store.all(ProjectRow)
    ]
    return {"home": str(call.plane.home.root), "projects": projects}


def _compute(call: Call, branch: BranchRow, row: EndpointRow) -> dict[str, Any]:
    pid = postmaster_of(call.plane, branch).pid()
    awake = pid is not None and row.state == "active"
    return {
        "id": row.id,
        "state": {"idle": "suspended"}.get(row.state, row.state),
        "host": f"127.0.0.1:{row.port}",
        "tls_host": f"127.0.0.1:{row.tls_port}",
        "suspends_after_seconds": timeout_of(branch, row),
        "idle_since": call.plane.idle_since(row.id) if awake else None,
        "memory_bytes": memory_bytes(pid) if pid is not None else None,
    }


@route("POST", "/embedded/spares")
def _spares(call: Call) -> dict[str, Any]:
    wanted = call.body.get("spares")
    number = asked.number(wanted, "spares", lowest=0, highest=MOST, default=0)
    set_spares(call.plane, asked.text(call.body, "branch_id"), None if wanted is None else number)
    return _status(call)


@route("POST", "/embedded/faults")
def _arm(call: Call) -> dict[str, Any]:
    if not call.plane.faults.allowed:
        raise Refusal(404, "faults are off; start the server with NEON_EMBEDDED_FAULTS=1")
    seed = asked.number(call.body.get("seed"), "seed", lowest=0, highest=2**31, default=0)
    wishes = {name: wish for name, wish in call.body.items() if name != "seed"}
    try:
        call.plane.faults.arm(wishes, seed=seed)
    except KeyError as unknown:
        raise Refusal(400, f"unknown fault {unknown}; there are: {', '.join(FAULTS)}") from None
    except (ValueError, TypeError) as wrong:
        raise Refusal(400, f"{wrong}: how often, or how likely as a fraction below 1") from None
    return {}
