"""Changing a database that exists: its name, its owner. Creating and dropping are beside the roles; knows no HTTP."""

from typing import Any

from psycopg import sql

from neon_embedded import asked
from neon_embedded.branches import branch_of, operations_of
from neon_embedded.computes import awake
from neon_embedded.endpoints import database_of, role_of
from neon_embedded.errors import Refusal
from neon_embedded.plane import Plane
from neon_embedded.rows import BranchRow, DatabaseRow, OperationRow


def update_database(
    plane: Plane, project_id: str, branch_id: str, name: str, body: dict[str, Any]
) -> tuple[DatabaseRow, list[OperationRow]]:
    """Rename a database, which ends its sessions, or give it another owner. Raises Refusal 404, 409."""
    wanted = asked.part(body, "database", required=True)
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        before = database_of(plane, branch, name)
        new = asked.database_name(asked.text(wanted, "name", default=name))
        owner = role_of(plane, branch, asked.text(wanted, "owner_name", default=before.owner_name)).name
        if new != name and plane.store.one(DatabaseRow, branch_id=branch_id, name=new):
            raise Refusal(
                409, f"database already exists; database_name:{new!r}", code="DATABASE_ALREADY_EXISTS"
            )

        def work() -> None:
            _alter(plane, branch, before, name=new, owner=owner)
            plane.store.change(DatabaseRow, {"id": before.id}, name=new, owner_name=owner)

        if (new, owner) != (name, before.owner_name):
            change.step("apply_config", work, branch_id=branch_id)
    return plane.store.one(DatabaseRow, id=before.id) or before, operations_of(plane, change)


def _alter(plane: Plane, branch: BranchRow, before: DatabaseRow, *, name: str, owner: str) -> None:
    """Owner and name as wanted, in one transaction; done by an earlier run already is fine."""
    with awake(plane, branch) as postmaster, postmaster.superuser() as connection:
        found = connection.execute(
            "select datname, pg_get_userbyid(datdba) from pg_database where datname in (%s, %s)",
            (before.name, name),
        ).fetchone()
        if found is None:
            return
        with connection.transaction():
            if found[1] != owner:
                connection.execute(
                    sql.SQL("alter database {} owner to {}").format(
                        sql.Identifier(found[0]), sql.Identifier(owner)
                    )
                )
            if found[0] != name:
                connection.execute(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
                    (found[0],),
                )
                connection.execute(
                    sql.SQL("alter database {} rename to {}").format(
                        sql.Identifier(found[0]), sql.Identifier(name)
                    )
                )
