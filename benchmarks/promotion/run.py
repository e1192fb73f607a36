"""A promotion under constant load, counted by its visitors: the product's, a naive one, what installable peers emit.

One shop, one machine, one run; each way gets the same change (examples/shop, version 1 to 2), the same load through the
shop's own pages, and production as it was. Run it:
``.venv/bin/python benchmarks/promotion/run.py --orders 5000000``. A part that fails is said, and the others go on.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
from orchestrator.lifecycle import Promotion
from orchestrator.settings import find, load
from orchestrator.steps.project import NeonProject

SETTINGS = """
[release]
kind = "container"
address = "127.0.0.1:{port}"
[migration]
prove_reverse = false
[report]
exact_up_to = "64m"
untouched_up_to = "64m"
"""
ALLOW = ("--allow", "deletes_data:public.customers.fax")
HEAD = (
    "| way | phase | seconds | requests | a second | median, ms | p99 | p99.9 | longest | times before | failed |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


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
def under_load(
    port: int, orders: int, pause: float, before: float, after: float
) -> Iterator[tuple[Load, list[float]]]:
    """Load before, during and after the block; the block's begin and end are put into the list."""
    under = Load(port, orders, pause)
    try:
        time.sleep(2)  # the first requests find everything cold
        under.requests.clear()
        time.sleep(before)
        marks = [time.time()]
        yield under, marks
        marks.append(time.time())
        time.sleep(after)
    finally:
        under.end()


class Tables:
    """What is printed while it is measured, and once more at the end, without what was said beside it."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def rows(self, name: str, phases: Sequence[tuple[str, list[Request]]]) -> None:
        """A row for each phase; the first is what the others are held beside."""
        first = max((each.ms for each in phases[0][1]), default=0.0)
        for phase, found in phases:
            if not found:
                continue
            span = max(each.ended for each in found) - min(each.began for each in found)
            times = sorted(each.ms for each in found)
            worst = max(found, key=lambda each: each.ms)
            failed = sum(bool(each.failed) for each in found)
            row = (
                f"| {name} | {phase} | {span:.1f} | {len(found):,} | {len(found) / max(span, 0.001):.0f} | "
                f"{at(times, 0.5):.0f} | {at(times, 0.99):.0f} | {at(times, 0.999):.0f} | {worst.ms:,.0f} | "
                f"{worst.ms / first if first else 0:.1f} | {failed} |"
            )
            self._rows.append(row)
            print(row, flush=True)

    def end(self) -> None:
        print("\n".join(["", HEAD, *self._rows]), flush=True)


def at(times: Sequence[float], share: float) -> float:
    """The time within which that share of requests was answered; of the few the longest."""
    return times[min(len(times) - 1, int(share * len(times)))]


def told(tables: Tables, name: str, under: Load, marks: list[float], note: str = "") -> None:
    """Three rows of the table, what failed, and when the longest were."""
    begin, end = marks
    during = [each for each in under.requests if each.ended >= begin and each.began <= end]
    tables.rows(
        name,
        (
            ("before", [each for each in under.requests if each.ended < begin]),
            ("during", during),
            ("after", [each for each in under.requests if each.began > end]),
        ),
    )
    why: dict[str, int] = {}
    for each in under.requests:
        if each.failed:
            why[f"{each.kind}: {each.failed}"] = why.get(f"{each.kind}: {each.failed}", 0) + 1
    if why:
        print(f"\n{name}: failed {why}\n")
    slow = sorted(during, key=lambda each: -each.ms)[:8]
    print(f"\n{name}: longest, seconds after the begin: "
          + ", ".join(f"{each.ms:.0f} ms at {each.began - begin:.2f} ({each.kind} {each.page})" for each in slow)
          + f"\n{note}\n", flush=True)  # fmt: skip


def told_by_part(tables: Tables, name: str, under: Load, marks: list[float], promotion: Promotion) -> None:
    """Rows for what a promotion did one after the other, and for writers while main's restore point was made."""
    point, release = (
        next(((e.at.timestamp() - (e.milliseconds or 0) / 1000, e.at.timestamp()) for e in promotion.events
              if e.kind == kind), None)
        for kind in ("restore_point", "release")
    )  # fmt: skip
    proof = next((e.at.timestamp() for e in promotion.events if e.kind == "done"), marks[1])
    print(f"{name}: visitors were held: {(promotion.last('release') or {}).get('held')}\n", flush=True)
    if point is None or release is None:
        return
    parts = (
        ("looking", marks[0], point[0]),
        ("restore point", *point),
        ("what adds", point[1], release[0]),
        ("new version, change-over", *release),
        ("what takes away, proof", release[1], proof),
        ("preview discarded", proof, marks[1]),
    )
    before = [each for each in under.requests if each.ended < marks[0]]
    tables.rows(
        name,
        [("before", before)]
        + [
            (part, [each for each in under.requests if each.ended >= begin and each.began <= end])
            for part, begin, end in parts
        ],
    )
    written = [each for each in under.requests if each.kind == "write"]
    tables.rows(
        f"{name}, writers",
        (
            ("before", [each for each in written if each.ended < marks[0]]),
            (
                "restore point",
                [each for each in written if each.ended >= point[0] and each.began <= point[1]],
            ),
        ),
    )


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


def last(folder: Path) -> Promotion:
    with assemble(load(find(folder)), Silent()) as rooms:
        return rooms.store.promotions(rooms.project.key).all()[-1]


def ours(tables: Tables, folder: Path, port: int, given: argparse.Namespace, *, dump: float = 0) -> None:
    """The product's promotion: schema and app in one act."""
    name = "preview, a dump in the way" if dump else "preview"
    with assemble(load(find(folder)), Silent()) as rooms:
        uri = rooms.project.uri(rooms.project.main.id).reveal()
    with (
        under_load(port, given.orders, given.pause, given.seconds, given.seconds / 2) as (under, marks),
        reader_in_the_way(uri, dump) if dump else nullcontext(),
    ):
        marks[0] = time.time()
        done = preview(folder, "promote", "bench", *ALLOW, accepted=(0, 1, 4))
    waits = [line for line in done.stderr.splitlines() if "wait" in line]
    lines = waits if dump else done.stderr.splitlines()
    told(tables, name, under, marks, f"ended with {done.returncode}\n" + "\n".join(lines[-40:]))
    told_by_part(tables, f"{name}, by part", under, marks, last(folder))


def by_hand(
    tables: Tables,
    name: str,
    project: NeonProject,
    given: argparse.Namespace,
    parent: str,
    statements: str | None,
    why: str = "",
) -> None:
    """A change by plain statements, then the other version: stop, start."""
    if statements is None:
        print(f"\n{name}: no statements: {why}\n")
        return
    branch = project.neon.create_branch(
        project.id, name=f"way-{name.split(maxsplit=1)[0].replace('/', '-')}", parent_id=parent
    )
    try:
        uri, port = project.uri(branch.branch.id).reveal(), free_port()
        running = app("v1", uri, port)
        try:
            assert healthy(port)
            said = []
            with under_load(port, given.orders, given.pause, given.seconds / 2, given.seconds / 4) as (
                under,
                marks,
            ):
                try:
                    done = subprocess.run(
                        [psql(), uri, "-q", "-v", "ON_ERROR_STOP=1"], input=statements, text=True,
                        capture_output=True, check=False, timeout=given.patience,
                    )  # fmt: skip
                    said = [line for line in done.stderr.splitlines() if "ERROR" in line]
                    ended = not done.returncode
                except subprocess.TimeoutExpired:
                    said, ended = [f"stopped by us after {given.patience:.0f} s"], False
                if ended:
                    running.send_signal(signal.SIGTERM)
                    running.wait()
                    running = app("v2", uri, port)
                    said.append("healthy" if healthy(port) else "version 2 does not get healthy")
            told(tables, name, under, marks, "; ".join(said))
        finally:
            running.kill()
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
        peer.command(base, goal, out), capture_output=True, text=True, check=False, timeout=120
    )
    text = out.read_text() if out.exists() else done.stdout
    if done.returncode not in peer.accepted or not text.strip():
        return None, (done.stderr or done.stdout).strip().splitlines()[-1:][0] if done.stderr else "nothing"
    if text.lstrip().startswith("{"):
        units = json.loads(text)
        found = units.get("statements") or [u["sql"] for u in units.get("units", units.get("steps", ()))]
        text = ";\n".join(found) + ";"
    return text, ""


def peers(
    parts: "Parts", tables: Tables, project: NeonProject, given: argparse.Namespace, base: str, folder: Path
) -> None:
    """Each that can be installed, with what it writes."""
    found: list[Generator] = []
    absent: list[str] = []

    def install() -> None:
        there, missing = installed(given.peers)
        found.extend(there)
        absent.extend(missing)

    parts.run("installing peers", install)
    goal = next(each for each in project.neon.branches(project.id) if each.name == "development")
    uris = project.uri(base).reveal(), project.uri(goal.id).reveal()

    def way(peer: Generator) -> Callable[[], None]:
        return lambda: by_hand(tables, peer.name, project, given, base, *emitted(peer, *uris, folder))

    for peer in sorted(found, key=lambda each: each.name.startswith("pg-delta")):  # whose plan takes longest
        parts.run(peer.name, way(peer))
    print("\n".join(f"not installed: {each}" for each in absent))


class Parts:
    """One part after the other: one that fails, or for which no time is left, keeps no other from it."""

    def __init__(self, at_most_minutes: float) -> None:
        self._began = time.monotonic()
        self._minutes = at_most_minutes

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self._began) / 60

    def run(self, name: str, part: Callable[[], None]) -> bool:
        """Whether it ran to its end."""
        if self.minutes > self._minutes:
            print(f"\n{name}: not run: {self.minutes:.1f} minutes are over\n", flush=True)
            return False
        print(f"\n[{self.minutes:.1f} min, load average {os.getloadavg()[0]:.1f}] {name}\n", flush=True)
        try:
            part()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - said, and the next part goes on
            print(f"\n{name}: failed: {type(error).__name__}: {str(error)[-600:]}\n", flush=True)
            return False
        return True


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--orders", type=int, default=5_000_000)
    words.add_argument("--seconds", type=float, default=30, help="of load before; half of it after")
    words.add_argument("--pause", type=float, default=0.05, help="between two requests of a visitor")
    words.add_argument("--dump", type=float, default=12, help="seconds that a reader is in the way; 0: none")
    words.add_argument("--peers", type=Path, help="a folder to install peers into; without it: none")
    words.add_argument("--only", default="", help="naive, peers, preview, dump; several with commas")
    words.add_argument("--patience", type=float, default=90, help="seconds that a way by hand may take")
    words.add_argument(
        "--at-most", type=float, default=13, help="minutes; what would begin later is left out"
    )
    given = words.parse_args()
    chosen = set(filter(None, given.only.split(",")))
    parts, tables = Parts(given.at_most), Tables()
    with own_home("bench-promotion-") as home:
        port = free_port()
        folder = prepare(home, given.orders, SETTINGS.format(port=port))
        print(f"{given.orders:,} orders, made in {parts.minutes * 60:.0f} s\n\n{HEAD}", flush=True)

        def wanted(part: str) -> bool:
            return not chosen or part in chosen

        def promote(*, dump: float = 0) -> None:
            preview(folder, "release", "start", "--context", "v1")
            try:
                began = time.monotonic()
                with assemble(load(find(folder)), Silent()) as rooms:
                    rooms.controller.up("bench", answers=ANSWERS)
                print(f"rehearsed in {time.monotonic() - began:.0f} s", flush=True)
                ours(tables, folder, port, given, dump=dump)
            finally:
                preview(folder, "release", "stop", "--yes", accepted=(0, 1, 2, 4))

        with assemble(load(find(folder)), Silent()) as rooms:
            project = rooms.project
            main_id = project.main.id

            def kept(name: str) -> str:
                """Production as it was, for a part that comes after ours: a way back would take longer than all."""
                made = project.neon.create_branch(project.id, name=name, parent_id=main_id)
                return made.branch.id

            dump = kept("as-it-was") if wanted("dump") and given.dump and wanted("preview") else ""
            base = kept("base") if wanted("peers") and given.peers else main_id
            if wanted("naive"):
                statements = (SHOP / "development.sql").read_text()
                parts.run("naive", lambda: by_hand(tables, "naive", project, given, main_id, statements))
            if wanted("preview"):
                parts.run("preview", promote)
            if wanted("dump") and given.dump:
                if dump:
                    project.neon.set_as_default(project.id, dump)
                parts.run("preview, a dump in the way", lambda: promote(dump=given.dump))
            if wanted("peers") and given.peers:
                peers(parts, tables, project, given, base, home)
    tables.end()
    print(f"\n{parts.minutes:.1f} minutes in all", flush=True)


if __name__ == "__main__":
    main()
