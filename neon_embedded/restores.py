"""The verbs that give a branch other data in place: restore, reset from parent. Knows no HTTP.

The new data is made beside the old, complete with passwords; then one transaction changes which directory is the
branch's. Whatever dies before leaves a directory that nobody knows, whatever dies after leaves the old one so:
the next start removes either.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from neon_embedded import asked, ids
from neon_embedded.branches import assert_name_free, branch_of, operations_of, replace_config
from neon_embedded.computes import count_awake, destroy_timeline, postmaster_of, project_of, wake
from neon_embedded.errors import Refusal
from neon_embedded.plane import Plane
from neon_embedded.points import Point, asked_point, base_for
from neon_embedded.rows import (
    BranchRow,
    DatabaseRow,
    EndpointRow,
    OperationRow,
    RoleRow,
    now,
)
from neon_embedded.timelines import adopt, fill_from_branch, passwords_of, write_through

Operations = list[OperationRow]

#: How long children of a branch that was restored from a snapshot wait (Neon docs, 2026-09).
_RESET_AFTER: Final = timedelta(hours=24)


def restore_branch(plane: Plane, project_id: str, branch_id: str, body: dict[str, Any]) -> Operations:
    """Give a branch the data of another's head, or of a root branch's past - its own, too.

    Its id, its endpoint and the endpoint's address stay. Without a point, and from its parent, it is Neon's
    "reset from parent".

    Raises:
        Refusal: 400, 404, 409 when the name to preserve under is taken, 422 for what Neon refuses.
    """
    source_id = asked.text(body, "source_branch_id")
    if not source_id:
        raise Refusal(400, "invalid request: source_branch_id (field required)")
    point = asked_point(body, lsn="source_lsn", timestamp="source_timestamp")
    preserve = asked.text(body, "preserve_under_name")
    with plane.change(project_id) as change:
        branch = branch_of(plane, project_id, branch_id)
        source = branch_of(plane, project_id, source_id)
        _assert_allowed(plane, branch, source, point, preserve)
        if preserve:
            assert_name_free(plane, project_id, asked.branch_name(preserve))
        if point is not None:
            base_for(plane, source, point)
        timeline = ids.timeline_id()
        kept = _kept(branch, preserve) if preserve else None

        def undo() -> None:
            # Before the swap nobody knows the new directory; after it the old one's fate is the next start's.
            current = plane.store.one(BranchRow, id=branch_id)
            if current is not None and current.timeline != timeline:
                plane.postmaster(timeline, project_of(plane, project_id)).stop(wait_for_checkpoint=False)
                destroy_timeline(plane, timeline)
            for endpoint in plane.store.all(EndpointRow, branch_id=branch_id, state="active"):
                wake(plane, endpoint.id, strict=False)

        change.undo = undo
        change.step(
            "create_branch",
            lambda: _swap(plane, branch, source, point, timeline, kept),
            branch_id=branch_id,
        )
        for endpoint in plane.store.all(EndpointRow, branch_id=branch_id, state="active"):
            change.step(
                "start_compute",
                lambda endpoint=endpoint: wake(plane, endpoint.id, strict=False),  # type: ignore[misc]
                branch_id=branch_id,
                endpoint_id=endpoint.id,
            )
        if kept is None:
            change.step(
                "delete_timeline", lambda: destroy_timeline(plane, branch.timeline), branch_id=branch_id
            )
    plane.history_wanted.set()
    return operations_of(plane, change)


def _assert_allowed(
    plane: Plane, branch: BranchRow, source: BranchRow, point: Point | None, preserve: str
) -> None:
    """Neon's rules (reference: neon-api.md, section 4, rows 8, 11 and 12). Raises Refusal."""
    for each in (branch, source):
        if each.state != "ready":
            raise Refusal(422, f"the branch {each.id} is not ready")
    if source.id == branch.id and point is None:
        raise Refusal(400, "source_lsn or source_timestamp is required to restore a branch to itself")
    if source.id == branch.id and not preserve:
        raise Refusal(400, "preserve_under_name is required to restore a branch to itself")
    if plane.store.one(BranchRow, parent_id=branch.id) and not preserve:
        raise Refusal(
            422, "preserve_under_name is required: the branch has children, which move to the kept state"
        )
    if point is not None and not branch.is_root:
        raise Refusal(422, "a child branch cannot be restored to a point in time, only to a head")
    if source.id == branch.parent_id and branch.protected:
        raise Refusal(422, "cannot reset protected branch")
    if source.id == branch.parent_id and source.restored_from and _age(source) < _RESET_AFTER:
        raise Refusal(
            422,
            f"the parent branch {source.id} was restored from a snapshot less than 24 hours ago: no reset to it yet;"
            " create a new branch instead",
        )


def _age(branch: BranchRow) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(branch.created_at)


def _kept(branch: BranchRow, name: str) -> BranchRow:
    """The branch that the old state becomes: no default, no expiry, the old directory with its history."""
    return replace(
        branch,
        id=ids.branch_id(),
        name=name,
        timeline=branch.timeline,
        is_default=False,
        protected=False,
        expires_at=None,
        annotations={},
        backup_schedule={},
        awake_seconds=0.0,
        created_at=now(),
        updated_at=now(),
    )


def _swap(
    plane: Plane,
    branch: BranchRow,
    source: BranchRow,
    point: Point | None,
    timeline: str,
    kept: BranchRow | None,
) -> None:
    target = plane.postmaster(timeline, project_of(plane, branch.project_id))
    lsn = fill_from_branch(plane, source, point, target)
    own, theirs = passwords_of(plane, branch.id), passwords_of(plane, source.id)
    # A child of a protected parent keeps its passwords, others get the source's (Neon docs, 2024-09-06).
    passwords = {**theirs, **own} if source.protected or source.id == branch.id else {**own, **theirs}
    roles, databases = adopt(plane, target, branch.id, passwords)
    if branch.is_default:
        write_through()
    with plane.compute(branch.id):  # nobody wakes the old state meanwhile
        count_awake(plane, branch)
        # Connections end here, and writes with them: all that was committed is in the state that is kept.
        postmaster_of(plane, branch).stop(wait_for_checkpoint=kept is not None)
        own_source = source.id == branch.id
        with plane.store.transaction():
            if kept is not None:
                plane.store.change(BranchRow, {"parent_id": branch.id}, parent_id=kept.id)
                plane.store.add(
                    kept,
                    *(
                        replace(each, branch_id=kept.id)
                        for each in plane.store.all(RoleRow, branch_id=branch.id)
                    ),
                )
                for database in plane.store.all(DatabaseRow, branch_id=branch.id):
                    number = plane.store.next_database_id()
                    plane.store.add(replace(database, id=number, branch_id=kept.id))
            replace_config(plane, branch.id, roles, _renumbered(plane, databases))
            plane.store.change(
                BranchRow,
                {"id": branch.id},
                timeline=timeline,
                last_reset_at=now(),
                **(
                    {}
                    if own_source or branch.is_root
                    else {"parent_lsn": lsn or None, "parent_timestamp": None}
                ),
            )


def _renumbered(plane: Plane, databases: list[DatabaseRow]) -> list[DatabaseRow]:
    first = plane.store.next_database_id()
    return [replace(each, id=first + number) for number, each in enumerate(databases)]
