"""A child's data directory from its parent's, without disturbing the parent. Knows no row and no API."""

import re
from typing import Any

import psycopg

from neon_embedded.clone import clone_directory, clone_error, clone_file
from neon_embedded.errors import CloneFailed
from neon_embedded.postmaster import Postmaster, make_directory

_WAL_FILE = re.compile(r"[0-9A-F]{24}")
_HISTORY_FILE = re.compile(r"[0-9A-F]{8}\.history")


def branch_at_head(parent: Postmaster, child: Postmaster, *, gentle: bool = False) -> str:
    """Make the child's data directory: the parent as it is when this ends; the child is started by the caller.

    The parent runs on: its files are copied inside a backup window, and the WAL of that window makes the copy
    a whole (Postgres docs, 26.3.4). A parent that was cleanly shut down is copied as it lies.

    Args:
        parent: running, or cleanly shut down.
        child: its directory must not hold data.
        gentle: nobody waits for the copy; the parent's writers come first.

    Returns:
        The LSN that the child is at, as Neon's ``parent_lsn``; empty when the parent did not run.

    Raises:
        CloneFailed: nothing of the parent was changed; the caller removes the child's directory.
    """
    make_directory(child.directory, child.account)
    if parent.pid() is None:
        if not parent.cleanly_shut_down():
            raise CloneFailed(f"branch {parent.directory.name} is neither running nor cleanly shut down")
        clone_directory(parent.data, child.data, account=child.account, with_wal=False)
        # Older WAL may be kept there for the parent's history; a child has its own.
        _copy_wal(parent, child, parent.first_wal_file(), "F" * 24)
        return ""
    with parent.superuser() as connection:
        # The slot keeps the window's WAL from being recycled; it ends with this session, however that ends.
        slot = f"branching_{child.directory.name}".replace("-", "_")[:63]
        connection.execute("select pg_create_physical_replication_slot(%s, true, true)", (slot,))
        connection.execute("select pg_backup_start(%s, true)", (child.directory.name,))
        clone_directory(parent.data, child.data, account=child.account, with_wal=False, gentle=gentle)
        _whole_control_file(parent, child)
        return _end_window(connection, parent, child)


def _whole_control_file(parent: Postmaster, child: Postmaster) -> None:
    """A copy that was read while PostgreSQL wrote it may be torn: its checksum tells, and then copy again."""
    for _ in range(10):
        if child.control_file_is_whole():
            return
        clone_file(parent.data / "global/pg_control", child.data / "global/pg_control", child.account)
    raise CloneFailed(f"the control file of {parent.directory.name} could not be read whole")


def _end_window(
    connection: psycopg.Connection[tuple[Any, ...]], parent: Postmaster, child: Postmaster
) -> str:
    row = connection.execute(
        "select lsn::text, labelfile, coalesce(spcmapfile, ''), pg_walfile_name(lsn) from pg_backup_stop(false)"
    ).fetchone()
    if row is None:
        raise CloneFailed("the backup window ended without a label")
    lsn, label, tablespaces, last = row
    first = re.search(r"^START WAL LOCATION: .* \(file ([0-9A-F]{24})\)$", label, re.MULTILINE)
    if tablespaces.strip():
        raise CloneFailed(
            "the parent has tablespaces outside of its directory",
            hint="tablespaces cannot be branched: move their tables to pg_default, and drop them",
        )
    if first is None:
        raise CloneFailed("the backup label names no WAL file")
    try:
        (child.data / "backup_label").write_text(label)
        child.account.own(child.data / "backup_label")
    except OSError as error:
        raise clone_error(error) from None
    _copy_wal(parent, child, first[1], last)
    return str(lsn)


def _copy_wal(parent: Postmaster, child: Postmaster, first: str, last: str) -> None:
    try:
        wanted = [
            each
            for each in (parent.data / "pg_wal").iterdir()
            if _HISTORY_FILE.fullmatch(each.name)
            or (_WAL_FILE.fullmatch(each.name) and first[8:] <= each.name[8:] <= last[8:])
        ]
    except OSError as error:
        raise clone_error(error) from None
    for each in wanted:
        clone_file(each, child.data / "pg_wal" / each.name, child.account)
