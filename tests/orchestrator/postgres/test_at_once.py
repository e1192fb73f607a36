"""What is done while others wait: ready beforehand, all or nothing, and known when the answer to COMMIT is lost."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.database import Connection, connect
from orchestrator.errors import DatabaseUnreachable, LockNotAcquired, StatementFailed
from orchestrator.migration.changeover import as_today, undone
from orchestrator.migration.plan import LockMode, Plan, Statement
from orchestrator.postgres.apply import apply
from orchestrator.postgres.at_once import IDLE_MS, AtOnce, InDoubt, committed
from orchestrator.postgres.blockers import blockers
from orchestrator.steps.changeover import ChangeOver
from preview.holding import NOBODY, read, write

Make = Callable[..., Any]


def rename(one: str, other: str, table: str = "t") -> Statement:
    return Statement(
        sql=f"ALTER TABLE public.{table} RENAME COLUMN {one} TO {other}",
        why=f"rename {one} to {other}",
        lock=LockMode.ACCESS_EXCLUSIVE,
        lock_on=(f"public.{table}",),
        lock_timeout_ms=50,
    )


PLAN = Plan(base="b", goal="g", statements=(rename("a", "b"), rename("c", "d", "u")))


@pytest.fixture
def main(database: Make) -> Any:
    made = database()
    made.run("create table t (a int); create table u (c int)")
    return made


def names(main: Any) -> list[str]:
    return [
        row[0]
        for row in main.rows(
            "select attname from pg_attribute where attrelid in ('t'::regclass, 'u'::regclass) and attnum > 0"
            " order by attrelid, attnum"
        )
    ]


def ready(main: Any, plan: Plan = PLAN) -> AtOnce:
    made = AtOnce(main.connect(), plan)
    made.ready()
    return made


def transaction_of(main: Any, plan: Plan = PLAN) -> str:
    """Applies it; its number."""
    told: list[str] = []
    ready(main, plan).go(told.append)
    return told[0]


def test_what_is_ready_holds_nothing_and_goes_in_one_act(main: Any) -> None:
    change = ready(main)
    with main.connect("somebody") as other:
        other.execute("set lock_timeout = '1s'")
        other.execute("begin; lock table t, u in access exclusive mode; rollback")
    traces = change.go()
    assert names(main) == ["b", "d"]
    assert [trace.locks for trace in traces] == [
        (("public.t", "AccessExclusiveLock"),),
        (("public.u", "AccessExclusiveLock"),),
    ]


def test_whoever_is_in_the_way_is_named_and_nothing_is_done(main: Any) -> None:
    change = ready(main)
    with main.connect("the slow report") as reader:
        reader.execute("begin")
        reader.execute("select * from u")
        with pytest.raises(LockNotAcquired) as refused:
            change.go()
    assert "the slow report" in refused.value.message
    assert names(main) == ["a", "c"]
    # A session that was closed ends a moment later.
    while main.value("select count(*) from pg_stat_activity where application_name = 'test'") != 1:
        pass


def test_what_the_server_refuses_is_said_and_nothing_is_done(main: Any) -> None:
    wrong = replace(PLAN, statements=(PLAN.statements[0], rename("nothing", "d", "u")))
    with pytest.raises(StatementFailed) as failed:
        ready(main, wrong).go()
    assert "statement 2 of 2" in failed.value.message
    assert names(main) == ["a", "c"]


def test_whoever_is_frozen_before_he_commits_keeps_nobody_waiting(main: Any) -> None:
    connection = main.connect()
    change = AtOnce(connection, PLAN)
    change.ready()

    def frozen(_transaction: str) -> None:
        limit = "idle_in_transaction_session_timeout"
        assert connection.execute(f"show {limit}").fetchone() == (f"{IDLE_MS // 1000}s",)
        connection.execute(f"set {limit} = 200")  # so that the test need not wait; from here on only
        with main.connect("a visitor") as visitor:
            visitor.execute("set lock_timeout = '20s'")
            visitor.execute("select * from t")

    with pytest.raises(LockNotAcquired, match="before anything was committed"):
        change.go(frozen)
    assert names(main) == ["a", "c"]


class Cut:
    """A connection whose COMMIT is lost: on its way there, or its answer."""

    def __init__(self, real: Connection, *, there: bool) -> None:
        self._real, self._there = real, there

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, query: Any, *more: Any) -> Any:
        if query != "commit":
            return self._real.execute(query, *more)
        if self._there:
            self._real.execute(query)
        self._real.close()
        raise psycopg.OperationalError("the line is cut")


def test_who_reads_a_table_that_will_have_another_name_is_found(main: Any) -> None:
    """A plan calls it as it will be called; nobody holds a lock on a table of that name."""
    renamed = Statement(
        sql="ALTER TABLE public.t RENAME TO t2",
        why="rename",
        lock=LockMode.ACCESS_EXCLUSIVE,
        lock_on=("public.t2",),
        lock_timeout_ms=50,
    )
    plan = replace(PLAN, statements=(renamed,))
    with main.connect("a long report") as reader, main.connect() as look:
        reader.execute("begin")
        reader.execute("select from t")
        assert [each.application for each in blockers(look, as_today(plan).statements[0])] == [
            "a long report"
        ]
        ready = AtOnce(connect(main.uri, purpose="test"), as_today(plan))
        ready.ready()
        with pytest.raises(
            LockNotAcquired, match=r"lock on public\.t in 50 ms; in the way: pid \d+ \(a long report"
        ):
            ready.go()


@pytest.mark.parametrize("there", [True, False])
def test_a_commit_whose_answer_is_lost_is_looked_up(main: Any, there: bool) -> None:
    change = AtOnce(Cut(main.connect(), there=there), PLAN)  # type: ignore[arg-type]
    change.ready()
    with pytest.raises(InDoubt) as doubt:
        change.go()
    with main.connect() as look:
        assert committed(look, doubt.value.transaction, seconds=60) is there
    assert len(doubt.value.traces) == 2
    assert names(main) == (["b", "d"] if there else ["a", "c"])


def test_a_transaction_that_nobody_has_heard_of_is_not_done(main: Any) -> None:
    with main.connect() as look:
        assert not committed(look, "99999999", seconds=5)


TURN = 7


def take_back(
    main: Any, transaction: str, unless: str = "", holder: int = 0
) -> "subprocess.CompletedProcess[str]":
    order = {
        "uri": main.uri,
        "transaction": transaction,
        "unless": unless,
        "statements": [each.sql for each in undone(PLAN).statements],
        "turn": TURN,
        "holder": holder,
    }
    return subprocess.run(
        [*ChangeOver.rescue],
        input=f"{{}}\n{json.dumps(order)}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_was_done_by_somebody_who_died_is_taken_back(main: Any) -> None:
    done = take_back(main, transaction_of(main))
    assert (done.returncode, done.stderr) == (0, "")
    assert names(main) == ["a", "c"]


def test_what_was_taken_back_already_or_never_done_stays(main: Any) -> None:
    first = transaction_of(main)
    second = transaction_of(main, undone(PLAN))
    assert take_back(main, first, second).returncode == 0
    assert names(main) == ["a", "c"]
    with main.connect() as other:
        other.execute("begin")
        other.execute("create table never (a int)")
        never = str(other.execute("select pg_current_xact_id()").fetchone()[0])
        other.execute("rollback")
    third = transaction_of(main)
    assert take_back(main, never).returncode == 0
    assert take_back(main, third, never).returncode == 0
    assert names(main) == ["a", "c"]


def test_whoever_has_the_turn_by_now_decides(main: Any) -> None:
    done = transaction_of(main)
    with main.connect("promote again") as other:
        other.execute("select pg_advisory_lock(%s)", (TURN,))
        left = take_back(main, done)
        assert (left.returncode, names(main)) == (1, ["b", "d"])
        assert "somebody else changes production now" in left.stderr
        # The session of the dead one goes as soon as the server notices: that is waited for.
        pid, dying = other.info.backend_pid, threading.Timer(0.3, other.close)
        dying.start()
        assert take_back(main, done, holder=pid).returncode == 0
        dying.join()
    assert names(main) == ["a", "c"]


class Door:
    """To main, for whoever has the turn, as long as its session is there."""

    def __init__(self, main: Any, turn: Connection) -> None:
        self.main, self.turn = main, turn

    def prepare(self, plan: Plan) -> Any:
        try:
            self.turn.execute("select")
        except psycopg.Error:
            raise DatabaseUnreachable("the session that holds the turn on main was cut off") from None
        made = AtOnce(connect(self.main.uri, purpose="test"), plan)
        made.ready()
        return made, lambda: None

    def connect(self, seconds: float) -> Connection:
        return connect(self.main.uri, purpose="test", patience_seconds=seconds)

    def whereabouts(self) -> dict[str, Any]:
        return {"uri": self.main.uri, "turn": TURN, "holder": self.turn.info.backend_pid}


@pytest.mark.parametrize("taken", [False, True])
def test_whoever_lost_the_turn_takes_back_what_nobody_else_decides_about(main: Any, taken: bool) -> None:
    """Main's compute is started again between the renames and the later version's health."""
    said: list[str] = []
    with main.connect("promote") as turn, main.connect("promote again") as other:
        turn.execute("select pg_advisory_lock(%s)", (TURN,))
        change = ChangeOver(PLAN, Door(main, turn), turn, attempts=4, say=said.append)
        change.now()
        assert names(main) == ["b", "d"]
        turn.close()
        if taken:
            other.execute("select pg_advisory_lock(%s)", (TURN,))
            with pytest.raises(DatabaseUnreachable) as lost:
                change.undo()
            assert "is not taken back: somebody else changes production now" in lost.value.message
            assert names(main) == ["b", "d"]
        else:
            change.undo()
            change.undo()  # once
            assert names(main) == ["a", "c"]
    assert any("waiting for main" in each for each in said)


STOPPED = """
import os, signal, sys
from pathlib import Path
from orchestrator.database import connect
from preview.edge import Edge
from tests.orchestrator.postgres.test_at_once import PLAN, TURN, ChangeOver, Door

class Main:
    uri = sys.argv[2]

turn = connect(Main.uri, purpose="the turn")
turn.execute("select pg_advisory_lock(%s)", (TURN,))
change = ChangeOver(PLAN, Door(Main, turn), turn, attempts=1, say=print)
change.ready()
with Edge(Path(sys.argv[1]), "127.0.0.1:2").held(0.05, change.rescue) as tell:
    assert change.act(tell)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_who_is_stopped_between_the_renames_and_the_later_version_has_them_taken_back(
    main: Any, tmp_path: Path
) -> None:
    """Ctrl-Z or SIGSTOP: visitors would find the earlier version on names that it does not know."""
    write(tmp_path, "127.0.0.1:1")
    stopped = subprocess.run(
        [sys.executable, "-c", STOPPED, str(tmp_path), main.uri], capture_output=True, text=True, check=False
    )
    assert stopped.returncode == -signal.SIGKILL, stopped.stderr
    waited = threading.Event()
    while names(main) != ["a", "c"] or read(tmp_path) == NOBODY:
        waited.wait(0.01)
    assert read(tmp_path) == "127.0.0.1:1"


def test_what_cannot_be_taken_back_says_so_and_shows_no_password(main: Any) -> None:
    order = {"uri": "postgresql://u:secret@127.0.0.1:1/x", "transaction": "1", "unless": "", "statements": []}
    order |= {"turn": TURN, "holder": 0}  # type: ignore[dict-item]
    done = subprocess.run(
        [*ChangeOver.rescue],
        input=json.dumps(order), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == "the change-over is not taken back: OperationalError"


LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")


@pytest.mark.parametrize("whose", ["role", "database"])
def test_time_outs_of_a_role_or_a_database_do_not_hold_for_us(main: Any, whose: str) -> None:
    """An index build that takes longer than production's statements may."""
    role = f"limited_{main.name}"
    elsewhere = replace(main, name="postgres")  # where they do not hold for the test itself
    thing = f"role {role}" if whose == "role" else f"database {main.name}"
    elsewhere.run(f"create role {role} login superuser")
    try:
        for name in LIMITS:
            elsewhere.run(f"alter {thing} set {name} = '500ms'")
        uri = main.uri.replace("user=postgres", f"user={role}")
        sleeps = Statement(sql="SELECT pg_sleep(0.6)", why="take long", transactional=False, group=1)
        first = replace(rename("a", "b"), group=0)
        last = replace(rename("c", "d", "u"), group=2)
        plan = replace(PLAN, statements=(first, sleeps, last))
        with connect(uri, purpose="the turn") as turn:
            apply(lambda: connect(uri, purpose="test"), plan)
            assert [turn.execute(f"show {name}".encode()).fetchone() for name in LIMITS] == [("0",)] * 4
    finally:
        for name in LIMITS:
            elsewhere.run(f"alter {thing} reset {name}")
        elsewhere.run(f"drop role {role}")
    assert names(main) == ["b", "d"]
