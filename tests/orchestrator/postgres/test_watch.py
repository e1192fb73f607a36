"""Beside others: who waits because of us is seen and comes first; who is in the way is named, or ended if allowed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from orchestrator.errors import LockNotAcquired
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard, Plan, Statement
from orchestrator.postgres.apply import apply
from orchestrator.postgres.care import Care
from orchestrator.postgres.trace import StatementTrace

ADD = Statement(
    sql="ALTER TABLE public.t ADD COLUMN b int",
    why="add b",
    lock=LockMode.ACCESS_EXCLUSIVE,
    lock_on=("public.t",),
    lock_timeout_ms=60_000,
)


class Listening:
    """Writes down what it hears; each word may be waited for."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.held: list[str] = []
        self.far: list[int] = []
        self.heard = threading.Event()
        self.on_wait: Callable[[], None] = lambda: None

    def started(self, index: int, statement: Statement) -> None:
        """Nothing."""

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        """Nothing."""

    def batch(self, index: int, statement: Statement, rows: int) -> None:
        """Nothing."""

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        self.waits.append(reason)
        self.heard.set()
        self.on_wait()

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        self.held.append(reason)
        self.heard.set()

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        self.far.append(done)
        self.heard.set()


def plan(*statements: Statement) -> Plan:
    return Plan(base="", goal="", statements=statements)


@contextmanager
def reading(main: Any, name: str = "the dump") -> Iterator[psycopg.Connection[Any]]:
    """A session that has read the table and stays in its transaction."""
    with main.connect(name) as reader:
        reader.execute("begin")
        reader.execute("select * from t")
        yield reader


def test_nobody_waits_longer_behind_us_than_the_budget(database: Callable[..., Any]) -> None:
    """We stand in line for a lock that a dump holds; a reader comes behind us: we go, it reads, we come again."""
    main = database()
    main.run("create table t (a int)")
    listening = Listening()
    read = threading.Event()

    def another_reader() -> None:
        with main.connect("app") as app:
            while not app.execute("select exists (select from pg_locks where not granted)").fetchone()[0]:
                pass  # until we stand in line
            app.execute("select * from t")
            read.set()

    with reading(main) as dump:
        app = threading.Thread(target=another_reader)
        app.start()

        def go_on() -> None:
            assert read.wait(30)  # the reader was let through while the dump still stood there
            dump.execute("rollback")

        listening.on_wait = go_on
        traces = apply(main.connect, plan(ADD), observer=listening, care=Care(budget_ms=150))
        app.join()
    assert "gave way, because 1 session waited up to" in listening.waits[0]
    assert "the dump" in listening.waits[0]
    assert traces[0].waiters == 1
    assert traces[0].waited_ms >= 150
    assert main.value("select count(*) from information_schema.columns where table_name = 't'") == 2


def test_who_works_under_a_lock_gives_way_too_unless_the_hazard_said_so(database: Callable[..., Any]) -> None:
    main = database()
    main.run("create table t (a int); insert into t values (1)")
    # As long as nobody has waited for a good while, it works.
    main.run(
        "create function works() returns int language plpgsql as $$ begin while not exists"
        " (select from pg_locks where not granted and waitstart < clock_timestamp() - interval '1 s')"
        " loop perform pg_sleep(0.01); end loop; return 1; end $$"
    )
    slow = replace(ADD, sql="ALTER TABLE public.t ADD COLUMN b int DEFAULT works()")
    stop = threading.Event()

    def readers() -> None:
        with main.connect("app") as app:
            while not stop.is_set():
                app.execute("select a from t")

    app = threading.Thread(target=readers)
    app.start()
    try:
        with pytest.raises(LockNotAcquired) as refused:
            apply(main.connect, plan(slow), attempts=2, pause=lambda _: None, care=Care(budget_ms=60))
        assert "made others wait too long in 2 tries" in refused.value.message
        assert "promote.budget_ms is 60" in refused.value.message
        assert main.value("select count(*) from information_schema.columns where table_name = 't'") == 1
        told = replace(
            slow, hazards=(Hazard(code="blocks_reads", on="public.t", detail="it is written again"),)
        )
        traces = apply(main.connect, plan(told), attempts=1, care=Care(budget_ms=60))
    finally:
        stop.set()
        app.join()
    assert traces[0].waiters == 1
    assert traces[0].waited_ms > 60


def test_who_is_in_the_way_is_named_while_we_wait(database: Callable[..., Any]) -> None:
    main = database()
    main.run("create table t (a int)")
    listening = Listening()
    build = Statement(
        sql="CREATE INDEX CONCURRENTLY i ON public.t (a)", why="build", lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        lock_on=("public.t",), transactional=False, lock_timeout_ms=60_000,
    )  # fmt: skip
    with main.connect("nightly job") as writer:
        writer.execute("begin")
        writer.execute("insert into t values (1)")
        run = threading.Thread(
            target=apply, args=(main.connect, plan(build)), kwargs={"observer": listening, "care": Care()}
        )
        run.start()
        assert listening.heard.wait(30)
        writer.execute("commit")
        run.join()
    assert "in the way: pid" in listening.held[0]
    assert "nightly job" in listening.held[0]
    assert listening.waits == []
    assert main.value("select indisvalid from pg_index where indexrelid = 'i'::regclass") is True


@pytest.mark.parametrize("terminate", [frozenset(), frozenset({"idle_in_transaction"})])
def test_nobody_is_ended_unless_the_settings_say_so(
    database: Callable[..., Any], terminate: frozenset[Any]
) -> None:
    main = database()
    main.run("create table t (a int)")
    listening = Listening()
    care = Care(terminate=terminate, terminate_after_ms=100)
    patient = replace(ADD, lock_timeout_ms=60_000 if terminate else 600)
    with reading(main, "forgotten") as reader:
        if terminate:
            apply(main.connect, plan(patient), observer=listening, attempts=1, care=care)
            with pytest.raises(psycopg.OperationalError):
                reader.execute("select 1")
            assert any("ended pid" in each and "forgotten" in each for each in listening.held)
        else:
            with pytest.raises(LockNotAcquired, match="forgotten"):
                apply(main.connect, plan(patient), observer=listening, attempts=1, care=care)
            reader.execute("select 1")


def test_a_long_build_tells_how_far_it_is(database: Callable[..., Any]) -> None:
    main = database()
    main.run(
        "create table t (a int, b text); insert into t select i, md5(i::text) from generate_series(1, 300000) i"
    )
    listening = Listening()
    build = Statement(
        # slow by itself: an index on an expression that takes its time
        sql="CREATE INDEX CONCURRENTLY i ON public.t (md5(md5(md5(md5(md5(md5(b)))))))", why="build",
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE, lock_on=("public.t",), transactional=False,
    )  # fmt: skip
    with main.connect("holds it up") as writer:
        writer.execute("begin")
        writer.execute("insert into t values (0, '')")
        run = threading.Thread(
            target=apply, args=(main.connect, plan(build)), kwargs={"observer": listening, "care": Care()}
        )
        run.start()
        assert listening.heard.wait(30)
        writer.execute("commit")
        run.join()
    assert listening.far == sorted(listening.far)
    assert all(0 <= each < 1000 for each in listening.far)


def test_without_a_session_to_watch_with_it_waits_no_longer_than_others_may(
    database: Callable[..., Any],
) -> None:
    main = database()
    main.run("create table t (a int)")
    opened: list[Any] = []

    def connect() -> Any:
        if not opened:  # the watch comes first
            opened.append(None)
            raise psycopg.OperationalError("too many connections")
        opened.append(main.connect())
        return opened[-1]

    with reading(main), pytest.raises(LockNotAcquired, match="in 1 tries of 70 ms"):
        apply(connect, plan(ADD), attempts=1, care=Care(budget_ms=70))
