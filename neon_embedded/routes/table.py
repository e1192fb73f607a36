"""The table of routes, and what several of them share. Knows no route by name."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from neon_embedded import asked, endpoints, shown
from neon_embedded.app import Call, Verb
from neon_embedded.computes import used
from neon_embedded.rows import BranchRow, DatabaseRow, OperationRow

V = TypeVar("V", bound=Verb)

ROUTES: Final[dict[tuple[str, str], Verb]] = {}


def route(method: str, path: str) -> Callable[[V], V]:
    """Enter a verb into the table, under the path below ``/api/v2``."""

    def remember(verb: V) -> V:
        ROUTES[method, path] = verb
        return verb

    return remember


def branch_shown(call: Call, row: BranchRow, *, now: bool = False) -> dict[str, Any]:
    """A branch as Neon shows it; ``now`` counts its files, which a list does not wait for."""
    return shown.branch(row, used(call.plane, row, now=now))


def operations_shown(rows: list[OperationRow]) -> list[dict[str, Any]]:
    """Operations as Neon shows them."""
    return [shown.operation(row) for row in rows]


def limit_of(call: Call, *, default: int, highest: int) -> int:
    """The page size asked for. Raises Refusal 400."""
    return asked.number(call.query.get("limit"), "limit", lowest=1, highest=highest, default=default)


def connection_uris(call: Call, branch: BranchRow) -> list[dict[str, Any]]:
    """Neon's ConnectionDetails of every database of a branch."""
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
