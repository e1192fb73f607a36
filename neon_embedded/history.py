"""The history of root branches: bases and kept WAL, refreshed and bounded. Builds no branch, knows no HTTP.

WAL is kept where it was written: a physical slot holds it back from recycling, so keeping it costs neither a copy
nor a process per segment. A base is a clone of the branch as for a child, which never runs (decision 0011).
"""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg

from neon_embedded.branching import branch_at_head
from neon_embedded.clone import remove_directory, shares_blocks
from neon_embedded.computes import Superuser, postmaster_of
from neon_embedded.errors import CloneFailed, EmbeddedError, Refusal
from neon_embedded.ids import base_id
from neon_embedded.plane import Plane, log
from neon_embedded.postmaster import make_directory
from neon_embedded.rows import BaseRow, BranchRow, ProjectRow

SLOT: Final = "neon_history"

_CARE_SECONDS: Final = 10.0
#: WAL between two bases, which bounds the replay to seconds (measured: 2.3 s for 50-80 MB). Where a base is a whole
#: copy, as much as the copy has, up to a limit: then both cost about the same.
_WAL_BETWEEN: Final = 64_000_000
_WAL_BETWEEN_MOST: Final = 384_000_000
#: WAL from the oldest base on; beyond it the history gets shorter. PostgreSQL's own limit is 1 GB (postmaster.py).
_WAL_KEPT: Final = 768_000_000
#: Bases of one branch that are kept: where they share blocks; where they are copies; where those are large.
_BASES_SHARED: Final = 12
_BASES_COPIED: Final = 3
_BASES_LARGE: Final = 2
_LARGE: Final = 1_000_000_000
#: So much was written since the last base that a new one lets old WAL go when the window has moved on.
_WORTH_A_BASE: Final = 8_000_000

_START: Final = re.compile(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) ", re.MULTILINE)

#: One at a time, whoever asks: two clones at once would only be in each other's way.
_turn: Final = threading.Lock()
#: Guards `_readers`, and is held while bases and WAL are let go.
_guard: Final = threading.Lock()
_readers: Final[Counter[str]] = Counter()


def lsn_number(lsn: str) -> int:
    """A log sequence number as a number of bytes. Raises ValueError."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def moment() -> str:
    """Now, with microseconds, in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@contextmanager
def reading(branch: BranchRow) -> Iterator[None]:
    """While this lasts, nothing of the branch's history is let go."""
    with _guard:
        _readers[branch.timeline] += 1
    try:
        yield
    finally:
        with _guard:
            _readers[branch.timeline] -= 1


def bases_of(plane: Plane, branch: BranchRow) -> list[BaseRow]:
    """The branch's usable bases, oldest first."""
    rows = plane.store.all(BaseRow, timeline=branch.timeline)
    return [row for row in rows if base_directory(plane, row).is_dir()]


def base_directory(plane: Plane, base: BaseRow) -> Path:
    """Where a base lies."""
    return plane.home.history / base.timeline / base.id


def window_start(project: ProjectRow) -> str:
    """The oldest moment that the project's restore window allows, in the form of `moment`."""
    ago = timedelta(seconds=project.history_retention_seconds)
    return (datetime.now(UTC) - ago).isoformat(timespec="microseconds")


def care_for_history(plane: Plane, project_id: str | None = None) -> None:
    """Take bases that are due and let go of what fell out of the restore window, for all root branches that run.

    A branch that sleeps writes nothing and is not woken: its bases are let go, their WAL when it wakes.
    """
    for project in plane.store.all(ProjectRow, state="ready"):
        if project_id not in {None, project.id}:
            continue
        for branch in plane.store.all(BranchRow, project_id=project.id, state="ready", parent_id=None):
            try:
                with _turn:
                    _care(plane, project, branch)
            except (EmbeddedError, OSError) as error:
                log.warning("the history of %s is not complete: %s", branch.id, error)
    with _turn:
        forget_strangers(plane)


def keep_history(plane: Plane, stop: threading.Event) -> threading.Thread:
    """Call `care_for_history` from time to time, and when wanted, until ``stop`` is set (and it is wanted)."""

    def run() -> None:
        while not stop.is_set():
            plane.history_wanted.wait(_CARE_SECONDS)
            plane.history_wanted.clear()
            if stop.is_set():
                return
            try:
                care_for_history(plane)
            except Exception:  # noqa: BLE001 - the next look may find the trouble gone
                if not stop.is_set():
                    log.exception("caring for histories broke")

    thread = threading.Thread(target=run, name="history", daemon=True)
    thread.start()
    return thread


def forget_history(plane: Plane, timeline: str) -> None:
    """Remove a timeline's bases; what is gone already is fine."""
    remove_directory(plane.home.history / timeline)
    plane.store.remove(BaseRow, timeline=timeline)


def forget_strangers(plane: Plane) -> None:
    """Remove bases that no row knows, and those of timelines that are no branch's: what a death leaves."""
    timelines = {branch.timeline for branch in plane.store.all(BranchRow)}
    for row in plane.store.all(BaseRow):
        if row.timeline not in timelines or not base_directory(plane, row).is_dir():
            plane.store.remove(BaseRow, id=row.id)
    known = {base_directory(plane, row) for row in plane.store.all(BaseRow)}
    for folder in plane.home.history.iterdir():
        for directory in folder.iterdir():
            if directory not in known:
                remove_directory(directory)
        if not any(folder.iterdir()):
            remove_directory(folder)


def _care(plane: Plane, project: ProjectRow, branch: BranchRow) -> None:
    postmaster = postmaster_of(plane, branch)
    if not project.history_retention_seconds and not plane.store.one(BaseRow, timeline=branch.timeline):
        return
    if postmaster.pid() is None:
        with _guard:
            if project.history_retention_seconds and not _readers[branch.timeline]:
                _let_go_asleep(plane, project, branch)
        return
    with postmaster.superuser() as connection:
        if not project.history_retention_seconds:
            forget_history(plane, branch.timeline)
            _drop_slot(connection)
            return
        if not _ensure_slot(connection):
            # The slot fell behind what the disk may hold, or the directory is new: older bases lead nowhere.
            forget_history(plane, branch.timeline)
        row = connection.execute(
            "select pg_current_wal_lsn()::text, (select sum(pg_database_size(oid)) from pg_database)::bigint"
        ).fetchone()
        head, size = (lsn_number(row[0]), int(row[1])) if row else (0, 0)
    if shares_blocks(plane.home.branches):
        between, most = _WAL_BETWEEN, _BASES_SHARED
    else:
        between = min(max(_WAL_BETWEEN, size), _WAL_BETWEEN_MOST)
        most = _BASES_COPIED if size < _LARGE else _BASES_LARGE
    if _is_due(project, bases_of(plane, branch), head, between):
        _take(plane, branch)
    with _guard:
        if not _readers[branch.timeline]:
            _let_go(plane, project, branch, head, most)


def _is_due(project: ProjectRow, bases: list[BaseRow], head: int, between: int) -> bool:
    if not bases:
        return True
    written = head - lsn_number(bases[-1].start_lsn)
    half = timedelta(seconds=project.history_retention_seconds / 2)
    old = datetime.fromisoformat(bases[-1].taken_at) < datetime.now(UTC) - half
    return written > between or (old and written > _WORTH_A_BASE)


def _take(plane: Plane, branch: BranchRow) -> None:
    """Clone the branch as a base. Nobody is kept waiting: when the branch goes meanwhile, the base goes too."""
    project = plane.store.one(ProjectRow, id=branch.project_id)
    if project is None:
        return
    name = base_id()
    folder = plane.home.history / branch.timeline
    make_directory(folder, plane.home.account)
    half = plane.postmaster_in(folder / f"half-{name}", project)
    try:
        stop_lsn = branch_at_head(postmaster_of(plane, branch), half, gentle=True)
        label = half.data / "backup_label"
        start = _START.search(label.read_text()) if label.exists() else None
        if start is None or not stop_lsn:
            raise CloneFailed(f"branch {branch.id} fell asleep while its base was taken")
        half.directory.replace(folder / name)
        with plane.store.transaction():
            if plane.store.one(BranchRow, timeline=branch.timeline) is None:
                raise CloneFailed(f"branch {branch.id} went while its base was taken")
            plane.store.add(
                BaseRow(
                    id=name,
                    timeline=branch.timeline,
                    start_lsn=start[1],
                    stop_lsn=stop_lsn,
                    taken_at=moment(),
                )
            )
    except BaseException:
        remove_directory(half.directory)
        remove_directory(folder / name)
        raise


def _let_go(plane: Plane, project: ProjectRow, branch: BranchRow, head: int, most: int) -> None:
    """Drop bases that the window has passed or that are too many, then the WAL before the oldest that stays."""
    current = plane.store.one(BranchRow, id=branch.id, timeline=branch.timeline)
    postmaster = postmaster_of(plane, branch)
    bases = bases_of(plane, branch)
    if current is None or not bases or postmaster.pid() is None:
        return
    kept = _kept(bases, window_start(project), head, most)
    _remove_others(plane, branch, kept)
    with postmaster.superuser() as connection:
        connection.execute(
            "select pg_replication_slot_advance(slot_name, %(lsn)s) from pg_replication_slots"
            " where slot_name = %(slot)s and restart_lsn < %(lsn)s::pg_lsn",
            {"lsn": kept[0].start_lsn, "slot": SLOT},
        )


def _let_go_asleep(plane: Plane, project: ProjectRow, branch: BranchRow) -> None:
    """Drop bases that the window has passed, of a branch that writes nothing."""
    bases = bases_of(plane, branch)
    if bases:
        head = lsn_number(bases[-1].stop_lsn)
        _remove_others(plane, branch, _kept(bases, window_start(project), head, len(bases)))


def _remove_others(plane: Plane, branch: BranchRow, kept: list[BaseRow]) -> None:
    known = {base.id for base in kept}
    for base in plane.store.all(BaseRow, timeline=branch.timeline):
        if base.id not in known:
            remove_directory(base_directory(plane, base))
            plane.store.remove(BaseRow, id=base.id)
    for directory in (plane.home.history / branch.timeline).iterdir():
        if directory.name not in known:
            remove_directory(directory)


def _kept(bases: list[BaseRow], start: str, head: int, most: int) -> list[BaseRow]:
    """Those that the window and the bound of WAL leave, thinned so that the ones that stay lie evenly."""
    reached = [number for number, base in enumerate(bases) if base.taken_at <= start]
    kept = bases[reached[-1] if reached else 0 :]
    while len(kept) > 1 and head - lsn_number(kept[0].start_lsn) > _WAL_KEPT:
        kept = kept[1:]
    while len(kept) > most:
        at = [lsn_number(base.start_lsn) for base in kept]
        _, number = min((at[each + 1] - at[each - 1], each) for each in range(1, len(kept) - 1))
        kept = [*kept[:number], *kept[number + 1 :]]
    return kept


def _ensure_slot(connection: Superuser) -> bool:
    """Make the slot that keeps WAL; False when there was none to lean on."""
    row = connection.execute(
        "select wal_status from pg_replication_slots where slot_name = %s", (SLOT,)
    ).fetchone()
    if row is not None and row[0] != "lost":
        return True
    _drop_slot(connection)
    connection.execute("select pg_create_physical_replication_slot(%s, true)", (SLOT,))
    return False


def _drop_slot(connection: Superuser) -> None:
    try:
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s",
            (SLOT,),
        )
    except psycopg.errors.UndefinedObject:
        return


def assert_has_history(branch: BranchRow) -> None:
    """Refuse points of branches that keep none. Raises Refusal 422."""
    if not branch.is_root:
        raise Refusal(
            422,
            f"branch {branch.id} is a child branch: only root branches have a history to go back in; use its head",
        )
