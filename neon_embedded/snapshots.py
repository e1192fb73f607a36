"""The verbs of snapshots: make, rename, delete, restore, finalise. Each writes its intent first; knows no HTTP.

A snapshot is a directory like a base: a copy that never runs. Restoring copies it into a new root branch; finalising
gives that branch the name, the role in the project and the computes of the one it replaces (Neon API v2, beta).
"""

import os
from pathlib import Path
from typing import Any

from neon_embedded import asked, ids
from neon_embedded.branches import (
    assert_name_free,
    branch_of,
    default_branch,
    operations_of,
    replace_config,
)
from neon_embedded.clone import remove_directory
from neon_embedded.computes import destroy, postmaster_of, project_of, suspend, wake
from neon_embedded.errors import Refusal
from neon_embedded.history import assert_has_history
from neon_embedded.plane import Plane
from neon_embedded.points import Point, asked_point, base_for
from neon_embedded.postmaster import make_directory
from neon_embedded.rows import BranchRow, EndpointRow, OperationRow, SnapshotRow, now
from neon_embedded.timelines import adopt, copy_of_copy, fill_from_branch, passwords_of, write_through

Operations = list[OperationRow]


def snapshot_of(plane: Plane, project_id: str, snapshot_id: str) -> SnapshotRow:
    """The snapshot's row. Raises Refusal 404."""
    project_of(plane, project_id)
    row = plane.store.one(SnapshotRow, id=snapshot_id, project_id=project_id)
    if row is None:
        raise Refusal(404, f"snapshot not found: {snapshot_id}")
    return row


def directory_of(plane: Plane, snapshot_id: str) -> Path:
    """Where a snapshot lies."""
    return plane.home.snapshots / snapshot_id


def create_snapshot(
    plane: Plane, project_id: str, branch_id: str, query: dict[str, Any], *, manual: bool = True
) -> tuple[SnapshotRow, Operations]:
    """Keep a root branch as it is, or was at a point; ``manual`` is false for a schedule's.

    Raises:
        Refusal: 400, 404, 422 for a child branch.
    """
    point = asked_point(query, lsn="lsn", timestamp="timestamp")
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        if branch.state != "ready":
            raise Refusal(422, f"the branch {branch.id} is not ready")
        assert_has_history(branch)
        if point is not None:
            base_for(plane, branch, point)
        snapshot_id = ids.snapshot_id()
        snapshot = SnapshotRow(
            id=snapshot_id,
            project_id=project_id,
            name=asked.text(query, "name") or f"{branch.name} {now()}",
            source_branch_id=branch.id,
            timestamp=(point.time[:19] + "Z" if point.time else None) if point else now(),
            expires_at=_expiry(query.get("expires_at")),
            manual=manual,
        )
        plane.store.add(snapshot)
        change.undo = lambda: remove_snapshot(plane, snapshot_id)
        change.step("create_branch", lambda: _fill(plane, branch, point, snapshot_id), branch_id=branch_id)
    return snapshot, operations_of(plane, change)


def rename_snapshot(plane: Plane, project_id: str, snapshot_id: str, body: dict[str, Any]) -> SnapshotRow:
    """Change the name."""
    wanted = asked.part(body, "snapshot", required=True)
    snapshot = snapshot_of(plane, project_id, snapshot_id)
    name = asked.text(wanted, "name", default=snapshot.name)
    if not name:
        raise Refusal(400, "invalid request: name (a snapshot's name is not empty)")
    plane.store.change(SnapshotRow, {"id": snapshot_id}, name=name)
    return snapshot_of(plane, project_id, snapshot_id)


def delete_snapshot(plane: Plane, project_id: str, snapshot_id: str) -> Operations:
    """Remove a snapshot. Raises Refusal 404."""
    with plane.change(project_id) as change:
        snapshot = snapshot_of(plane, project_id, snapshot_id)
        plane.store.change(SnapshotRow, {"id": snapshot_id}, state="deleting")
        change.step(
            "delete_timeline",
            lambda: remove_snapshot(plane, snapshot_id),
            branch_id=snapshot.source_branch_id,
        )
    return operations_of(plane, change)


def remove_snapshot(plane: Plane, snapshot_id: str) -> None:
    """Remove the directory, then the row; gone is fine."""
    remove_directory(directory_of(plane, snapshot_id))
    plane.store.remove(SnapshotRow, id=snapshot_id)


def restore_snapshot(
    plane: Plane, project_id: str, snapshot_id: str, body: dict[str, Any]
) -> tuple[BranchRow, Operations]:
    """Make a root branch of a snapshot; with ``finalize_restore`` it replaces its target at once.

    Without it the branch has no compute, and can be looked at by giving it one.
    """
    finalize = asked.flag(body.get("finalize_restore"), "finalize_restore")
    with plane.change(project_id) as change:
        snapshot = snapshot_of(plane, project_id, snapshot_id)
        if snapshot.state != "ready":
            raise Refusal(422, f"the snapshot {snapshot_id} is not ready")
        target_id = asked.text(body, "target_branch_id") or snapshot.source_branch_id or ""
        target = plane.store.one(BranchRow, id=target_id, project_id=project_id, state="ready")
        if target is None and (finalize or asked.text(body, "target_branch_id")):
            raise Refusal(404, f"branch not found: {target_id}")
        branch_id = ids.branch_id()
        name = asked.text(body, "name") or f"{snapshot.name} restored {branch_id[-8:]}"
        branch = BranchRow(
            id=branch_id,
            project_id=project_id,
            name=asked.branch_name(name),
            restored_from=snapshot_id,
            restored_as=target.id if target else None,
            restore_status="restored",
        )
        assert_name_free(plane, project_id, branch.name)
        plane.store.add(branch)
        change.undo = lambda: destroy(plane, branch_id)
        change.step("create_branch", lambda: _unpack(plane, snapshot, branch, target), branch_id=branch_id)
        if finalize and target is not None:
            change.step(
                "apply_config", lambda: _finalize(plane, branch_id, target.id, ""), branch_id=branch_id
            )
    plane.history_wanted.set()
    return branch, operations_of(plane, change)


def finalize_restore(plane: Plane, project_id: str, branch_id: str, body: dict[str, Any]) -> Operations:
    """Let a branch that was restored from a snapshot replace its target.

    It takes the target's name, its place as the default and its computes; the target is renamed. Raises Refusal.
    """
    name = asked.text(body, "name")
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        if branch.restore_status != "restored" or branch.state != "ready" or not branch.restored_as:
            raise Refusal(422, f"branch {branch_id} has no restore to finalize")
        target = branch_of(plane, project_id, branch.restored_as)
        if name:
            assert_name_free(plane, project_id, asked.branch_name(name))
        change.step("apply_config", lambda: _finalize(plane, branch_id, target.id, name), branch_id=branch_id)
    plane.history_wanted.set()
    return operations_of(plane, change)


def expire_snapshots(plane: Plane) -> None:
    """Remove snapshots whose time is over."""
    for row in plane.store.all(SnapshotRow, state="ready"):
        if row.expires_at and row.expires_at <= now():
            delete_snapshot(plane, row.project_id, row.id)


def forget_half_snapshots(plane: Plane) -> None:
    """After a death: remove snapshots that are half made or half deleted, and directories that no row knows."""
    for row in plane.store.all(SnapshotRow):
        if row.state != "ready":
            remove_snapshot(plane, row.id)
    known = {row.id for row in plane.store.all(SnapshotRow)}
    for directory in plane.home.snapshots.iterdir():
        if directory.name not in known:
            remove_directory(directory)


def _fill(plane: Plane, branch: BranchRow, point: Point | None, snapshot_id: str) -> None:
    target = plane.postmaster_in(directory_of(plane, snapshot_id), project_of(plane, branch.project_id))
    # A snapshot is no hurry; a spare is for whoever waits.
    lsn = fill_from_branch(plane, branch, point, target, spares=False)
    write_through()
    size = sum(
        Path(folder, name).stat().st_size for folder, _, names in os.walk(target.data) for name in names
    )
    plane.store.change(SnapshotRow, {"id": snapshot_id}, state="ready", lsn=lsn or None, full_size=size)


def _unpack(plane: Plane, snapshot: SnapshotRow, branch: BranchRow, target: BranchRow | None) -> None:
    made = postmaster_of(plane, branch)
    make_directory(made.directory, made.account)
    copy_of_copy(directory_of(plane, snapshot.id) / "data", made)
    model = target or default_branch(plane, branch.project_id)
    roles, databases = adopt(plane, made, branch.id, passwords_of(plane, model.id))
    with plane.store.transaction():
        replace_config(plane, branch.id, roles, databases)
        plane.store.change(BranchRow, {"id": branch.id}, state="ready")


def _finalize(plane: Plane, branch_id: str, target_id: str, old_name: str) -> None:
    """All in one transaction; before it both branches' computes are down, after it the target's wakes elsewhere."""
    with plane.compute(target_id), plane.compute(branch_id):
        target = _row(plane, target_id)
        moved = plane.store.all(EndpointRow, branch_id=target_id)
        active = [each.id for each in moved if each.state == "active"]
        own = plane.store.all(EndpointRow, branch_id=branch_id) if moved else []
        for endpoint in (*own, *moved):
            suspend(plane, endpoint.id)
        for endpoint in own:
            plane.doors.dismiss(endpoint.id)
        if target.is_default:
            write_through()
        with plane.store.transaction():
            for endpoint in own:
                plane.store.remove(EndpointRow, id=endpoint.id)
            for endpoint in moved:
                plane.store.change(EndpointRow, {"id": endpoint.id}, branch_id=branch_id)
            for endpoint_id in active:
                plane.store.change(EndpointRow, {"id": endpoint_id}, state="active")
            plane.store.change(
                BranchRow,
                {"id": target_id},
                name=old_name or _free_name(plane, target),
                is_default=False,
                protected=False,
            )
            plane.store.change(
                BranchRow,
                {"id": branch_id},
                name=target.name,
                is_default=target.is_default,
                protected=target.protected,
                restore_status="finalized",
            )
        for endpoint_id in active:
            wake(plane, endpoint_id, strict=False)


def _row(plane: Plane, branch_id: str) -> BranchRow:
    row = plane.store.one(BranchRow, id=branch_id)
    if row is None:
        raise Refusal(404, f"branch not found: {branch_id}")
    return row


def _expiry(value: str | None) -> str | None:
    """A snapshot may be kept for as long as one likes. Raises Refusal 400."""
    if not value:
        return None
    found = asked.time(value, "expires_at").strftime("%Y-%m-%dT%H:%M:%SZ")
    if found <= now():
        raise Refusal(400, "invalid request: expires_at must be in the future")
    return found


def _free_name(plane: Plane, branch: BranchRow) -> str:
    """``main (old)``, or with a number when there is one already."""
    number, name = 1, f"{branch.name} (old)"
    while plane.store.one(BranchRow, project_id=branch.project_id, name=name):
        number += 1
        name = f"{branch.name} (old {number})"
    return name
