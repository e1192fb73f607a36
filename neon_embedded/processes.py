"""Postmasters as processes: found by their data directory, told from strangers, ended. Imports no database driver."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from neon_embedded.errors import ComputeFailed
from neon_embedded.segments import forget_segments

#: Our own children, so that an ended one is told from a living one (an unwaited child still has a pid).
_children: Final[dict[int, "subprocess.Popen[bytes]"]] = {}


def remember_child(process: "subprocess.Popen[bytes]") -> None:
    """Note a child of ours."""
    _children[process.pid] = process


def forget_child(process: "subprocess.Popen[bytes]") -> None:
    """A child of ours ended and was waited for."""
    _children.pop(process.pid, None)


def pid_file(data: Path) -> list[str]:
    """The lines of postmaster.pid: pid, data directory, start time, port, socket directory, address, key, state."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def running(data: Path) -> int | None:
    """The process id of this data directory's postmaster; None when none runs, whatever an old file says."""
    with suppress(IndexError, ValueError):
        number = int(pid_file(data)[0])
        if _runs_in(number, data):
            return number
    return None


def forget_dead_postmaster(data: Path, *, timeout_seconds: float = 30) -> None:
    """Remove a dead postmaster's pid file where PostgreSQL would take it for a living one's.

    PostgreSQL refuses to start when the pid exists: as a stranger that got the number, or as a corpse that nobody
    buries (a container's first process may not). Otherwise the file is left: PostgreSQL uses it to look for
    backends of the dead postmaster, so here we do that look ourselves.

    Raises:
        ComputeFailed: a backend of the dead postmaster does not end.
    """
    try:
        os.kill(int(pid_file(data)[0]), 0)
    except (IndexError, ValueError, ProcessLookupError):
        return
    except PermissionError:
        pass
    deadline = time.monotonic() + timeout_seconds
    while _backends(data):
        if time.monotonic() > deadline:
            raise ComputeFailed(
                f"processes of the dead postmaster of {data} do not end", hint="end them by hand"
            )
        time.sleep(0.02)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _backends(data: Path) -> list[int]:
    """Processes that work in the data directory, as all of PostgreSQL's do; only Linux tells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").samefile(data):
                found.append(int(entry.name))
    return found


def stop_postmaster(
    directory: Path, *, wait_for_checkpoint: bool = True, timeout_seconds: float = 60
) -> None:
    """End the postmaster of ``directory/data`` and its sessions; none running is fine.

    Args:
        directory: the branch's directory.
        wait_for_checkpoint: shut down cleanly; False for what is deleted.
        timeout_seconds: before a harder signal is used.

    Raises:
        ComputeFailed: it does not even end by SIGKILL.
    """
    data = directory / "data"
    pid = running(data)
    if pid is None:
        forget_segments(data, pid_file(data))
        return
    steps = [signal.SIGINT] if wait_for_checkpoint else []
    for number in [*steps, signal.SIGQUIT, signal.SIGKILL]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if not alive(pid):
                _children.pop(pid, None)
                forget_segments(data, pid_file(data))
                return
            time.sleep(0.01)
    raise ComputeFailed(f"the postmaster {pid} of {directory} does not end", hint="look at the process")


def alive(pid: int) -> bool:
    """Whether a process has this id and is not just a corpse."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # a zombie that its new parent has not buried yet
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def _runs_in(pid: int, data: Path) -> bool:
    """Whether the process is the postmaster of this data directory (a pid may have been given to another)."""
    if not alive(pid):
        return False
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cwd").samefile(data)
        except OSError:
            return False
    shown = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(data) in shown.stdout
