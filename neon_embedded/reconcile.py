"""Making the world what the rows say: after a death of the server, and from time to time. Knows no HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from neon_embedded.branches import delete_branch, is_expired
from neon_embedded.clone import TRIAL, remove_directory
from neon_embedded.computes import apply_config, destroy, keep_door, postmaster_of, suspend, wake
from neon_embedded.errors import EmbeddedError, Refusal
from neon_embedded.history import forget_strangers
from neon_embedded.idleness import Idleness, timeout_of
from neon_embedded.plane import Plane, log
from neon_embedded.postmaster import bound_log
from neon_embedded.processes import stop_postmaster
from neon_embedded.rows import BranchRow, EndpointRow, OperationRow, ProjectRow
from neon_embedded.schedules import take_scheduled
from neon_embedded.snapshots import expire_snapshots, forget_half_snapshots
from neon_embedded.spares import forget_lost_spares

_PENDING: Final = ("scheduling", "running")
_CARE_SECONDS: Final = 1.0


def recover(plane: Plane) -> None:
    """After a start: finish deletions, remove what is half made, adopt or start computes, drop leftovers."""
    interrupted = [row for status in _PENDING for row in plane.store.all(OperationRow, status=status)]
    for project in plane.store.all(ProjectRow):
        if project.state != "ready":
            for branch in plane.store.all(BranchRow, project_id=project.id):
                _try(f"removing branch {branch.id}", destroy, plane, branch.id)
            plane.store.remove(ProjectRow, id=project.id)
    for branch in plane.store.all(BranchRow):
        if branch.state != "ready":
            _try(f"removing branch {branch.id}", destroy, plane, branch.id)
    _remove_strangers(plane)
    _try("tidying histories", forget_strangers, plane)
    _try("tidying snapshots", forget_half_snapshots, plane)
    _try("tidying spares", forget_lost_spares, plane)
    endpoints = plane.store.all(EndpointRow)
    served = {endpoint.branch_id for endpoint in endpoints}
    for branch in plane.store.all(BranchRow):
        if branch.id not in served:  # started for a moment by a server that died then
            _try(f"stopping {branch.id}", postmaster_of(plane, branch).stop)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda endpoint: _settle(plane, endpoint), endpoints))
    for branch_id in {row.branch_id for row in interrupted if row.action == "apply_config" and row.branch_id}:
        if plane.store.one(BranchRow, id=branch_id):
            _try(f"applying roles and databases of {branch_id}", apply_config, plane, branch_id)
    for row in interrupted:
        plane.store.change(
            OperationRow,
            {"id": row.id},
            status="failed",
            error="the server ended while this ran; nothing half is left",
        )


def heal(plane: Plane, *, timeout_seconds: float = 0.0) -> None:
    """Start or keep on call computes that should run and do not; end branches whose time is over; tidy.

    Args:
        plane: the control plane.
        timeout_seconds: how long to wait for a project that is being changed; then it is skipped.
    """
    for endpoint in plane.store.all(EndpointRow, state="active"):
        _try(f"caring for {endpoint.id}", _heal_endpoint, plane, endpoint, timeout_seconds)
    for branch in plane.store.all(BranchRow):
        if is_expired(branch) and branch.state == "ready":
            _try(f"ending {branch.id}, which expired", delete_branch, plane, branch.project_id, branch.id)
    _try("ending snapshots that expired", expire_snapshots, plane)
    _try("taking snapshots by schedule", take_scheduled, plane)
    for endpoint in plane.store.all(EndpointRow, state="idle"):
        # Addresses that were not there (a bridge that came up since), or a port that was taken for a while.
        _try(f"listening for {endpoint.id}", keep_door_of_sleeper, plane, endpoint)
    for directory in (*plane.home.branches.iterdir(), *plane.home.spares.iterdir()):
        _try(f"the log of {directory.name}", bound_log, directory / "postgres.log")


def _heal_endpoint(plane: Plane, endpoint: EndpointRow, timeout_seconds: float) -> None:
    def dead() -> bool:
        branch = plane.store.one(BranchRow, id=endpoint.branch_id)
        current = plane.store.one(EndpointRow, id=endpoint.id, state="active")
        return branch is not None and current is not None and postmaster_of(plane, branch).pid() is None

    if not dead():
        return
    with plane.alone(endpoint.project_id, timeout_seconds=timeout_seconds) as granted:
        if granted and dead():
            log.warning("the compute of %s ended by itself", endpoint.branch_id)
            _settle(plane, endpoint)


def keep_healing(plane: Plane, stop: threading.Event) -> threading.Thread:
    """Call `heal` from time to time until ``stop`` is set."""

    idleness = Idleness()
    plane.idle_since = idleness.idle_since

    def run() -> None:
        while not stop.wait(_CARE_SECONDS):
            _try("caring for computes", heal, plane)
            _try("suspending who is idle", idleness.care, plane)
            _try("measuring branches", _measure, plane)

    thread = threading.Thread(target=run, name="care", daemon=True)
    thread.start()
    return thread


def _measure(plane: Plane) -> None:
    plane.meter.care(tuple(plane.home.branch_dir(each.timeline) for each in plane.store.all(BranchRow)))


def _settle(plane: Plane, endpoint: EndpointRow) -> None:
    branch = plane.store.one(BranchRow, id=endpoint.branch_id)
    if branch is None:
        return
    runs = postmaster_of(plane, branch).port()
    # Awake on its port although the row says that it sleeps: somebody knocked, and the server died then.
    knocked = endpoint.state == "idle" and runs == endpoint.port
    if endpoint.disabled or (endpoint.state == "idle" and not knocked):
        _try(f"suspending {endpoint.id}", suspend, plane, endpoint.id)
        return
    if runs is None and timeout_of(branch, endpoint) is not None:
        # It may sleep, so it does, until somebody wants it: after a reboot dozens need not start at once.
        _try(f"keeping {endpoint.id} on call", suspend, plane, endpoint.id)
        return
    if not _try(f"starting {endpoint.id}", lambda: wake(plane, endpoint.id, strict=False)):
        plane.store.change(EndpointRow, {"id": endpoint.id}, state="idle")


def keep_door_of_sleeper(plane: Plane, endpoint: EndpointRow) -> None:
    """Open the door of a compute that sleeps, if nobody is about to wake it."""
    with plane.compute(endpoint.branch_id, wait=False) as granted:
        if granted and plane.store.one(EndpointRow, id=endpoint.id, state="idle"):
            keep_door(plane, endpoint.id)


def _remove_strangers(plane: Plane) -> None:
    """Directories that no row knows: what a death between two lines may leave."""
    known = {branch.timeline for branch in plane.store.all(BranchRow)}
    for directory in plane.home.branches.iterdir():
        if directory.name not in known:
            log.warning("removing %s: no branch has it", directory)
            stop_postmaster(directory)
            _try(f"removing {directory}", remove_directory, directory)
    for trial in plane.home.root.glob(f"{TRIAL}*"):
        _try(f"removing {trial}", remove_directory, trial)


def _try(what: str, work: object, *arguments: object) -> bool:
    """Do one thing; when it fails, say so and go on with the others."""
    try:
        work(*arguments)  # type: ignore[operator]
    except Refusal as no:
        log.info("%s waits: %s", what, no.message)
        return False
    except (EmbeddedError, OSError) as error:
        log.error("%s failed: %s", what, error)
        return False
    except Exception:  # noqa: BLE001 - one broken branch must not keep the others from being cared for
        log.exception("%s broke", what)
        return False
    return True
