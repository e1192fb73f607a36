"""Warm spares as things: their rows and directories, how many there should be, what they cost. Starts none.

Where files cannot share blocks, a branch is a whole copy. A spare is that copy made ahead of time, which follows its
branch as a standby until a new branch wants it (following.py; decision 0012).
"""

import os
from pathlib import Path
from typing import Any, Final

from neon_embedded.clone import remove_directory, used_bytes
from neon_embedded.plane import Plane
from neon_embedded.processes import stop_postmaster
from neon_embedded.rows import BranchRow, SpareRow

#: The most that may be asked for: each is a whole copy and replays all that its branch writes.
MOST: Final = 3
#: Below this a copy takes under half a second anyway (measured: decision 0012).
SMALLEST_BYTES: Final = 100_000_000
#: The rule takes no more than this part of the free space; what is there may stay up to the second one.
_PART_OF_FREE: Final = 10
_PART_OF_FREE_KEPT: Final = 4


def directory_of(plane: Plane, spare: SpareRow) -> Path:
    """Where a spare lies."""
    return plane.home.spares / spare.id


def number_wanted(branch: BranchRow, *, size: int, free: int, shares: bool, has: int) -> int:
    """How many spares a branch should have: what was asked for, else the rule.

    The rule: one for the default branch, where blocks are not shared, when it is large enough to gain from it and
    takes a small part of the disk only.

    Args:
        branch: the branch.
        size: bytes of its databases.
        free: bytes that are free on the disk.
        shares: whether copies share their blocks.
        has: how many it has, so that it does not come and go at the border.
    """
    if branch.spares is not None:
        return branch.spares
    part = _PART_OF_FREE_KEPT if has else _PART_OF_FREE
    fits = SMALLEST_BYTES <= size <= free // part
    return 1 if branch.is_default and fits and not shares else 0


def remove_spare(plane: Plane, spare: SpareRow) -> None:
    """End a spare and remove it; gone is fine. The slot on its branch is dropped by the next look at that."""
    stop_postmaster(directory_of(plane, spare), wait_for_checkpoint=False)
    remove_directory(directory_of(plane, spare))
    plane.store.remove(SpareRow, id=spare.id)


def remove_spares(plane: Plane, timeline: str) -> None:
    """Remove all spares of a timeline that goes."""
    for spare in plane.store.all(SpareRow, timeline=timeline):
        remove_spare(plane, spare)


def forget_lost_spares(plane: Plane) -> None:
    """After a start: remove spares that are half made, half taken or of before a reboot, and what no row knows."""
    timelines = {branch.timeline for branch in plane.store.all(BranchRow)}
    for spare in plane.store.all(SpareRow):
        whole = spare.state == "following" and spare.boot == this_boot()
        if not whole or spare.timeline not in timelines:
            remove_spare(plane, spare)
    forget_strange_spares(plane)


def forget_strange_spares(plane: Plane) -> None:
    """Remove directories of spares that no row knows."""
    for directory in plane.home.spares.iterdir():
        # Asked for each anew: a row is written before its directory is made.
        if plane.store.one(SpareRow, id=directory.name) is None:
            stop_postmaster(directory, wait_for_checkpoint=False)
            remove_directory(directory)


def seize(plane: Plane, spare: SpareRow) -> bool:
    """Make a spare that follows the caller's own, who removes its row; False when another was quicker."""
    with plane.store.transaction():
        if plane.store.one(SpareRow, id=spare.id, state="following") is None:
            return False
        plane.store.change(SpareRow, {"id": spare.id}, state="taken")
    return True


def shown_spares(plane: Plane, branch: BranchRow) -> dict[str, Any]:
    """What a branch's spares are and cost, for the status."""
    rows = plane.store.all(SpareRow, timeline=branch.timeline)
    return {
        "asked": branch.spares,
        "ready": sum(row.state == "following" for row in rows),
        "copying": sum(row.state == "copying" for row in rows),
        "bytes": sum(used_bytes(directory_of(plane, row)) for row in rows),
        "trouble": plane.spares_trouble.get(branch.timeline),
    }


def free_bytes(directory: Path) -> int:
    """Bytes that are free on the directory's disk."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def this_boot() -> str:
    """Names this run of the machine; empty where the system does not tell (macOS, whose files share blocks)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
