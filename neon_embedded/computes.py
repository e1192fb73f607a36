"""Computes of branches: wake, suspend, apply roles and databases, destroy. Knows rows and postmasters, no API."""

import contextlib
import ipaddress
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql

from neon_embedded.clone import remove_directory
from neon_embedded.errors import ComputeFailed, EndpointGone, PortTaken, Refusal
from neon_embedded.metering import Used, awake_for
from neon_embedded.plane import Plane, log
from neon_embedded.postmaster import LOOPBACK, Postmaster, is_free, is_local
from neon_embedded.rows import BaseRow, BranchRow, DatabaseRow, EndpointRow, ProjectRow, RoleRow, SpareRow
from neon_embedded.spares import remove_spares

Superuser = psycopg.Connection[tuple[Any, ...]]

#: Below Linux's ephemeral ports (32768 and up), which any outgoing connection may hold.
_PORTS: Final = range(20_000, 32_768)
_ATTEMPTS: Final = 50
#: So often a tenth of a second is waited for a port of ours: a killed server's sockets last a moment longer.
_PATIENT_ATTEMPTS: Final = 10

SUPERUSER_GROUP: Final = "neon_superuser"

#: What Neon gives to its group role: much, but not superuser, so that what needs one fails here as there.
_GROUP: Final = f"""
create role {SUPERUSER_GROUP} nologin createdb createrole bypassrls;
grant pg_read_all_data, pg_write_all_data to {SUPERUSER_GROUP};
grant pg_monitor to {SUPERUSER_GROUP} with admin option;
"""


def free_port(plane: Plane) -> int:
    """A port that no endpoint has and nobody listens on."""
    taken = {port for each in plane.store.all(EndpointRow) for port in (each.port, each.tls_port)}
    # Nobody listens on a spare's port, but its socket is named so.
    taken |= {each.port for each in plane.store.all(SpareRow)}
    for _ in range(_ATTEMPTS):
        port = secrets.choice(_PORTS)
        if port not in taken and is_free(port):
            return port
    raise ComputeFailed(
        "no free port found between 20000 and 32767", hint="delete branches that are not needed"
    )


def listen_addresses(settings: dict[str, Any]) -> tuple[str, ...]:
    """The addresses that an endpoint's settings ask for; 127.0.0.1 is always one.

    Raises:
        Refusal: 400 for anything but private or loopback IP addresses, or for a setting that is not supported.
    """
    asked = settings.get("pg_settings") or {}
    if not isinstance(asked, dict) or set(asked) - {"listen_addresses"} or set(settings) - {"pg_settings"}:
        raise Refusal(400, "settings: the embedded server supports only pg_settings.listen_addresses")
    addresses = [LOOPBACK]
    for word in str(asked.get("listen_addresses") or "").split(","):
        if not word.strip():
            continue
        try:
            address = ipaddress.ip_address(word.strip())
        except ValueError:
            raise Refusal(400, f"listen_addresses: {word.strip()!r} is not an IP address") from None
        if not (address.is_private or address.is_loopback) or address.is_unspecified:
            raise Refusal(400, f"listen_addresses: {address} is neither private nor loopback")
        if str(address) not in addresses:
            addresses.append(str(address))
    return tuple(addresses)


def project_of(plane: Plane, project_id: str) -> ProjectRow:
    """The project's row. Raises Refusal 404."""
    project = plane.store.one(ProjectRow, id=project_id)
    if project is None:
        raise Refusal(404, f"project not found: {project_id}")
    return project


def postmaster_of(plane: Plane, branch: BranchRow) -> Postmaster:
    """The branch's postmaster, running or not."""
    return plane.postmaster(branch.timeline, project_of(plane, branch.project_id))


def wake(plane: Plane, endpoint_id: str, *, strict: bool = True) -> None:
    """Start the endpoint's compute; running is fine.

    Args:
        plane: the control plane.
        endpoint_id: the endpoint.
        strict: every listen address must be bound; otherwise those that the machine has not now (a bridge that
            is not up yet) are left out.

    Raises:
        ComputeFailed: it did not come up.
    """
    with _of_endpoint(plane, endpoint_id) as (endpoint, branch):
        if plane.closed:
            raise ComputeFailed("the embedded server is stopping")
        if branch.state == "deleting":
            raise ComputeFailed(f"branch {branch.id} is being deleted")
        postmaster = postmaster_of(plane, branch)
        addresses = tuple(each for each in listen_addresses(endpoint.settings) if strict or is_local(each))
        port, doors = endpoint.port, plane.doors
        again = True
        for _ in range(_ATTEMPTS):
            try:
                postmaster.start(
                    port=port,
                    addresses=addresses,
                    durable=branch.is_default,
                    take_port=(lambda: doors.shut(endpoint_id)) if doors.is_open(endpoint_id) else None,
                )
                break
            except PortTaken:
                # Somebody took the port while the compute slept: a new one is better than none.
                port = free_port(plane)
                plane.store.change(EndpointRow, {"id": endpoint_id}, port=port)
            except ComputeFailed:
                # Killed from outside while it came up, perhaps; those who wait for it deserve a second try.
                if not again:
                    doors.dismiss(endpoint_id)
                    keep_door(plane, endpoint_id)
                    raise
                again = False
        plane.store.change(EndpointRow, {"id": endpoint_id}, state="active")
        admitted = doors.admit(endpoint_id, addresses[0], port)
        _keep_gate(plane, endpoint_id, addresses)
    if admitted:
        log.info("%s was woken by %d connections", endpoint_id, admitted)


def suspend(plane: Plane, endpoint_id: str) -> None:
    """Shut the endpoint's compute down cleanly, and keep its port; not running is fine."""
    try:
        with _of_endpoint(plane, endpoint_id) as (_, branch):
            count_awake(plane, branch)
            postmaster_of(plane, branch).stop()
            plane.store.change(EndpointRow, {"id": endpoint_id}, state="idle")
            keep_door(plane, endpoint_id)
    except EndpointGone:
        return


def count_awake(plane: Plane, branch: BranchRow) -> None:
    """Add the time that a branch's compute has been awake to its row; it is about to be ended."""
    if seconds := awake_for(plane.home.branch_dir(branch.timeline)):
        plane.store.change(BranchRow, {"id": branch.id}, awake_seconds=branch.awake_seconds + seconds)


def used(plane: Plane, branch: BranchRow, *, now: bool = False) -> Used:
    """What a branch took so far; ``now`` counts its files instead of saying what was counted last."""
    directory = plane.home.branch_dir(branch.timeline)
    return Used(
        size_bytes=plane.meter.measure(directory) if now else plane.meter.known(directory),
        awake_seconds=branch.awake_seconds + awake_for(directory),
    )


def keep_door(plane: Plane, endpoint_id: str) -> None:
    """Listen for a compute that sleeps, so that a connection wakes it; on addresses that the machine has now.

    A port that somebody took while nobody kept it is given up for a new one. Sleeping ones that are disabled or
    do not run on purpose have no door.
    """
    endpoint = plane.store.one(EndpointRow, id=endpoint_id)
    if endpoint is None or endpoint.disabled:
        shut_out(plane, endpoint_id)
        return
    addresses = [each for each in listen_addresses(endpoint.settings) if is_local(each)]
    _keep_gate(plane, endpoint_id, addresses)
    for attempt in range(_ATTEMPTS):
        try:
            plane.doors.open(endpoint_id, endpoint.port, addresses)
        except PortTaken as taken:
            if attempt < _PATIENT_ATTEMPTS:
                time.sleep(0.1)
                continue
            log.warning("%s gets another port: %s", endpoint_id, taken.message)
            plane.store.change(EndpointRow, {"id": endpoint_id}, port=free_port(plane))
            endpoint = plane.store.one(EndpointRow, id=endpoint_id) or endpoint
        else:
            return


def _keep_gate(plane: Plane, endpoint_id: str, addresses: Sequence[str]) -> None:
    """Speak TLS for the endpoint, asleep or awake, on its second port."""
    endpoint = plane.store.one(EndpointRow, id=endpoint_id)
    port = endpoint.tls_port if endpoint is not None else 0
    for attempt in range(_ATTEMPTS):
        if not port:
            port = free_port(plane)
            plane.store.change(EndpointRow, {"id": endpoint_id}, tls_port=port)
        try:
            plane.gates.open(endpoint_id, port, addresses)
        except PortTaken:
            if attempt < _PATIENT_ATTEMPTS:
                time.sleep(0.1)
            else:
                port = 0
        else:
            return


def shut_out(plane: Plane, endpoint_id: str) -> None:
    """Listen no more for an endpoint that is going or disabled, and send away who waits."""
    plane.doors.dismiss(endpoint_id)
    plane.gates.shut(endpoint_id)


def let_in(plane: Plane, endpoint_id: str) -> None:
    """Wake a compute because somebody knocked; they are sent away when it cannot be woken."""
    try:
        plane.doors.gather(endpoint_id)
        wake(plane, endpoint_id, strict=False)
    except EndpointGone:
        plane.doors.dismiss(endpoint_id)
    except Exception as error:  # noqa: BLE001 - a thread of its own: nobody else would tell, and they wait
        log.error("%s could not be woken: %s", endpoint_id, error)
        plane.doors.dismiss(endpoint_id)
        keep_door(plane, endpoint_id)


def restart(plane: Plane, endpoint_id: str, *, sync: bool = False) -> None:
    """Suspend and wake, so that settings take effect; ``sync`` writes what fsync=off left in memory."""
    with _of_endpoint(plane, endpoint_id):
        suspend(plane, endpoint_id)
        if sync:
            os.sync()
        wake(plane, endpoint_id)


@contextmanager
def _of_endpoint(plane: Plane, endpoint_id: str) -> Iterator[tuple[EndpointRow, BranchRow]]:
    """The rows of an endpoint and its branch as they are while nobody else starts or stops the compute."""
    found = plane.store.one(EndpointRow, id=endpoint_id)
    if found is None:
        raise EndpointGone(f"endpoint {endpoint_id} is gone")
    with plane.compute(found.branch_id):
        endpoint = plane.store.one(EndpointRow, id=endpoint_id)
        branch = plane.store.one(BranchRow, id=found.branch_id)
        if endpoint is None or branch is None or endpoint.branch_id != branch.id:
            raise EndpointGone(f"endpoint {endpoint_id} is gone")
        yield endpoint, branch


@contextmanager
def awake(plane: Plane, branch: BranchRow) -> Iterator[Postmaster]:
    """The branch's postmaster, running, and not suspended meanwhile; when it slept, it sleeps again afterwards."""
    with plane.compute(branch.id):
        postmaster = postmaster_of(plane, branch)
        if postmaster.pid() is not None:
            yield postmaster
            return
        endpoint = plane.store.one(EndpointRow, branch_id=branch.id, state="active")
        if endpoint is not None:  # it should run: its postmaster was killed
            wake(plane, endpoint.id, strict=False)
            yield postmaster
            return
        # On a port of its own: whoever knocks at the compute's door waits until this is over.
        postmaster.start(port=free_port(plane), addresses=(LOOPBACK,), durable=branch.is_default)
        try:
            yield postmaster
        finally:
            postmaster.stop()


def initialise(plane: Plane, branch: BranchRow) -> None:
    """Make a project's first data directory. A half-made one of a dead server is removed first."""
    postmaster = postmaster_of(plane, branch)
    postmaster.stop(wait_for_checkpoint=False)
    remove_directory(postmaster.directory)
    postmaster.initialise()


def apply_config(plane: Plane, branch_id: str, *, passwords_of: set[str] | None = None) -> None:
    """Make the branch's roles and databases what the rows say; what is there already stays.

    Args:
        plane: the control plane.
        branch_id: the branch; a compute that sleeps is woken for this.
        passwords_of: existing roles whose password is set too, and whose sessions end; None for all.
    """
    branch = plane.store.one(BranchRow, id=branch_id)
    if branch is None:
        raise ComputeFailed(f"branch {branch_id} is gone")
    roles = plane.store.all(RoleRow, branch_id=branch_id)
    databases = plane.store.all(DatabaseRow, branch_id=branch_id)
    with awake(plane, branch) as postmaster, postmaster.superuser() as connection:
        if not _exists(connection, "pg_roles", "rolname", SUPERUSER_GROUP):
            connection.execute(_GROUP)
        for role in roles:
            made = _ensure_role(connection, role)
            if not made and (passwords_of is None or role.name in passwords_of):
                set_password(connection, role)
        for database in databases:
            _ensure_database(connection, database)


def drop_role(plane: Plane, branch: BranchRow, name: str) -> None:
    """Drop a role and end its sessions; gone is fine. Raises ComputeFailed when it owns something."""
    with awake(plane, branch) as postmaster, postmaster.superuser() as connection:
        if _exists(connection, "pg_roles", "rolname", name):
            _end_sessions(connection, name)
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def drop_database(plane: Plane, branch: BranchRow, name: str) -> None:
    """Drop a database and end its sessions; gone is fine."""
    with awake(plane, branch) as postmaster, postmaster.superuser() as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def destroy(plane: Plane, branch_id: str) -> None:
    """End the branch's compute, remove its directory, then its rows; what is gone already is fine."""
    branch = plane.store.one(BranchRow, id=branch_id)
    if branch is not None:
        with plane.compute(branch_id):
            for endpoint in plane.store.all(EndpointRow, branch_id=branch_id):
                shut_out(plane, endpoint.id)
                plane.store.remove(EndpointRow, id=endpoint.id)
            postmaster_of(plane, branch).stop(wait_for_checkpoint=False)
    timeline = branch.timeline if branch else branch_id
    destroy_timeline(plane, timeline)
    plane.store.remove(BranchRow, id=branch_id)


def destroy_timeline(plane: Plane, timeline: str) -> None:
    """Remove a timeline's directory, its history and its spares; nothing may run there. Gone is fine."""
    remove_spares(plane, timeline)
    remove_directory(plane.home.branch_dir(timeline))
    remove_directory(plane.home.history / timeline)
    plane.store.remove(BaseRow, timeline=timeline)


def _exists(connection: Superuser, table: str, column: str, name: str) -> bool:
    query = sql.SQL("select 1 from {} where {} = %s").format(sql.Identifier(table), sql.Identifier(column))
    return connection.execute(query, (name,)).fetchone() is not None


def _verifier(connection: Superuser, role: RoleRow) -> sql.Literal:
    """The password's SCRAM verifier, so that the password itself reaches no statement and no log."""
    made = connection.pgconn.encrypt_password(role.password.encode(), role.name.encode(), b"scram-sha-256")
    return sql.Literal(made.decode())


def _ensure_role(connection: Superuser, role: RoleRow) -> bool:
    """Create the role; False when it is there."""
    if _exists(connection, "pg_roles", "rolname", role.name):
        return False
    # As Neon's compute does it: attributes are not inherited by membership, so the role has them itself.
    statement = "create role {} {} createdb createrole bypassrls password {} in role {}"
    connection.execute(
        sql.SQL(statement).format(
            sql.Identifier(role.name),
            sql.SQL("nologin" if role.no_login else "login"),
            _verifier(connection, role),
            sql.Identifier(SUPERUSER_GROUP),
        )
    )
    return True


def set_password(connection: Superuser, role: RoleRow) -> None:
    """Give an existing role the row's password, and end its sessions."""
    statement = sql.SQL("alter role {} password {}").format(
        sql.Identifier(role.name), _verifier(connection, role)
    )
    connection.execute(statement)
    _end_sessions(connection, role.name)


def _end_sessions(connection: Superuser, role: str) -> None:
    connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = %s", (role,)
    )


def _ensure_database(connection: Superuser, database: DatabaseRow) -> None:
    name, owner = sql.Identifier(database.name), sql.Identifier(database.owner_name)
    if not _exists(connection, "pg_database", "datname", database.name):
        connection.execute(sql.SQL("create database {} owner {}").format(name, owner))
    # Every role made by the API may use every database, as on Neon.
    group = sql.Identifier(SUPERUSER_GROUP)
    with contextlib.suppress(psycopg.errors.UndefinedObject):
        connection.execute(sql.SQL("grant all privileges on database {} to {}").format(name, group))
