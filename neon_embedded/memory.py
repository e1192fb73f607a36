"""How much memory a compute takes: proportional set size of its processes. Changes nothing."""

import subprocess
from contextlib import suppress
from pathlib import Path


def memory_bytes(postmaster_pid: int) -> int | None:
    """Memory of a postmaster and its children, in bytes; shared pages are counted by their share. None if unknown."""
    if not Path("/proc/self").exists():
        return _resident(postmaster_pid)
    found = 0
    for entry in [Path(f"/proc/{postmaster_pid}"), *_children(postmaster_pid)]:
        with suppress(OSError, IndexError, ValueError):
            for line in (entry / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    found += int(line.split()[1]) * 1024
    return found or None


def _children(pid: int) -> list[Path]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [Path(f"/proc/{each}") for each in text.split()]


def _resident(pid: int) -> int | None:
    """Where there is no /proc (macOS): the postmaster's own resident memory and its children's."""
    shown = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False
    ).stdout
    rows = [[int(word) for word in line.split()] for line in shown.splitlines() if len(line.split()) == 3]
    return sum(rss for own, parent, rss in rows if pid in {own, parent}) * 1024 or None
