"""Branching through the embedded Neon against pg_basebackup, TEMPLATE and pg_dump | pg_restore, side by side.

All in one run, interleaved, on the same data, while the parent is written to. Prints for each: seconds from the wish
to the copy's first answer, the disk it takes, and the parent's longest transfer meanwhile (beside one of a quiet
span). Every copy is checked to be whole. Makes a home of its own below the given directory and removes it; touches
no other server.
"""

import argparse
import fcntl
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import parent as parents
import reflink
from ways import WAYS, Way

from neon_client import NeonClient
from neon_embedded import ensure_running, find_binaries, stop
from neon_embedded.account import postgres_account

FICLONE = 0x40049409  # linux/fs.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One copy: seconds until its first answer, bytes on the disk, the parent's longest transfer in seconds."""

    seconds: float
    disk: int
    stall: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", default="100,1000", help="megabytes, comma separated (default %(default)s)"
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="of each; the median counts (default %(default)s)"
    )
    parser.add_argument("--rate", type=int, default=200, help="transfers per second (default %(default)s)")
    parser.add_argument("--ways", default=",".join(way.name for way in WAYS), help="which (default: all)")
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()), help="where the data lives"
    )
    parser.add_argument(
        "--xfs",
        type=int,
        metavar="GB",
        help="on a new xfs of this size there, whose files share blocks (root)",
    )
    chosen = parser.parse_args(arguments)
    if not chosen.xfs:
        run(chosen, chosen.directory)
        return 0
    if reason := reflink.why_not():
        print(f"not measured on xfs: {reason}")
        return 0
    with reflink.xfs(chosen.directory, chosen.xfs) as mounted:
        run(chosen, mounted)
    return 0


def run(chosen: argparse.Namespace, directory: Path) -> None:
    """All sizes and ways in one directory; prints a table for each size."""
    kinds = [way for way in WAYS if way.name in chosen.ways.split(",")]
    home = Path(tempfile.mkdtemp(prefix="bench-branching-", dir=directory))
    home.chmod(0o755)  # the user who runs PostgreSQL must be able to enter
    try:
        running = ensure_running(home / "home")
        programs = find_binaries(None, running.home).bin_dir
        with NeonClient(api_key=running.api_key, base_url=running.base_url) as neon:
            for size in (int(each) for each in chosen.sizes.split(",")):
                with parents.made(running, neon, size) as parent:
                    report(measure(parent, kinds, programs, home, chosen.runs, chosen.rate), size)
    finally:
        stop(home / "home")
        shutil.rmtree(home)


def measure(
    parent: parents.Parent, kinds: Sequence[type[Way]], programs: Path, home: Path, runs: int, rate: int
) -> dict[str, list[Measured]]:
    """All measurements by way, and those of a quiet span."""
    found: dict[str, list[Measured]] = {
        "(nothing)": [],
        "(CHECKPOINT)": [],
        **{kind.name: [] for kind in kinds},
    }
    scratch = home / "scratch"
    scratch.mkdir(mode=0o700, exist_ok=True)
    postgres_account().own(scratch)
    for _ in range(runs):
        with parents.Writer(parent, per_second=rate) as writer:
            begun = time.perf_counter()
            time.sleep(2)
            quiet = writer.longest_stall(begun, time.perf_counter())
            found["(nothing)"].append(Measured(seconds=0, disk=0, stall=quiet))
            begun = time.perf_counter()
            parent.checkpoint()
            ended = time.perf_counter()
            found["(CHECKPOINT)"].append(
                Measured(seconds=ended - begun, disk=0, stall=writer.longest_stall(begun, ended))
            )
        for kind in kinds:
            found[kind.name].append(once(kind(parent, programs, scratch), parent, rate))
    return found


def once(way: Way, parent: parents.Parent, rate: int) -> Measured:
    """One copy, checked and removed."""
    way.prepare()
    os.sync()
    free = free_bytes(way.scratch)
    with ExitStack() as stack:
        stack.callback(way.remove)
        with ExitStack() as writing:
            writer = None if way.offline else writing.enter_context(parents.Writer(parent, per_second=rate))
            if writer:
                time.sleep(1)
            begun = time.perf_counter()
            way.run()
            ended = time.perf_counter()
            # A way that needs the parent for itself stalls everybody for as long as it takes.
            stall = writer.longest_stall(begun, ended) if writer else ended - begun
        os.sync()
        # du cannot tell shared blocks; the file system can, if nobody else writes to it.
        disk = free - free_bytes(way.scratch) if shares_blocks(way.scratch) else way.disk()
        parents.assert_whole(way.uri, parent.rows)
        return Measured(seconds=ended - begun, disk=disk, stall=stall)


def free_bytes(directory: Path) -> int:
    """What is free on its file system."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def shares_blocks(directory: Path) -> bool:
    """Whether two files can share blocks here, found by trying (Linux: FICLONE)."""
    with tempfile.TemporaryFile(dir=directory) as one, tempfile.TemporaryFile(dir=directory) as other:
        one.write(b"x" * 4096)
        one.flush()
        try:
            fcntl.ioctl(other.fileno(), FICLONE, one.fileno())
        except OSError:
            return False
    return True


def report(found: dict[str, list[Measured]], size: int) -> None:
    """A table with medians; the last column compares with the branch."""
    branch = statistics.median(each.seconds for each in found["branch"]) if "branch" in found else 0.0
    runs = len(next(iter(found.values())))
    load = os.getloadavg()[0]
    print(f"\n{size} MB, medians of {runs} (stall: the worst), load {load:.1f}")
    print(f"{'':>14}  {'first answer':>12}  {'disk':>8}  {'stall':>8}  {'vs branch':>9}")
    for name, all_of_it in found.items():
        seconds = statistics.median(each.seconds for each in all_of_it)
        disk = statistics.median(each.disk for each in all_of_it)
        stall = max(each.stall for each in all_of_it)
        times = f"{seconds / branch:>8.1f}x" if branch and seconds else f"{'':>9}"
        print(
            f"{name:>14}  {seconds:>10.2f} s  {disk / 1e6:>5.0f} MB  {stall * 1000:>5.0f} ms  {times}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
