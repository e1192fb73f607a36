"""Filling a new directory: from a head, a point, a snapshot or a schema; and what its cluster holds. Knows no HTTP."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from neon_embedded.branching import branch_at_head
from neon_embedded.clone import clone_directory, clone_file
from neon_embedded.computes import (
    SUPERUSER_GROUP,
    apply_config,
    awake,
    free_port,
    postmaster_of,
    set_password,
)
from neon_embedded.errors import ComputeFailed
from neon_embedded.following import fill_from_spare
from neon_embedded.plane import Plane
from neon_embedded.points import Point, build_at, held
from neon_embedded.postmaster import SUPERUSER, Postmaster, environment, make_directory, new_password
from neon_embedded.rows import BranchRow, DatabaseRow, RoleRow

_ROLES: Final = """
select member.rolname, not member.rolcanlogin from pg_auth_members
join pg_roles as member on member.oid = pg_auth_members.member
join pg_roles as grp on grp.oid = pg_auth_members.roleid and grp.rolname = %s
where member.rolname <> %s order by member.oid
"""
_DATABASES: Final = """
select datname, pg_get_userbyid(datdba) from pg_database
where not datistemplate and datname <> 'postgres' and datallowconn order by oid
"""


def fill_from_branch(
    plane: Plane, source: BranchRow, point: Point | None, target: Postmaster, *, spares: bool = True
) -> str:
    """Make ``target`` what ``source`` is now, or was at the point; shut down, or never started.

    Its head comes from a warm spare if there is one that is ready, else it is copied.

    Returns:
        The LSN on the source; empty when the source slept and was copied.
    """
    if point is not None:
        return build_at(plane, source, point, target)
    with plane.compute(source.id):  # a connection must not wake it while it is copied as it lies
        lsn = fill_from_spare(plane, source, target) if spares else None
        if lsn is not None:
            return lsn
        lies = postmaster_of(plane, source)
        if lies.pid() is None and lies.cleanly_shut_down():
            return branch_at_head(lies, target)
        with awake(plane, source) as running:
            return branch_at_head(running, target)


def copy_of_copy(lies: Path, target: Postmaster) -> None:
    """Copy a data directory that never runs (a base, a snapshot) with all that its first start needs."""
    make_directory(target.directory, target.account)
    clone_directory(lies, target.data, account=target.account, with_wal=True)
    label = lies / "backup_label"
    if label.exists():
        clone_file(label, target.data / "backup_label", target.account)


def adopt(
    plane: Plane, target: Postmaster, branch_id: str, passwords: Mapping[str, str]
) -> tuple[list[RoleRow], list[DatabaseRow]]:
    """Read which roles and databases a directory has, and give every role a password that we know.

    Args:
        plane: the control plane.
        target: the directory; started for this, and shut down cleanly again.
        branch_id: whose rows are made; the caller stores them.
        passwords: by role; a role that is not in there gets a new one.
    """
    target.start(port=free_port(plane), addresses=(), durable=False)
    try:
        with target.superuser() as connection:
            roles = [
                RoleRow(
                    branch_id=branch_id,
                    name=name,
                    no_login=no_login,
                    password=passwords.get(name) or new_password(),
                )
                for name, no_login in connection.execute(_ROLES, (SUPERUSER_GROUP, SUPERUSER)).fetchall()
            ]
            for role in roles:
                set_password(connection, role)
            found = connection.execute(_DATABASES).fetchall()
    finally:
        target.stop()
    names = {role.name for role in roles}
    first = plane.store.next_database_id()
    owned = [(name, owner) for name, owner in found if owner in names]
    databases = [
        DatabaseRow(id=first + number, branch_id=branch_id, name=name, owner_name=owner)
        for number, (name, owner) in enumerate(owned)
    ]
    return roles, databases


def passwords_of(plane: Plane, branch_id: str) -> dict[str, str]:
    """The branch's passwords by role."""
    return {role.name: role.password for role in plane.store.all(RoleRow, branch_id=branch_id)}


def fill_with_schema(plane: Plane, source: BranchRow, point: Point | None, branch: BranchRow) -> None:
    """Make ``branch`` a new cluster with the roles, databases and schemas of ``source``, and none of its rows.

    The branch's rows of roles and databases are there already; the caller removes what fails.
    """
    target = postmaster_of(plane, branch)
    target.initialise()
    apply_config(plane, branch.id)
    with held(plane, source, point) as origin, awake(plane, branch) as made:
        roles = _dump(origin, "pg_dumpall", "--roles-only", "--no-role-passwords")
        ours = {SUPERUSER, SUPERUSER_GROUP} | set(passwords_of(plane, branch.id))
        _feed(made, "postgres", _without(roles, {f"CREATE ROLE {each};" for each in ours}))
        for database in plane.store.all(DatabaseRow, branch_id=branch.id):
            schema = _dump(origin, "pg_dump", "--schema-only", f"--dbname={_conninfo(database.name)}")
            _feed(made, database.name, schema)


def _without(script: str, lines: set[str]) -> str:
    """The script without what is there already, and without quotes that only reserved words need."""
    return "\n".join(each for each in script.splitlines() if each.replace('"', "") not in lines) + "\n"


def _conninfo(database: str) -> str:
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{quoted}'"


def _dump(origin: Postmaster, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [origin.binaries.bin_dir / program, *_address(origin), *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        cwd="/",
        check=False,
        **origin.account.identity,
    )
    if done.returncode:
        raise ComputeFailed(f"{program} failed: {' '.join(done.stderr.split())[-400:]}")
    return done.stdout


def _feed(target: Postmaster, database: str, script: str) -> None:
    done = subprocess.run(
        [
            target.binaries.psql,
            *_address(target),
            f"--dbname={_conninfo(database)}",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
        ],
        input=script,
        capture_output=True,
        text=True,
        env=environment(),
        cwd="/",
        check=False,
        **target.account.identity,
    )
    if done.returncode:
        raise ComputeFailed(f"the schema could not be made: {' '.join(done.stderr.split())[-400:]}")


def dump_schema(origin: Postmaster, database: str) -> str:
    """``pg_dump --schema-only`` of one database. Raises ComputeFailed."""
    text = _dump(origin, "pg_dump", "--schema-only", f"--dbname={_conninfo(database)}")
    # Newer versions fence the dump with a random key, which would differ between any two.
    fenced = ("\\restrict ", "\\unrestrict ")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(fenced))


def _address(postmaster: Postmaster) -> tuple[str, ...]:
    return (
        f"--host={postmaster.run_dir}",
        f"--port={postmaster.port() or 0}",
        f"--username={SUPERUSER}",
        "--no-password",
    )


def write_through() -> None:
    """Bring what computes without fsync left in memory to the disk."""
    os.sync()
