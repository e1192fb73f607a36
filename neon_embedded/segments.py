"""Shared memory of the kernel's that a postmaster which was killed leaves: removed when it is surely its own.

PostgreSQL removes it when it starts there again. Where it never does, nobody would: the segment that postmaster.pid
names, and in /dev/shm the list of dynamic segments that it leads to, with all on that list. What does not look exactly
as PostgreSQL 14 to 18 lay it out on 64-bit Linux is left alone.
"""

import ctypes
import os
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_TABLE: Final = Path("/proc/sysvipc/shm")
_PATIENCE_SECONDS: Final = 5.0
_SHARED: Final = Path("/dev/shm")  # noqa: S108 - where Linux keeps what shm_open made
_IPC_RMID: Final = 0
_SHM_RDONLY: Final = 0o10000
#: magic, creator's pid, size, free offset, handle of the list, an address; device and inode of the data directory.
_HEADER: Final = struct.Struct("=iiQQIxxxxQQQ")
_MAGIC: Final = 679834894
#: magic, items, room for items; then each item: handle, users, first page, pages, an address, whether it is pinned.
_LIST: Final = struct.Struct("=III4x")
_LIST_MAGIC: Final = 0x9A503D32
_ITEM: Final = struct.Struct("=IIQQQ?7x")


def forget_segments(data: Path, pid_file: Sequence[str]) -> None:
    """Remove the shared memory of a data directory's dead postmaster; none there, or not surely its own, is fine.

    Args:
        data: PGDATA; nobody starts PostgreSQL there meanwhile.
        pid_file: the lines of postmaster.pid, which a postmaster that ended properly has removed.
    """
    if len(pid_file) < 7 or not _TABLE.exists():
        return
    try:
        creator, segment = int(pid_file[0]), int(pid_file[6].split()[1])
        status = data.stat()
    except (IndexError, ValueError, OSError):
        return
    if not _unused(segment, creator):
        return
    header = _header(segment)
    # Numbers are given anew: this mark is what PostgreSQL itself believes.
    if header is None or header[0] != _MAGIC or header[-2:] != (status.st_dev, status.st_ino):
        return
    _forget_list(header[4], status.st_uid)
    _library().shmctl(segment, _IPC_RMID, None)


def _unused(segment: int, creator: int) -> bool:
    """Whether that process made the segment, as PostgreSQL makes it, and nobody has it: backends need a moment."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := _seen(segment)) is not None and (found["size"], found["cpid"]) == (_HEADER.size, creator):
        if not found["nattch"]:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return False


def _seen(segment: int) -> dict[str, int] | None:
    with suppress(OSError, ValueError):
        names, *rows = [line.split() for line in _TABLE.read_text().splitlines()]
        for row in rows:
            each = dict(zip(names, map(int, row), strict=False))
            if each["shmid"] == segment:
                return each
    return None


def _header(segment: int) -> tuple[int, ...] | None:
    library = _library()
    library.shmat.restype = ctypes.c_void_p
    address = library.shmat(segment, None, _SHM_RDONLY)
    if address in (None, ctypes.c_void_p(-1).value):
        return None
    try:
        return _HEADER.unpack(ctypes.string_at(address, _HEADER.size))
    finally:
        library.shmdt(ctypes.c_void_p(address))


def _forget_list(handle: int, owner: int) -> None:
    """Remove the dynamic segments that a list names, and the list."""
    file = _SHARED / f"PostgreSQL.{handle}"
    try:
        content = file.read_bytes()
        magic, items, room = _LIST.unpack_from(content)
    except (OSError, struct.error):
        return
    whole = magic == _LIST_MAGIC and items <= room and len(content) == _LIST.size + room * _ITEM.size
    if not whole or file.lstat().st_uid != owner:
        return
    for number in range(items):
        each, users, *_ = _ITEM.unpack_from(content, _LIST.size + number * _ITEM.size)
        # An odd one lies in the main segment, which ended with its last process.
        if users and not each & 1:
            _unlink(_SHARED / f"PostgreSQL.{each}", owner)
    _unlink(file, owner)


def _unlink(file: Path, owner: int) -> None:
    with suppress(OSError):
        if file.lstat().st_uid == owner:
            os.unlink(file)  # noqa: PTH108 - beside lstat: never follows


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
