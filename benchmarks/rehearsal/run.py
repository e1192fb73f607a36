"""What a rehearsal costs beside the migration itself, check by check, and how each grows with the data.

The shop of examples/shop at several sizes, one after another in one run, on the embedded Neon, as a local process (so
that no image is built). What is measured is the time from one line of progress to the next; of the checks, some of
which run side by side, what the report says that each took.
Run it: ``.venv/bin/python benchmarks/rehearsal/run.py --orders 50000 500000 5000000``.
"""

import argparse
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from shop import ANSWERS, own_home, prepare

from orchestrator.bootstrap import assemble
from orchestrator.lifecycle import Preview, State
from orchestrator.settings import find, load

#: What production runs, as an export of pg_stat_statements (the embedded server has no such extension).
QUERIES = """query,calls,total_exec_time,hours
"select o.*, c.name from orders o join customers c on c.id = o.customer_id where o.id = $1",90000,900,10
"select id, placed_at, status, total from orders where customer_id = $1 order by placed_at desc limit $2",40000,4000,10
"select count(*) from orders",9000,90000,10
"insert into orders (customer_id, status, total) values ($1, $2, $3)",5000,50,10
"update order_items set quantity = $1 where order_id = $2 and line = $3",3000,30,10
"select id, name, email from customers order by id desc limit $1 offset $2",2000,80,10
"""
WORKLOAD = """-- name: orders of a customer
-- param: customer = select customer_id from orders order by id limit 20
select id, placed_at, status, total from orders where customer_id = :customer order by placed_at desc limit 50;
-- name: one order's lines
-- param: order = select id from orders order by id desc limit 20
select * from order_items where order_id = :order;
"""
#: Lines of progress that belong to one phase of the table.
_PHASES = (
    (re.compile(r"^\d+/\d+ "), "the migration's statements"),
    (re.compile(r"^asking the data"), "preflight on the data"),
    (re.compile(r"^counting rows"), "rows and checksums before"),
    (re.compile(r"^looking for rows"), "no row written: proved"),
    (re.compile(r"^(inspecting again|looking again through pg_dump)"), "proof, twice"),
    (re.compile(r"^planning production's queries"), "production's queries, planned before"),
)
MIGRATION = "the migration's statements"


class Stopwatch:
    """An observer that adds up the seconds between two lines of progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phase = ""
        self._since = time.perf_counter()

    def _enter(self, phase: str) -> None:
        now = time.perf_counter()
        if self._phase:
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def started(self, preview: Preview) -> None:
        names = {
            State.BRANCHING: "branch",
            State.MIGRATING: "inspect and plan",
            State.LAUNCHING: "the app, until healthy",
            State.CHECKING: "all checks",
        }
        self._enter(names.get(preview.state, preview.state.value))

    def detail(self, text: str) -> None:
        for pattern, phase in _PHASES:
            if pattern.search(text):
                self._enter(phase)
                return

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        self._enter("")

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        self._enter("")


def measure(home: Path, orders: int) -> dict[str, float]:
    """The seconds of every phase of one rehearsal."""
    folder = prepare(home, orders, '[report]\nstatements = "queries.csv"\ncurrent_context = "v1"\n')
    (folder / "queries.csv").write_text(QUERIES)
    (folder / "checks").mkdir()
    (folder / "checks" / "shop.sql").write_text(WORKLOAD)
    watch = Stopwatch()
    with assemble(load(find(folder)), watch) as rooms:
        began = time.perf_counter()
        ready = rooms.controller.up("bench", answers=ANSWERS)
        found = {**watch.seconds, "all": time.perf_counter() - began}
        checks = ready.facts["report"]["measures"]["seconds"]
        found |= {f"of them: {check}": seconds for check, seconds in checks.items()}
        rooms.controller.discard("bench", force=True)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--orders", type=int, nargs="+", default=[50_000, 500_000])
    sizes = sorted(words.parse_args().orders)
    with own_home("bench-rehearsal-") as folder:
        found = {orders: measure(folder, orders) for orders in sizes}
    phases = list(dict.fromkeys(phase for seconds in found.values() for phase in seconds if phase != "all"))
    print(f"| seconds, with orders | {' | '.join(f'{size:,}' for size in sizes)} |")
    print("|---" * (len(sizes) + 1) + "|")
    for phase in [*phases, "all"]:
        print(f"| {phase} | {' | '.join(f'{found[size].get(phase, 0.0):.2f}' for size in sizes)} |")
    ratios = [found[size]["all"] / max(found[size].get(MIGRATION, 0.0), 1e-9) for size in sizes]
    print(f"| all / the migration | {' | '.join(f'{ratio:.1f}x' for ratio in ratios)} |")


if __name__ == "__main__":
    main()
