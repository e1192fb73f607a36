"""Where production's address sends its visitors, kept in a file; and a watchdog that lets held visitors go on.

Run as a program, `holding.py FOLDER TARGET SECONDS [RESCUE...]`: it says that it is there, and when its standard input
is closed or the time is over while visitors are held, it sends them to TARGET. Whoever held them says OVER at the end;
when he has said something else and is gone without that, he is dead, and RESCUE is run with what he said, before they
are let go, or afterwards when he died beyond his time. Who is stopped then (Ctrl-Z, SIGSTOP) is ended: he would come
back to what is another by then. Standard library only.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

UPSTREAM = "upstream"
#: A socket that nobody makes: Caddy tries again and again, and a request waits instead of failing.
NOBODY = "unix//nonexistent/preview-holds-its-visitors"
#: The last word of whoever held them and was not killed.
OVER = b"over\n"
#: What is to be taken back has so long at least, however late he died: visitors find nothing whole before that.
_RESCUE_SECONDS = 5.0
#: Who is looked at by a tool is stopped for a moment; who is stopped for so long waits for a person.
_STOPPED_SECONDS = 0.5
_LOOK_SECONDS = 0.05


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
            new.replace(folder / UPSTREAM)
            # Only now: visitors wait for the file, and none of them for the disk. A hold is over when the machine is.
            if target != NOBODY:
                os.fsync(descriptor)
        return True
    finally:
        os.close(lock)


def heard(seconds: float) -> tuple[bytes, bool]:
    """What was said on standard input until it was closed, or the time was over; and whether it was closed."""
    until, said = time.monotonic() + seconds, b""
    while until > time.monotonic():
        if not select.select([0], [], [], max(0.0, until - time.monotonic()))[0]:
            break
        more = os.read(0, 1 << 16)
        if not more:
            return said, True
        said += more
    return said, False


def stopped(pid: int) -> bool:
    """Whether a process stands still until somebody lets it go on; False where that cannot be seen."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except (OSError, IndexError):
        return False


def ended(pid: int) -> bool:
    """End our parent if he is stopped, and stays so; whether that was done."""
    until = time.monotonic() + _STOPPED_SECONDS
    while stopped(pid) and os.getppid() == pid:
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def main(arguments: list[str]) -> int:
    """Wait for the end of whoever holds."""
    holder = os.getppid()
    folder, target, seconds, rescue = Path(arguments[0]), arguments[1], float(arguments[2]), arguments[3:]
    until = time.monotonic() + seconds
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    said, closed = heard(seconds)
    while not closed:
        # Who only takes too long sees to the rest himself, unless he dies over it.
        if not (said and read(folder) in (NOBODY, target) and ended(holder)):
            write(folder, target, only_if=NOBODY)
        more, closed = heard(_LOOK_SECONDS)
        said += more
    # Where they go elsewhere by now, what was changed is what they need there.
    if said and not said.endswith(OVER) and rescue and read(folder) in (NOBODY, target):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                rescue, input=said, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                timeout=max(_RESCUE_SECONDS, until - time.monotonic()),
            )  # fmt: skip
    write(folder, target, only_if=NOBODY)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
