"""Our generator against the peers that can be installed here: two schemas with ten differences, side by side.

All in one run, interleaved, on the same two servers. Prints for each size and generator the best of several runs: the
seconds of its process from start to end, the client's processor seconds and its largest memory. Peers come from their
registries into a directory of this run; who cannot be installed is named. Everything is removed afterwards.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peers import PATIENCE_SECONDS, Generator, installed, ours
from schemas import CHANGES, pair
from servers import load, two_servers

_MEGABYTE = (
    1024 if sys.platform == "linux" else 1024 * 1024
)  # getrusage(2): kilobytes on Linux, bytes on macOS


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run: wall-clock seconds, the client's processor seconds, its largest resident size in megabytes."""

    seconds: float
    processor: float
    memory: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", default="100,1000,5000", help="comma separated (default %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each; the best counts (default %(default)s)")
    parser.add_argument("--postgres", type=int, default=16, help="major version (default %(default)s)")
    parser.add_argument("--no-peers", action="store_true", help="only ours; nothing is downloaded")
    parser.add_argument("--only", help="generators whose names begin so, comma separated (default: all)")
    parser.add_argument("--peers", type=Path, help="where peers are installed, and stay (default: nowhere)")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where the databases live meanwhile",
    )
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-peers-", dir=chosen.directory) as scratch:
        peers, absent = ([], []) if chosen.no_peers else installed((chosen.peers or Path(scratch)).absolute())
        asked = tuple(chosen.only.split(",")) if chosen.only else ("",)
        generators = [each for each in (ours(), *peers) if each.name.startswith(asked)]
        for each in absent:
            print(f"absent: {each}")
        best: dict[str, dict[int, Measured]] = {}
        sizes = [int(each) for each in chosen.tables.split(",")]
        with two_servers(chosen.postgres, chosen.directory) as (first, second):
            for tables in sizes:
                before, after = pair(tables)
                base, goal = load(first, f"s{tables}", before), load(second, f"s{tables}", after)
                one_size(tables, (base, goal), generators, chosen.runs, Path(scratch), best)
    growth(best, sizes)
    return 0


def one_size(
    tables: int,
    urls: tuple[str, str],
    generators: list[Generator],
    runs: int,
    scratch: Path,
    best: dict[str, dict[int, Measured]],
) -> None:
    """Measure every generator on one pair of databases, in turn, and print the best of each."""
    failed: dict[str, str] = {}
    for _ in range(runs):
        for each in generators:
            if each.name in failed:
                continue
            found = once(each, urls, scratch)
            if isinstance(found, str):
                failed[each.name] = found
            elif (
                known := best.setdefault(each.name, {}).get(tables)
            ) is None or found.seconds < known.seconds:
                best[each.name][tables] = found
    load_average = os.getloadavg()[0]
    print(
        f"\n{tables:,} tables, {len(CHANGES)} changes; best of {runs};"
        f" load {load_average:.0f} on {os.cpu_count()} cores"
    )
    print(f"{'':>18}  {'wall':>8}  {'processor':>9}  {'memory':>8}  {'vs ours':>7}")
    mine = best.get("preview", {}).get(tables)
    for each in generators:
        if each.name in failed:
            print(f"{each.name:>18}  {failed[each.name]}")
            continue
        found = best[each.name][tables]
        ratio = f"{found.seconds / mine.seconds:>6.1f}x" if mine else ""
        print(
            f"{each.name:>18}  {found.seconds:>6.2f} s  {found.processor:>7.2f} s  {found.memory:>5.0f} MB  {ratio}",
            flush=True,
        )


def once(generator: Generator, urls: tuple[str, str], scratch: Path) -> Measured | str:
    """One run, or why it failed."""
    out, err = scratch / "out", scratch / "err"
    with out.open("wb") as output, err.open("wb") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*generator.command(*urls, scratch / "plan")], stdout=output, stderr=errors, cwd=scratch
        )
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            if time.perf_counter() - begun > PATIENCE_SECONDS:
                process.kill()
                os.wait4(process.pid, 0)
                return f"gave up after {PATIENCE_SECONDS} s"
            time.sleep(0.005)
        seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)  # wait4 took it from Popen
    if process.returncode not in generator.accepted:
        said = err.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        return f"failed ({process.returncode}): {said[-1][:100]}"
    return Measured(
        seconds=seconds, processor=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss / _MEGABYTE
    )


def growth(best: dict[str, dict[int, Measured]], sizes: Sequence[int]) -> None:
    """How much longer the largest size takes than the one before it: linear is the ratio of the sizes."""
    if len(sizes) < 2:
        return
    smaller, larger = sizes[-2:]
    print(f"\ngrowth from {smaller:,} to {larger:,} tables (linear: {larger / smaller:.1f}x)")
    for name, found in best.items():
        if smaller in found and larger in found:
            few, many = found[smaller], found[larger]
            print(
                f"{name:>18}  time {many.seconds / few.seconds:.1f}x  memory {many.memory / few.memory:.1f}x"
            )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
