"""A data directory as its branch was at an LSN or a time: a base, its WAL, a recovery target. Knows no HTTP."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from neon_embedded import asked, ids
from neon_embedded.clone import clone_directory, clone_file
from neon_embedded.computes import awake, destroy_timeline, free_port, postmaster_of, project_of
from neon_embedded.errors import ComputeFailed, Refusal
from neon_embedded.history import (
    assert_has_history,
    base_directory,
    bases_of,
    lsn_number,
    reading,
    window_start,
)
from neon_embedded.plane import Plane
from neon_embedded.postmaster import Postmaster, make_directory
from neon_embedded.rows import BaseRow, BranchRow

_LSN: Final = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
_RECOVERY_SECONDS: Final = 1800.0
_LOCK_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A moment in a branch's history: exactly one of both.

    Attributes:
        lsn: everything that was written before it.
        time: everything that was committed until then; UTC with microseconds.
    """

    lsn: str | None = None
    time: str | None = None

    def __str__(self) -> str:
        return self.lsn or self.time or ""


def asked_point(values: dict[str, Any], *, lsn: str, timestamp: str) -> Point | None:
    """The point that a request names under these two keys, or None for the head. Raises Refusal 400."""
    number, moment = asked.text(values, lsn), asked.text(values, timestamp)
    if number and moment:
        raise Refusal(400, f"invalid request: {lsn} and {timestamp} cannot be given both")
    if number:
        if not _LSN.fullmatch(number):
            raise Refusal(400, f"invalid request: {lsn} (a log sequence number like 0/1DE2850)")
        return Point(lsn=number.upper())
    if not moment:
        return None
    found = asked.time(moment, timestamp)
    return Point(time=found.isoformat(timespec="microseconds"))


def base_for(plane: Plane, branch: BranchRow, point: Point) -> BaseRow:
    """The newest base that leads to the point.

    Raises:
        Refusal: 422 for a child branch; 400 for a point outside of the restore window or of what is kept, or in
            the future.
    """
    assert_has_history(branch)
    project = project_of(plane, branch.project_id)
    bases = bases_of(plane, branch)
    start = max([window_start(project), *(base.taken_at for base in bases[:1])])
    if not bases or not project.history_retention_seconds:
        raise Refusal(400, f"branch {branch.id} has no history yet; only its head can be used")
    if point.time:
        reached = [base for base in bases if base.taken_at <= point.time]
        early = not reached or point.time < start
        late = point.time > datetime.now(UTC).isoformat(timespec="microseconds")
    else:
        wanted = lsn_number(point.lsn or "")
        reached = [base for base in bases if lsn_number(base.stop_lsn) <= wanted]
        early, late = not reached, wanted > _head(plane, branch)
    if early:
        since = f"{start} (LSN {bases[0].stop_lsn})"
        raise Refusal(
            400, f"{point} is outside of the restore window of branch {branch.id}, which begins at {since}"
        )
    if late:
        raise Refusal(400, f"{point} is in the future of branch {branch.id}")
    return reached[-1]


def build_at(plane: Plane, source: BranchRow, point: Point, target: Postmaster) -> str:
    """Make ``target`` what ``source`` was at the point, whole and shut down; the caller removes what fails.

    Returns:
        The LSN reached.

    Raises:
        Refusal, CloneFailed, ComputeFailed.
    """
    with reading(source), awake(plane, source) as parent:
        base = base_for(plane, source, point)
        with parent.superuser() as connection:
            # A commit after the point: recovery stops at the first one that is too late, and wants to see it.
            connection.execute("select pg_logical_emit_message(true, 'neon_embedded', 'point')")
        make_directory(target.directory, target.account)
        lies = base_directory(plane, base) / "data"
        clone_directory(lies, target.data, account=target.account, with_wal=True)
        clone_file(lies / "backup_label", target.data / "backup_label", target.account)
        _aim(parent.data / "pg_wal", point, target)
        # No address: nobody but us may look in before it is done.
        target.start(port=free_port(plane), addresses=(), durable=False, timeout_seconds=_RECOVERY_SECONDS)
        (target.data / "postgresql.auto.conf").write_text("")
    try:
        return left_at(target)
    finally:
        target.stop()


@contextmanager
def readable(plane: Plane, branch: BranchRow, point: Point | None) -> Iterator[Postmaster]:
    """A running postmaster that shows the branch at the point, for reading; None for the head.

    Raises:
        Refusal: 423 when the project is being changed and does not stop being so.
    """
    if postmaster_of(plane, branch).pid() is not None:
        with held(plane, branch, point) as postmaster:
            yield postmaster
        return
    # Nobody but us may wake it meanwhile, nor remove it.
    with plane.alone(branch.project_id, timeout_seconds=_LOCK_SECONDS) as granted:
        if not granted:
            raise Refusal(423, "project already has running conflicting operations, try again")
        with held(plane, branch, point) as postmaster:
            yield postmaster


@contextmanager
def held(plane: Plane, branch: BranchRow, point: Point | None) -> Iterator[Postmaster]:
    """As `readable`, for callers that hold the project's lock already."""
    if point is None:
        with awake(plane, branch) as postmaster:
            yield postmaster
        return
    timeline = ids.timeline_id()
    target = plane.postmaster(timeline, project_of(plane, branch.project_id))
    try:
        build_at(plane, branch, point, target)
        target.start(port=free_port(plane), addresses=(), durable=False)
        yield target
    finally:
        target.stop(wait_for_checkpoint=False)
        destroy_timeline(plane, timeline)


def _aim(wal: Path, point: Point, target: Postmaster) -> None:
    """Tell the directory's next start where its WAL comes from and where to stop."""
    fetch = f"cp {shlex.quote(str(wal))}/%f ".replace("%", "%%").replace("%%f", "%f") + '"%p"'
    # An LSN as pg_current_wal_lsn() tells it is where the next record begins: that one must not be replayed.
    settings = {
        "restore_command": fetch,
        "recovery_target_timeline": "current",
        "recovery_target_action": "promote",
        "hot_standby": "off",
        **({"recovery_target_time": point.time} if point.time else {}),
        **({"recovery_target_lsn": point.lsn, "recovery_target_inclusive": "off"} if point.lsn else {}),
    }
    lines = [f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
    auto = target.data / "postgresql.auto.conf"
    auto.write_text("".join(lines))
    signal = target.data / "recovery.signal"
    signal.touch(mode=0o600)
    target.account.own(signal)


def left_at(target: Postmaster) -> str:
    """Where a promoted directory left its source; the history file that promotion wrote says so.

    Raises:
        ComputeFailed: there is no such file.
    """
    histories = sorted((target.data / "pg_wal").glob("*.history"))
    lines = [line.split("\t") for line in histories[-1].read_text().splitlines()] if histories else []
    ends = [line[1] for line in lines if len(line) > 1 and _LSN.fullmatch(line[1])]
    if not ends:
        raise ComputeFailed(f"{target.directory.name} did not say where it left", hint=f"see {target.log}")
    return ends[-1]


def _head(plane: Plane, branch: BranchRow) -> int:
    with awake(plane, branch) as postmaster, postmaster.superuser() as connection:
        row = connection.execute("select pg_current_wal_insert_lsn()::text").fetchone()
        return lsn_number(row[0]) if row else 0
