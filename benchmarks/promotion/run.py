"""A promotion under constant load, counted by its visitors: the product's, a naive one, what installable peers emit.

One shop, one machine, one run; each way gets the same change (examples/shop, version 1 to 2), the same load through the
shop's own pages, and production as it was. Run it:
``.venv/bin/python benchmarks/promotion/run.py --orders 5000000``.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from generator.peers import Generator, installed
from shop import ANSWERS, SHOP, own_home, prepare, preview

from orchestrator.bootstrap import assemble
from orchestrator.settings import find, load
from orchestrator.steps.project import NeonProject

SETTINGS = """
[release]
kind = "container"
address = "127.0.0.1:{port}"
[migration]
prove_reverse = false
"""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: when it began (seconds, wall), how long it took (ms), and why it failed, if it did."""

    began: float
    kind: str
    page: str
    ms: float
    failed: str

    @property
    def ended(self) -> float:
        return self.began + self.ms / 1000


class Silent:
    """Nobody watches."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Load:
    """The load as a process, and what it measured."""

    def __init__(self, port: int, orders: int, pause: float) -> None:
        self.requests: list[Request] = []
        self._process = subprocess.Popen(
            [
                sys.executable, str(Path(__file__).with_name("load.py")), "--port", str(port),
                "--orders", str(orders), "--customers", str(orders // 10), "--pause", str(pause),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            began, kind, page, ms, failed = json.loads(line)
            self.requests.append(Request(began=began, kind=kind, page=page, ms=ms, failed=failed))

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()


@contextmanager
def under_load(port: int, orders: int, seconds: float, pause: float) -> Iterator[tuple[Load, list[float]]]:
    """Load before, during and after the block; the block's begin and end are put into the list."""
    under = Load(port, orders, pause)
    try:
        time.sleep(2)  # the first requests find everything cold
        under.requests.clear()
        time.sleep(seconds)
        marks = [time.time()]
        yield under, marks
        marks.append(time.time())
        time.sleep(seconds)
    finally:
        under.end()


def told(name: str, under: Load, marks: list[float], note: str = "") -> None:
    """Three rows of the table, and what failed."""
    begin, end = marks
    phases = {
        "before": [each for each in under.requests if each.ended < begin],
        "during": [each for each in under.requests if each.ended >= begin and each.began <= end],
        "after": [each for each in under.requests if each.began > end],
    }
    for phase, found in phases.items():
        if not found:
            continue
        span = max(each.ended for each in found) - min(each.began for each in found)
        worst = max(found, key=lambda each: each.ms)
        failed = [each for each in found if each.failed]
        print(
            f"| {name} | {phase} | {span:.1f} | {len(found):,} | {len(found) / span:.0f} | "
            f"{statistics.median(each.ms for each in found):.0f} | {worst.ms:,.0f} ({worst.kind}) | {len(failed)} |"
        )
    why: dict[str, int] = {}
    for each in under.requests:
        if each.failed:
            why[f"{each.kind}: {each.failed}"] = why.get(f"{each.kind}: {each.failed}", 0) + 1
    if why:
        print(f"\n{name}: failed {why}\n")
    slow = sorted(phases["during"], key=lambda each: -each.ms)[:5]
    print(f"\n{name}: longest, seconds after the begin: "
          + ", ".join(f"{each.ms:.0f} ms at {each.began - begin:.2f} ({each.kind} {each.page})" for each in slow)
          + f"\n{note}\n", flush=True)  # fmt: skip


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def healthy(port: int, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
        time.sleep(0.05)
    return False


def app(version: str, uri: str, port: int) -> subprocess.Popen[bytes]:
    """The shop as a plain process, as somebody runs it who has no tool for it."""
    return subprocess.Popen(
        [sys.executable, "app.py"], cwd=SHOP / version, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": uri, "PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@contextmanager
def reader_in_the_way(uri: str, seconds: float) -> Iterator[None]:
    """A dump: a transaction that holds every table for so long, from before the promotion begins."""
    ready = threading.Event()

    def dump() -> None:
        with psycopg.connect(uri, application_name="pg_dump") as connection:
            connection.execute("set transaction isolation level repeatable read")
            connection.execute("lock table customers, orders, order_items, products in access share mode")
            connection.execute("select count(*) from products")
            ready.set()
            time.sleep(seconds)

    thread = threading.Thread(target=dump)
    thread.start()
    ready.wait()
    yield
    thread.join()


def ours(folder: Path, port: int, given: argparse.Namespace, *, dump: float = 0) -> None:
    """The product's promotion: schema and app in one act."""
    name = "preview, a dump in the way" if dump else "preview"
    with assemble(load(find(folder)), Silent()) as rooms:
        uri = rooms.project.uri(rooms.project.main.id).reveal()
    with (
        under_load(port, given.orders, given.seconds, given.pause) as (under, marks),
        reader_in_the_way(uri, dump) if dump else nullcontext(),
    ):
        marks[0] = time.time()
        done = preview(
            folder, "promote", "bench", "--allow", "deletes_data:public.customers.fax", accepted=(0, 1, 4)
        )
    waits = [line for line in done.stderr.splitlines() if "wait" in line]
    lines = waits if dump else done.stderr.splitlines()
    told(name, under, marks, f"ended with {done.returncode}\n" + "\n".join(lines[-40:]))


def by_hand(
    name: str, project: NeonProject, given: argparse.Namespace, statements: str | None, why: str = ""
) -> None:
    """A change by plain statements, then the other version: stop, start."""
    if statements is None:
        print(f"\n{name}: no statements: {why}\n")
        return
    branch = project.neon.create_branch(
        project.id, name=f"way-{name.split(maxsplit=1)[0]}", parent_id=project.main.id
    )
    try:
        uri, port = project.uri(branch.branch.id).reveal(), free_port()
        running = app("v1", uri, port)
        assert healthy(port)
        said = []
        with under_load(port, given.orders, given.seconds, given.pause) as (under, marks):
            done = subprocess.run(
                [psql(), uri, "-q", "-v", "ON_ERROR_STOP=1"], input=statements, text=True, capture_output=True,
                check=False,
            )  # fmt: skip
            said = [line for line in done.stderr.splitlines() if "ERROR" in line]
            if not done.returncode:
                running.send_signal(signal.SIGTERM)
                running.wait()
                running = app("v2", uri, port)
                said.append("healthy" if healthy(port) else "version 2 does not get healthy")
        told(name, under, marks, "; ".join(said))
        running.terminate()
        running.wait()
    finally:
        project.neon.delete_branch(project.id, branch.branch.id)


def psql() -> str:
    from neon_embedded.binaries import find_binaries

    return str(find_binaries(None, Path(os.environ["PREVIEW_HOME"])).bin_dir / "psql")


def emitted(peer: Generator, base: str, goal: str, folder: Path) -> tuple[str | None, str]:
    """What a peer writes for the same change; None and the reason when it does not."""
    out = folder / f"{peer.name.split(maxsplit=1)[0].replace('/', '-')}.out"
    done = subprocess.run(
        peer.command(base, goal, out), capture_output=True, text=True, check=False, timeout=600
    )
    text = out.read_text() if out.exists() else done.stdout
    if done.returncode not in peer.accepted or not text.strip():
        return None, (done.stderr or done.stdout).strip().splitlines()[-1:][0] if done.stderr else "nothing"
    if text.lstrip().startswith("{"):
        units = json.loads(text)
        found = units.get("statements") or [u["sql"] for u in units.get("units", units.get("steps", ()))]
        text = ";\n".join(found) + ";"
    return text, ""


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--orders", type=int, default=5_000_000)
    words.add_argument("--seconds", type=float, default=20, help="of load before and after")
    words.add_argument("--pause", type=float, default=0.05, help="between two requests of a visitor")
    words.add_argument("--dump", type=float, default=20, help="seconds that a reader is in the way; 0: none")
    words.add_argument("--peers", type=Path, help="a folder to install peers into; without it: none")
    words.add_argument("--only", default="", help="naive, peers, preview")
    given = words.parse_args()
    with own_home("bench-promotion-") as home:
        port = free_port()
        folder = prepare(home, given.orders, SETTINGS.format(port=port))
        print(f"{given.orders:,} orders; load average {os.getloadavg()[0]:.1f}\n")
        print("| way | phase | seconds | requests | a second | median, ms | longest, ms | failed |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        with assemble(load(find(folder)), Silent()) as rooms:
            project = rooms.project
            if given.only in {"", "naive"}:
                by_hand("naive", project, given, (SHOP / "development.sql").read_text())
            if given.peers and given.only in {"", "peers"}:
                peers, absent = installed(given.peers)
                base = project.uri(project.main.id).reveal()
                development = next(
                    each for each in project.neon.branches(project.id) if each.name == "development"
                )
                goal = project.uri(development.id).reveal()
                for peer in peers:
                    by_hand(peer.name, project, given, *emitted(peer, base, goal, home))
                print("\n".join(f"not installed: {each}" for each in absent))
        if given.only in {"", "preview"}:
            preview(folder, "release", "start", "--context", "v1")
            try:
                with assemble(load(find(folder)), Silent()) as rooms:
                    rooms.controller.up("bench", answers=ANSWERS)
                ours(folder, port, given)
                if given.dump:
                    back = preview(folder, "revert", "--yes", accepted=(0, 1, 2, 4))
                    print(f"revert ended with {back.returncode}: {back.stderr[-400:]}")
                    with assemble(load(find(folder)), Silent()) as rooms:
                        rooms.controller.up("bench", answers=ANSWERS)
                    ours(folder, port, given, dump=given.dump)
            finally:
                preview(folder, "release", "stop", "--yes")


if __name__ == "__main__":
    main()
