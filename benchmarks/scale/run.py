"""What 1, 10 and 100 previews cost one machine: memory, disk, `list`, a reconcile round, a sweep; and how each grows.

Every preview is a whole one: a branch with its PostgreSQL, rehearsed and checked, its app running as a local process.
Memory is the proportional share (PSS) of the processes that were added, disk the blocks of the files that were added:
blocks that copies share count for each of them.
Run it: ``.venv/bin/python benchmarks/scale/run.py --counts 1,10,100``.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from neon_client import NeonClient
from neon_embedded import ensure_running, stop
from orchestrator.bootstrap import Assembly, assemble
from orchestrator.settings import load
from tests.acceptance.inside import Silent
from tests.acceptance.shop import Shop
from tests.acceptance.small import make_small


def pss_of(home: Path) -> int:
    """Bytes of memory of all processes that belong to this home: by their command line, directory or environment."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            where = str((process / "cwd").readlink())
            if int(process.name) != os.getpid() and (
                str(home).encode() in known or where.startswith(str(home))
            ):
                rollup = (process / "smaps_rollup").read_text()
                total += (
                    next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
                    * 1024
                )
    return total


def disk_of(home: Path) -> int:
    """Bytes of the blocks of all files below the home."""
    total = 0
    for path in home.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_blocks * 512
    return total


def timed(repeat: int, act: "object") -> float:
    """The median of some runs, milliseconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        act()  # type: ignore[operator]
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def listed(shop: Shop) -> None:
    """`preview list` as a person runs it."""
    subprocess.run(shop.command("list"), cwd=shop.folder, env=shop.env(), check=True, capture_output=True)


def measure(shop: Shop, rooms: Assembly, count: int, before: tuple[int, int]) -> None:
    """Print one line of the table."""
    memory, disk = pss_of(shop.home) - before[0], disk_of(shop.home) - before[1]
    as_command = timed(5, lambda: listed(shop))
    rows = timed(5, rooms.store.live)
    healed = rooms.healing.round()
    round_ms = timed(3, rooms.healing.round)
    sweep_ms = timed(3, rooms.sweeping.look)
    wrong = [each for each in healed if each.cannot]
    print(
        f"| {count} | {memory / count / 2**20:.1f} | {disk / count / 2**20:.1f} | {as_command:.0f} | {rows:.1f} | "
        f"{round_ms:.0f} | {round_ms / count:.1f} | {sweep_ms:.0f} | {len(wrong)} |",
        flush=True,
    )


def bring_up(shop: Shop, names: list[str], at_once: int) -> None:
    """Make these previews, several at once, each by an assembly of its own, as a team's workers do."""

    def up(name: str) -> None:
        with assemble(load(shop.folder / "preview.toml"), Silent(), wait=lambda _: True) as rooms:
            rooms.controller.up(name, answers={})

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(up, names))


def main() -> None:
    """Make the previews, measure at each count, remove everything."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--counts", default="1,10,100")
    asked.add_argument("--runtime", default="process")
    asked.add_argument("--at-once", type=int, default=3, help="how many are brought up at once")
    given = asked.parse_args()
    counts = sorted(int(each) for each in given.counts.split(","))
    root = Path(tempfile.mkdtemp(prefix="preview-scale-", dir="/var/tmp"))
    root.chmod(0o755)
    home = root / "home"
    os.environ["PREVIEW_HOME"] = str(home)
    running = ensure_running(home)
    try:
        with NeonClient(api_key=running.api_key, base_url=running.base_url) as neon:
            shop = make_small(home, neon, root / "shop", "scale", given.runtime)
            os.chdir(shop.folder)
            with assemble(load(shop.folder / "preview.toml"), Silent()) as rooms:
                before, made = (pss_of(home), disk_of(home)), 0
                print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
                print(
                    "| previews | MiB memory each | MiB disk each | `list` ms | rows ms | round ms | "
                    "round ms each | sweep ms | not right |\n|---|---|---|---|---|---|---|---|---|"
                )
                took = 0.0
                for count in counts:
                    began = time.perf_counter()
                    bring_up(shop, [f"pr-{number}" for number in range(made + 1, count + 1)], given.at_once)
                    took, made = took + time.perf_counter() - began, count
                    measure(shop, rooms, count, before)
                print(f"{made} previews brought up in {took:.0f} s, {given.at_once} at once", flush=True)
                began = time.perf_counter()
                for number in range(1, made + 1):
                    rooms.controller.discard(f"pr-{number}")
                print(f"all discarded in {time.perf_counter() - began:.0f} s, one after another")
                print(f"after discard: {len(rooms.sweeping.look().orphans)} left over")
                print(f"load {os.getloadavg()[0]:.1f}")
    finally:
        stop(home)
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
