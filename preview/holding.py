"""Where production's address sends its visitors, kept in a file; and a watchdog that lets held visitors go on.

Run as a program, `holding.py FOLDER TARGET SECONDS`: it says that it is there, and when its standard input is closed
or the time is over while visitors are held, it sends them to TARGET: whoever held them may be dead. Standard library
only.
"""

import fcntl
import os
import select
import sys
from pathlib import Path

UPSTREAM = "upstream"
#: A socket that nobody makes: Caddy tries again and again, and a request waits instead of failing.
NOBODY = "unix//nonexistent/preview-holds-its-visitors"


def read(folder: Path) -> str | None:
    """Where requests go; None before the first version."""
    try:
        return (folder / UPSTREAM).read_text(encoding="ascii") or None
    except FileNotFoundError:
        return None


def write(folder: Path, target: str, *, only_if: str | None = None) -> bool:
    """Send all requests that begin from now on there.

    Args:
        folder: of the file.
        target: where to.
        only_if: nothing is done when it does not say this.
    """
    lock = os.open(folder / f"{UPSTREAM}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if only_if is not None and read(folder) != only_if:
            return False
        new = folder / f"{UPSTREAM}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(target)  # no line end: it would become part of the address
            file.flush()
            if target != NOBODY:  # a hold is over when the machine is; nobody waits for the disk
                os.fsync(descriptor)
        new.replace(folder / UPSTREAM)
        return True
    finally:
        os.close(lock)


def main(arguments: list[str]) -> int:
    """Wait for the end of whoever holds."""
    folder, target, seconds = Path(arguments[0]), arguments[1], float(arguments[2])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    select.select([0], [], [], seconds)
    write(folder, target, only_if=NOBODY)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
