"""Copying a data directory: blocks are shared where the file system can, else copied. Knows no SQL, no API."""

import errno
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from neon_embedded.account import Account
from neon_embedded.errors import CloneFailed

#: ioctl of linux/fs.h: share all blocks of another file (xfs, btrfs, bcachefs, zfs).
_FICLONE: Final = 0x40049409
#: What a copy leaves free: the parent's WAL may grow to max_wal_size.
_RESERVE_BYTES: Final = 256_000_000
#: What a gentle copy lets wait for the disk at once.
_PIECE_BYTES: Final = 16_000_000
#: How the folder of a trial begins, which a process that was killed leaves.
TRIAL: Final = ".shares-"
_CANNOT_SHARE: Final = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM}

#: Content that must not reach a child (Postgres docs, "Making a base backup using the low level API"; and
#: reference: embedded-branching.md, traps). The directories themselves must be there, empty.
_EMPTY: Final = {
    "pg_replslot",
    "pg_stat_tmp",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_subtrans",
}
_LEAVE: Final = {
    "postmaster.pid",
    "postmaster.opts",
    "backup_label",
    "backup_label.old",
    "backup_manifest",
    "tablespace_map",
    "tablespace_map.old",
    "standby.signal",
    "recovery.signal",
    "current_logfiles",
    "postgresql.auto.conf",
    "postgresql.auto.conf.tmp",
    "pg_internal.init",
}


def clone_directory(
    source: Path, target: Path, *, account: Account, with_wal: bool, gentle: bool = False
) -> None:
    """Copy a data directory to a new one.

    Args:
        source: the parent's PGDATA; it may be in use, inside a backup window.
        target: the child's PGDATA; must not exist.
        account: who owns the copy.
        with_wal: also the contents of pg_wal (of a directory that was cleanly shut down).
        gentle: where blocks are copied, write them to the disk piece by piece: it takes longer, and whoever commits
            meanwhile does not wait behind gigabytes.

    Raises:
        CloneFailed: disk full, a tablespace outside the directory, or any other failure; the caller removes
            what is there.
    """
    copy = _copier(account, blocks_are_copied=lambda: _assert_room(source, target), gentle=gentle)

    def walk(here: Path, there: Path, *, top: bool) -> None:
        there.mkdir(mode=0o700)
        account.own(there)
        with os.scandir(here) as entries:
            for entry in entries:
                name = entry.name
                if name in _LEAVE or name.startswith(("pgsql_tmp", "pg_internal.init.")):
                    continue
                if entry.is_symlink():
                    raise CloneFailed(
                        f"{entry.path} points outside of the branch's directory",
                        hint="tablespaces cannot be branched: move their tables to pg_default, and drop them",
                    )
                if entry.is_dir():
                    child = there / name
                    if (top and name in _EMPTY) or (top and name == "pg_wal" and not with_wal):
                        child.mkdir(mode=0o700)
                        account.own(child)
                    else:
                        walk(Path(entry.path), child, top=False)
                elif entry.is_file():
                    copy(Path(entry.path), there / name)

    try:
        walk(source, target, top=True)
        auto = target / "postgresql.auto.conf"
        auto.touch(mode=0o600)
        account.own(auto)
    except OSError as error:
        raise clone_error(error) from None


def clone_file(source: Path, target: Path, account: Account) -> None:
    """Copy one file; an existing target is replaced. Raises CloneFailed."""
    target.unlink(missing_ok=True)
    try:
        _copier(account)(source, target)
    except OSError as error:
        raise clone_error(error) from None


def clone_error(error: OSError) -> CloneFailed:
    """The error for a failed copy, with what a person can do."""
    hint = (
        "free some space; nothing of the branch was left" if error.errno == errno.ENOSPC else "see the disk"
    )
    return CloneFailed(f"the branch's files could not be copied: {error.strerror}", hint=hint)


def shares_blocks(directory: Path) -> bool:
    """Whether copies inside of ``directory`` share their blocks: found by trying."""
    if sys.platform == "darwin":
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=TRIAL) as folder:
            Path(folder, "a").write_bytes(b"x" * 4096)
            return _clonefile(Path(folder, "a"), Path(folder, "b"))
    # Files without names: nothing is left of them, however we end.
    with (
        tempfile.TemporaryFile(dir=directory.parent) as source,
        tempfile.TemporaryFile(dir=directory.parent) as target,
    ):
        source.write(b"x" * 4096)
        source.flush()
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError:
            return False
    return True


def remove_directory(path: Path) -> None:
    """Remove a directory with all in it; gone is fine. Raises OSError when something stays."""
    for _ in range(3):
        # A backend that is just ending may still write a file.
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
    if path.exists():
        shutil.rmtree(path)


def used_bytes(directory: Path) -> int:
    """Bytes of the blocks of everything below a directory; what goes away meanwhile is not there."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_blocks * 512
    return total


def _assert_room(source: Path, target: Path) -> None:
    """Refuse a copy that would fill the disk: the parent writes to the same one, and its WAL must go on."""
    needed = 0
    for directory, _, names in os.walk(source):
        for name in names:
            with suppress(FileNotFoundError):
                needed += Path(directory, name).lstat().st_blocks * 512
    room = os.statvfs(target.parent)
    free = room.f_bavail * room.f_frsize
    if free < needed + _RESERVE_BYTES:
        raise CloneFailed(
            f"the disk has {free // 1_000_000} MB free; a copy of {needed // 1_000_000} MB and"
            f" {_RESERVE_BYTES // 1_000_000} MB for the parent's WAL do not fit",
            hint="free some space, or keep PREVIEW_HOME on xfs, btrfs or APFS, where branches share blocks",
        )


def _nothing() -> None:
    pass


def _copier(
    account: Account, *, blocks_are_copied: Callable[[], None] = _nothing, gentle: bool = False
) -> Callable[[Path, Path], None]:
    """A function that copies one file. It finds out once whether blocks can be shared, and tells when not."""
    shares = True

    def copy(source: Path, target: Path) -> None:
        nonlocal shares
        try:
            reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # dropped since: the WAL of the window says so too
        try:
            if shares and sys.platform == "darwin":
                shares = _clonefile(source, target)
                if shares:
                    return
                blocks_are_copied()
            writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if account.switch:
                    os.fchown(writer, account.uid, account.gid)
                if shares and sys.platform == "linux":
                    try:
                        fcntl.ioctl(writer, _FICLONE, reader)
                    except OSError as error:
                        if error.errno not in _CANNOT_SHARE:
                            raise
                        shares = False
                        blocks_are_copied()
                    else:
                        return
                _copy_blocks(reader, writer, gentle=gentle)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    return copy


def _copy_blocks(reader: int, writer: int, *, gentle: bool) -> None:
    if sys.platform == "linux":
        piece = _PIECE_BYTES if gentle else 1 << 30
        try:
            while (copied := os.copy_file_range(reader, writer, piece)) > 0:
                if gentle and copied == piece:
                    os.fdatasync(writer)
        except OSError as error:
            if error.errno not in _CANNOT_SHARE:
                raise
        else:
            return
    while block := os.read(reader, 1 << 20):
        view = memoryview(block)
        while view:
            view = view[os.write(writer, view) :]


def _clonefile(source: Path, target: Path) -> bool:
    """clonefile(2) of macOS (APFS). False when this file system cannot."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.clonefile(os.fsencode(source), os.fsencode(target), 0) == 0:
        return True
    number = ctypes.get_errno()
    if number in {*_CANNOT_SHARE, 45}:  # 45: ENOTSUP of macOS
        return False
    raise OSError(number, os.strerror(number), str(source))
