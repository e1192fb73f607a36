"""kill -9 and Ctrl-C of a promotion, before and after every statement and at random, beside a writer.

The next run ends right: main is the goal, nothing half-made is left, no row is lost or doubled, and what was dropped is
kept aside with its values.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestrator.migration.keeping import Keeping
from orchestrator.migration.online import Online
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.kept import kept
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference

BEFORE = """
create type mood as enum ('sad', 'ok');
create table customers (id int primary key, name text, fax text not null default 'none', m mood, country char(2));
create table orders (id int primary key, customer int, total numeric(8,2) not null default 0, state text, note text);
create table items (id int primary key, "order" int not null, amount int not null default 1);
create table parcels (id int primary key, "order" int, sent text);
create index parcels_order on parcels ("order");
create view open_orders as select id, total from orders where state = 'open';
"""
AFTER = """
create type mood as enum ('sad', 'ok', 'happy');
create table customers (id int primary key, full_name text not null, m mood, country char(2) not null default 'DE',
                        token uuid not null default gen_random_uuid());
create table orders (id int primary key, customer int references customers, total numeric(12,4) not null default 0,
                     state text not null check (state in ('open', 'done')), note text, channel text default 'web');
create table items (id int primary key, "order" bigint not null references orders on delete cascade,
                    amount int not null default 1 check (amount > 0));
create table shipments (id int primary key, "order" int references orders);
create index orders_customer on orders (customer, state);
create unique index items_order on items ("order", id);
create view open_orders as select id, total, channel from orders where state = 'open';
"""
SEED = """
insert into customers select i, 'n' || i, 'f' || i, 'ok', case when i % 3 > 0 then 'FR' end
from generate_series(1, 2000) i;
insert into orders select i, 1 + i % 2000, i / 7.0, case when i % 5 > 0 then 'done' end, repeat('x', 40)
from generate_series(1, 6000) i;
insert into items select i, 1 + i % 6000, 1 from generate_series(1, 9000) i;
insert into parcels select i, i, 's' || i from generate_series(1, 500) i;
analyze;
"""
ANSWERS = {
    "rename:table:public.shipments": "-",
    "rename:column:public.customers.full_name": "name",
    "fill:public.customers.country": "'DE'",
    "fill:public.customers.full_name": "''",
    "fill:public.orders.state": "'open'",
}
#: What the versions before and after agree on: what a writer may do at any moment.
WRITES = (
    "insert into orders (id, customer, total, state) values ({n}, 1 + {n} % 2000, {n} % 1000, 'done')",
    'insert into items (id, "order") values ({n}, {n})',
    "update orders set total = total + 1, note = 'w' where id = 1 + {n} % 6000",
    "update customers set m = 'sad' where id = 1 + {n} % 2000",
)
#: What no writer touches.
OLD_ROWS = (
    "select count(*), sum(id), sum(customer) from orders where id <= 6000",
    'select count(*), sum(id), sum("order") from items where id <= 9000',
    "select count(*), sum(id) from customers",
)


class Running:
    """One promotion in a process of its own, forked by one that has everything ready."""

    def __init__(self, mother: "subprocess.Popen[str]", words: Path, uri: str, fault: str) -> None:
        assert mother.stdin is not None
        assert mother.stdout is not None
        words.unlink(missing_ok=True)
        os.mkfifo(words)
        self.returncode: int | None = None
        self._said = b""
        self._mother = mother.stdout
        mother.stdin.write(f"{json.dumps([uri, fault, str(words)])}\n")
        mother.stdin.flush()
        self.pid = int(self._mother.readline())
        self._words = os.open(words, os.O_RDONLY)

    def communicate(self, timeout: float | None = None) -> str:
        """All that it said, when it has ended. Raises TimeoutError when it does not in time."""
        until = time.monotonic() + timeout if timeout is not None else None
        while self.returncode is None:
            left = max(0.0, until - time.monotonic()) if until is not None else None
            if not select.select([self._words], [], [], left)[0]:
                raise TimeoutError
            self._read()
        return self._said.decode()

    def said(self, *beginnings: str) -> bool:
        """Wait for a line that begins like this; whether it came before the end."""
        while not any(line.startswith(beginnings) for line in self._said.decode().splitlines()):
            if self.returncode is not None:
                return False
            self._read()
        return True

    def send(self, sent: int) -> None:
        os.kill(self.pid, sent)

    def _read(self) -> None:
        more = os.read(self._words, 1 << 16)
        self._said += more
        if not more:
            os.close(self._words)
            self.returncode = int(self._mother.readline())


class Kill:
    """A main to be promoted again and again from the same beginning."""

    def __init__(self, make: Callable[[], Any], folder: Path) -> None:
        self.origin, goal = make(), make()
        self.origin.run(BEFORE)
        self.origin.run(SEED)
        goal.run(AFTER)
        self.make, self.folder = make, folder
        self.goal: Snapshot = goal.inspect()
        found = make_plan(
            self.origin.inspect(),
            self.goal,
            answers=ANSWERS,
            policy=Online(mode="always"),
            keeping=Keeping(days=7),
        )
        assert found.plan is not None, found.questions
        self.plan: Plan = found.plan
        for name, value in (
            ("goal", self.goal.to_json()),
            ("plan", self.plan.to_json()),
            ("answers", ANSWERS),
        ):
            (folder / f"{name}.json").write_text(json.dumps(value))
        self.sums = [self.origin.rows(query)[0] for query in OLD_ROWS]
        self.faxes = self.origin.rows("select id, fax from customers order by id")
        files = [str(folder / f"{name}.json") for name in ("goal", "plan", "answers")]
        self.mother = subprocess.Popen(
            [sys.executable, "-m", "tests.orchestrator.postgres.promoting", *files],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip

    def main(self) -> Any:
        """A fresh copy."""
        new = self.make()
        with psycopg.connect(
            new.uri.replace(f"dbname={new.name}", "dbname=postgres"), autocommit=True
        ) as admin:
            name, origin = sql.Identifier(new.name), sql.Identifier(self.origin.name)
            admin.execute(sql.SQL("drop database {}").format(name))
            admin.execute(sql.SQL("create database {} template {} strategy file_copy").format(name, origin))
        return new

    def start(self, main: Any, fault: str = "") -> "Running":
        return Running(self.mother, self.folder / "words", main.uri, fault)

    def is_right(self, main: Any, written: list[int]) -> None:
        now = main.inspect()
        assert describe_difference(now, self.goal) == ()
        assert now.leftovers == ()
        assert main.value("select count(*) from pg_index where not (indisvalid and indisready)") == 0
        assert main.value("select count(*) from pg_constraint where not convalidated") == 0
        assert main.rows(
            "select relname from pg_class where relname ~ 'preview_tmp' union all"
            " select proname from pg_proc where proname ~ 'preview_tmp' union all"
            " select tgname from pg_trigger where tgname ~ 'preview_tmp' union all"
            " select attname from pg_attribute where attname ~ 'preview_tmp' and not attisdropped"
        ) == []  # fmt: skip
        assert main.value(
            "select count(*) from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
        ) == 0  # fmt: skip
        assert [main.rows(query)[0] for query in OLD_ROWS] == self.sums
        assert [id_ for (id_,) in main.rows("select id from orders where id > 6000 order by id")] == sorted(
            {n for n in written if n % 4 == 0}
        )
        with main.connect() as connection:
            things = {each.key.name: each for each in kept(connection)}
        assert set(things) == {"public.customers.fax", "public.parcels"}
        fax = things["public.customers.fax"].name
        assert main.rows(f"select id, {fax} from customers order by id") == self.faxes
        table = ".".join(things["public.parcels"].table)
        assert main.value(f"select count(*) from {table}") == 500
        assert main.value("select count(*) from pg_attribute where attname ~ '^preview_kept_'") == 1
        assert main.value("select count(*) from pg_namespace where nspname ~ '^preview_kept_'") == 1
        assert main.value("select count(*) from preview_internal.kept") == 2


@contextmanager
def writing(main: Any) -> Iterator[list[int]]:
    """A writer beside the promotion, as both versions of the app would write; gives what it has committed."""
    done: list[int] = []
    failed: list[str] = []
    stop = threading.Event()

    def write() -> None:
        n = 10_000
        with main.connect("app") as app:
            while not stop.is_set():
                text = WRITES[n % 4].format(n=n - n % 4)
                try:
                    app.execute(text)
                    done.append(n)
                except psycopg.Error as error:
                    failed.append(f"{text}: {error}")
                n += 1
                time.sleep(0.002)  # a load, not a wait

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield done
    finally:
        stop.set()
        writer.join()
    assert failed == []


def finish(kill: Kill, main: Any) -> None:
    """The next promote; while the server has not noticed yet that the dead one is dead, it is refused."""
    output = "another promotion is under way"
    while "another promotion is under way" in output:
        done = kill.start(main)
        output = done.communicate()
    assert done.returncode == 0, output[-3000:]


@pytest.fixture
def kill(database: Callable[[], Any], tmp_path: Path) -> Iterator[Kill]:
    made = Kill(database, tmp_path)
    yield made
    made.mother.communicate()


def test_the_plan_has_what_is_to_be_killed(kill: Kill) -> None:
    texts = [each.sql for each in kill.plan.statements]
    assert any(text.startswith("CREATE INDEX CONCURRENTLY") for text in texts)
    assert any(text.startswith("CREATE UNIQUE INDEX CONCURRENTLY") for text in texts)
    assert sum("VALIDATE CONSTRAINT" in text for text in texts) >= 4
    assert sum(bool(each.by_blocks) for each in kill.plan.statements) >= 3
    assert sum(each.keeps is not None for each in kill.plan.statements) == 2


def test_a_column_that_refuses_rows_goes_with_the_trigger_that_fills_it(kill: Kill) -> None:
    """Else a writer fails between the two when what is half-made is taken back."""
    filled = [
        i for i, each in enumerate(kill.plan.statements) if "preview_tmp_new" in each.sql and each.by_blocks
    ]
    main = kill.main()
    kill.start(main, f"before:{filled[-1]}").communicate()
    now = main.inspect()
    cleaning = make_plan(now, now).plan
    assert cleaning is not None
    groups: dict[str, set[int]] = {}
    for each in cleaning.statements:
        if each.sql.startswith("DROP TRIGGER") or "DROP COLUMN" in each.sql:
            groups.setdefault(each.lock_on[0], set()).add(each.group)
    assert len(groups) > 1
    assert all(len(found) == 1 for found in groups.values())
    _drop(main)


def test_killed_at_a_few_points_it_ends_right(kill: Kill) -> None:
    """A few of the many points; `make prove` does them all."""
    batch = next(i for i, each in enumerate(kill.plan.statements) if each.by_blocks)
    aside = next(i for i, each in enumerate(kill.plan.statements) if each.keeps)
    for fault in (f"after:{batch}", f"after:{aside}"):
        _killed_at(kill, fault)


def _killed_at(kill: Kill, fault: str) -> None:
    main = kill.main()
    with writing(main) as written:
        running = kill.start(main, fault)
        output = running.communicate()
        assert running.returncode == -signal.SIGKILL, f"{fault}: {output[-2000:]}"
        finish(kill, main)
    kill.is_right(main, written)
    _drop(main)


def _drop(main: Any) -> None:
    with psycopg.connect(
        main.uri.replace(f"dbname={main.name}", "dbname=postgres"), autocommit=True
    ) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(main.name)))


TIMES = 200


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_killed_before_and_after_every_statement_it_ends_right(kill: Kill) -> None:
    for i in range(len(kill.plan.statements)):
        for when in ("before", "after"):
            _killed_at(kill, f"{when}:{i}")


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_killed_at_random_it_ends_right(kill: Kill) -> None:
    """Up to 200 times, with those at every statement; some are killed again while they go on."""
    main = kill.main()
    began = time.monotonic()
    finish(kill, main)
    whole = time.monotonic() - began
    dice = random.Random(20261128)
    for _ in range(TIMES - 2 * len(kill.plan.statements)):
        main = kill.main()
        with writing(main) as written:
            for _ in range(dice.choice((1, 1, 2, 3))):
                running = kill.start(main)
                try:
                    running.communicate(timeout=dice.uniform(0.1, whole))
                except TimeoutError:
                    running.send(signal.SIGKILL)
                    running.communicate()
            finish(kill, main)
        kill.is_right(main, written)
        _drop(main)


def _interrupted_at(kill: Kill, i: int) -> int:
    main = kill.main()
    with writing(main) as written:
        running = kill.start(main)
        if running.said(f"before:{i}", f"far:{i}"):
            running.send(signal.SIGINT)
        output = running.communicate()
        assert running.returncode in {130, 0}, output[-2000:]
        if running.returncode == 130:
            assert main.value("select count(*) from pg_index where not indisvalid") == 0
            # Helpers that hold what is done already, and harm nobody, may stay for the next run.
            assert all(each.valid for each in main.inspect().leftovers)
        finish(kill, main)
    kill.is_right(main, written)
    _drop(main)
    return running.returncode


def test_ctrl_c_in_a_batch_leaves_nothing_half_made(kill: Kill) -> None:
    statements = kill.plan.statements
    _interrupted_at(kill, next(i for i, each in enumerate(statements) if each.by_blocks))


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_ctrl_c_anywhere_leaves_nothing_half_made(kill: Kill) -> None:
    """At every statement: the signal comes when it has begun."""
    seen = [_interrupted_at(kill, i) for i in range(len(kill.plan.statements))]
    assert seen.count(130) > len(seen) // 2
