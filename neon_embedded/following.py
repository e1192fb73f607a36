"""Warm spares at work: copied in the background, following their branch, promoted for a new one. Knows no HTTP."""

import threading
import time
from contextlib import suppress
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from neon_embedded import ids
from neon_embedded.branching import branch_at_head
from neon_embedded.clone import shares_blocks
from neon_embedded.computes import Superuser, free_port, postmaster_of, project_of
from neon_embedded.errors import CloneFailed, ComputeFailed, EmbeddedError, Refusal
from neon_embedded.history import lsn_number
from neon_embedded.plane import Plane, log
from neon_embedded.points import left_at
from neon_embedded.postmaster import SUPERUSER, Postmaster
from neon_embedded.rows import BranchRow, ProjectRow, SpareRow
from neon_embedded.spares import (
    MOST,
    directory_of,
    forget_strange_spares,
    free_bytes,
    number_wanted,
    remove_spare,
    seize,
    this_boot,
)

_CARE_SECONDS: Final = 10.0
#: The branch that took a spare starts first; the next copy must not be in its way.
_GRACE_SECONDS: Final = 1.0
#: After a copy failed, nobody tries for so long.
_PAUSE_SECONDS: Final = 60.0
#: A spare that is further behind than this is slower than a copy, perhaps (88 MB took 1.1 s to replay).
_MOST_BEHIND: Final = 64_000_000
_CATCH_UP_SECONDS: Final = 10.0
_SENDER_MILLISECONDS: Final = 5_000
#: Left free beside one more copy; below this alone, spares go to make room.
_RESERVE_BYTES: Final = 512_000_000

#: One copy at a time, whoever asks.
_turn: Final = threading.Lock()
_not_before: Final[dict[str, float]] = {}


def keep_spares(plane: Plane, stop: threading.Event) -> threading.Thread:
    """Call `care_for_spares` from time to time, and when wanted, until ``stop`` is set (and it is wanted)."""

    def run() -> None:
        while not stop.is_set():
            plane.spares_wanted.wait(_CARE_SECONDS)
            plane.spares_wanted.clear()
            if stop.wait(_GRACE_SECONDS):
                return
            try:
                care_for_spares(plane)
            except Exception:  # noqa: BLE001 - the next look may find the trouble gone
                if not stop.is_set():
                    log.exception("caring for spares broke")

    thread = threading.Thread(target=run, name="spares", daemon=True)
    thread.start()
    return thread


def set_spares(plane: Plane, branch_id: str, number: int | None) -> None:
    """Ask for a number of spares of a branch; None leaves it to the rule. Raises Refusal 400, 404."""
    if number is not None and not 0 <= number <= MOST:
        raise Refusal(400, f"invalid request: spares (0 to {MOST}, or null for the rule)")
    branch = plane.store.one(BranchRow, id=branch_id)
    if branch is None:
        raise Refusal(404, f"branch not found: {branch_id}")
    plane.store.change(BranchRow, {"id": branch_id}, spares=number)
    _not_before.pop(branch.timeline, None)
    plane.spares_wanted.set()


def care_for_spares(plane: Plane) -> None:
    """Bring every branch to the number of spares that it should have, and let go of what is broken.

    A branch that sleeps is left alone, and what it has stays.
    """
    with _turn:
        timelines = {branch.timeline for branch in plane.store.all(BranchRow)}
        for spare in plane.store.all(SpareRow):
            if spare.timeline not in timelines and seize(plane, spare):
                remove_spare(plane, spare)
        forget_strange_spares(plane)
        shares = shares_blocks(plane.home.branches)
        for project in plane.store.all(ProjectRow, state="ready"):
            for branch in plane.store.all(BranchRow, project_id=project.id, state="ready"):
                try:
                    _care(plane, project, branch, shares=shares)
                except (EmbeddedError, OSError) as error:
                    _not_before[branch.timeline] = time.monotonic() + _PAUSE_SECONDS
                    plane.spares_trouble[branch.timeline] = str(error)
                    log.warning("branch %s has no warm spare: %s", branch.id, error)


def fill_from_spare(plane: Plane, source: BranchRow, target: Postmaster) -> str | None:
    """Make ``target`` what ``source`` is now, of a spare: promoted, shut down, and moved there.

    The caller holds the source's compute as it is (`Plane.compute`).

    Returns:
        The LSN on the source; None when no spare was ready or the one there was failed, which is told in the log.
    """
    spare = _ready(plane, source)
    if spare is None:
        return None
    standby = _postmaster(plane, spare)
    begun = time.monotonic()
    try:
        parent = postmaster_of(plane, source)
        _promote(standby, _head(parent))
        (standby.data / "postgresql.auto.conf").write_text("")
        standby.stop()
        lsn = left_at(standby)
        standby.directory.replace(target.directory)
        if parent.pid() is not None:
            with parent.superuser() as connection:
                _drop_slots(connection, [spare.slot])
    except (EmbeddedError, OSError, psycopg.Error) as error:
        log.warning("the spare %s of branch %s failed, a copy is made: %s", spare.id, source.id, error)
        return None
    else:
        log.info("branch %s was taken from its spare in %.2f s", source.id, time.monotonic() - begun)
        return lsn
    finally:
        with suppress(EmbeddedError, OSError):  # else the next look does it
            remove_spare(plane, spare)
        plane.spares_wanted.set()


def _ready(plane: Plane, source: BranchRow) -> SpareRow | None:
    """A spare that is close enough to its branch's head, taken for the caller."""
    for spare in plane.store.all(SpareRow, timeline=source.timeline, state="following"):
        try:
            behind = _behind(plane, source, _postmaster(plane, spare))
        except EmbeddedError as error:
            log.warning("the spare %s of branch %s is not used: %s", spare.id, source.id, error)
            continue
        if 0 <= behind <= _MOST_BEHIND and seize(plane, spare):
            return spare
        log.info("the spare %s of branch %s is %d bytes behind: not used", spare.id, source.id, behind)
    return None


def _behind(plane: Plane, source: BranchRow, standby: Postmaster) -> int:
    """Bytes of WAL that the standby has still to replay; negative when it is not the source's (any more).

    Of a source that sleeps it must have all: nobody would send the rest.
    """
    parent = postmaster_of(plane, source)
    if standby.pid() is None:
        raise ComputeFailed(f"{standby.directory.name} does not run")
    with standby.superuser() as connection:
        row = connection.execute("select pg_is_in_recovery(), pg_last_wal_replay_lsn()::text").fetchone()
    if row is None or not row[0] or row[1] is None:
        raise ComputeFailed(f"{standby.directory.name} does not follow")
    reached = lsn_number(row[1])
    if parent.pid() is None:
        return 0 if parent.cleanly_shut_down() and reached > lsn_number(parent.checkpoint_lsn()) else -1
    with parent.superuser() as connection:
        row = connection.execute("select pg_current_wal_insert_lsn()::text").fetchone()
    return lsn_number(row[0]) - reached if row else -1


def _head(parent: Postmaster) -> str:
    """Where all that is committed now is before."""
    if parent.pid() is None:
        return parent.checkpoint_lsn()
    with parent.superuser() as connection:
        connection.execute("set synchronous_commit = on")
        # A commit of our own: what others committed without waiting for the disk is written before it.
        connection.execute("select pg_logical_emit_message(true, 'neon_embedded', 'branch')")
        row = connection.execute("select pg_current_wal_flush_lsn()::text").fetchone()
    return str(row[0]) if row else ""


def _promote(standby: Postmaster, head: str) -> None:
    """Wait until the standby has all before ``head``, and let it go on by itself. Raises ComputeFailed."""
    with standby.superuser() as connection:
        _until(connection, f"select pg_last_wal_replay_lsn() >= '{head}'::pg_lsn", standby)
        # Not its own waiting: that looks every tenth of a second only.
        connection.execute("select pg_promote(false)")
        _until(connection, "select not pg_is_in_recovery()", standby)


def _until(connection: Superuser, question: str, standby: Postmaster) -> None:
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while True:
        row = connection.execute(question.encode()).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > deadline:
            raise ComputeFailed(f"{standby.directory.name} did not come up with its branch in time")
        time.sleep(0.001)


def _care(plane: Plane, project: ProjectRow, branch: BranchRow, *, shares: bool) -> None:
    rows = plane.store.all(SpareRow, timeline=branch.timeline)
    parent = postmaster_of(plane, branch)
    by_rule_none = branch.spares is None and (shares or not branch.is_default)
    if not rows and (branch.spares == 0 or by_rule_none):
        plane.spares_trouble.pop(branch.timeline, None)
        return
    if parent.pid() is None:
        return
    with parent.superuser() as connection:
        row = connection.execute("select sum(pg_database_size(oid))::bigint from pg_database").fetchone()
        slots = dict(
            connection.execute(
                "select slot_name, wal_status from pg_replication_slots where slot_name like 'spare\\_%'"
            ).fetchall()
        )
        size, free = int(row[0]) if row else 0, free_bytes(plane.home.spares)
        wanted = number_wanted(branch, size=size, free=free, shares=shares, has=len(rows))
        if free < _RESERVE_BYTES:
            wanted = 0
        kept: list[SpareRow] = []
        for spare in rows:
            usable = slots.get(spare.slot) in {"reserved", "extended", "unreserved"}
            if len(kept) < wanted and usable and _follow(plane, spare, parent):
                kept.append(spare)
            elif seize(plane, spare):
                log.info("the spare %s of branch %s is let go", spare.id, branch.id)
                remove_spare(plane, spare)
        known = {each.slot for each in plane.store.all(SpareRow, timeline=branch.timeline)}
        _drop_slots(connection, [name for name in slots if name not in known])
    if len(kept) >= wanted:
        plane.spares_trouble.pop(branch.timeline, None)
        return
    if time.monotonic() < _not_before.get(branch.timeline, 0.0):
        return
    if not shares and free < 2 * size + _RESERVE_BYTES:
        raise CloneFailed(
            f"the disk has {free // 1_000_000} MB free; a spare of {size // 1_000_000} MB beside room for another"
            " copy does not fit",
            hint="free some space, or ask for no spare: neon-embedded spares 0",
        )
    with plane.alone(project.id, timeout_seconds=_GRACE_SECONDS) as granted:
        pass  # whoever changes the project just now is quicker without a copy beside
    if granted:
        _take(plane, branch)
        plane.spares_trouble.pop(branch.timeline, None)
        plane.spares_wanted.set()


def _take(plane: Plane, branch: BranchRow) -> None:
    """Copy the branch and let the copy follow. Nobody waits: when the branch goes meanwhile, the spare goes too."""
    parent = postmaster_of(plane, branch)
    source_port = parent.port() or 0
    spare = SpareRow(
        id=ids.spare_id(),
        project_id=branch.project_id,
        timeline=branch.timeline,
        port=free_port(plane),
        source_port=source_port,
        boot=this_boot(),
    )
    plane.store.add(spare)
    standby = _postmaster(plane, spare)
    begun = time.monotonic()
    try:
        with parent.superuser() as connection:
            connection.execute("select pg_create_physical_replication_slot(%s, true)", (spare.slot,))
        branch_at_head(parent, standby, gentle=True)
        _aim(standby, spare, source_port)
        signal = standby.data / "standby.signal"
        signal.touch(mode=0o600)
        standby.account.own(signal)
        standby.start(port=spare.port, addresses=(), durable=False)
        with plane.store.transaction():
            here = plane.store.one(SpareRow, id=spare.id)
            if here is None or plane.store.one(BranchRow, timeline=branch.timeline, state="ready") is None:
                raise CloneFailed(f"branch {branch.id} went while its spare was made")
            plane.store.change(SpareRow, {"id": spare.id}, state="following")
    except BaseException:
        remove_spare(plane, spare)
        raise
    log.info("branch %s has a warm spare after %.1f s", branch.id, time.monotonic() - begun)


def _follow(plane: Plane, spare: SpareRow, parent: Postmaster) -> bool:
    """Make sure that a spare runs and knows where its branch is; False when it is of no use any more."""
    standby = _postmaster(plane, spare)
    port = parent.port() or 0
    try:
        if spare.source_port != port or standby.pid() is None:
            # Ours for the moment, so that nobody takes it while it is half started, and we start none that is taken.
            if not seize(plane, spare):
                return False
            _aim(standby, spare, port)
            if standby.pid() is None:
                standby.start(port=spare.port, addresses=(), durable=False)
            else:
                with standby.superuser() as connection:
                    connection.execute("select pg_reload_conf()")
            plane.store.change(SpareRow, {"id": spare.id}, source_port=port, state="following")
        with standby.superuser() as connection:
            row = connection.execute("select pg_is_in_recovery()").fetchone()
    except EmbeddedError as error:
        log.warning("the spare %s does not follow: %s", spare.id, error)
        if plane.store.one(SpareRow, id=spare.id, state="taken") is not None and standby.pid() is None:
            remove_spare(plane, spare)
        return False
    return bool(row and row[0])


def _aim(standby: Postmaster, spare: SpareRow, port: int) -> None:
    """Tell a standby whom to follow: through the socket, which nobody else can enter."""
    told = make_conninfo(
        "", host=str(standby.run_dir), port=port, user=SUPERUSER, application_name=spare.id
    ).replace("'", "''")
    auto = standby.data / "postgresql.auto.conf"
    auto.write_text(f"primary_conninfo = '{told}'\nprimary_slot_name = '{spare.slot}'\n")


def _drop_slots(connection: Superuser, names: list[str]) -> None:
    """Let go of WAL that nobody follows any more; a sender that is slow to see that its spare has ended, is ended."""
    with suppress(psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject):
        connection.execute(
            "select pg_terminate_backend(active_pid, %s) from pg_replication_slots"
            " where slot_name = any(%s) and active",
            (_SENDER_MILLISECONDS, names),
        )
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
            " where slot_name = any(%s) and not active",
            (names,),
        )


def _postmaster(plane: Plane, spare: SpareRow) -> Postmaster:
    project = project_of(plane, spare.project_id)
    return plane.postmaster_in(directory_of(plane, spare), project)
