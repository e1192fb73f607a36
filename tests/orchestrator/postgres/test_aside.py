"""While maintenance is at a table, we wait for it and nobody waits for us."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.database import Connection, connect
from orchestrator.migration.plan import LockMode, Plan, Statement
from orchestrator.postgres.apply import apply
from orchestrator.postgres.aside import stand_aside
from orchestrator.postgres.at_once import AtOnce
from orchestrator.postgres.care import Care
from tests.orchestrator.checks.conftest import running
from tests.orchestrator.postgres.test_apply import Watching

TABLE = 'public."a ""table"""'
ADD = Statement(
    sql=f"ALTER TABLE {TABLE} ADD COLUMN b int",
    why="add b",
    lock=LockMode.ACCESS_EXCLUSIVE,
    lock_on=(TABLE,),
    lock_timeout_ms=300,
)
PLAN = Plan(base="b", goal="g", statements=(ADD,))
#: What VACUUM holds.
MAINTAIN = f"begin; lock table {TABLE} in share update exclusive mode"


@pytest.fixture
def main(database: Callable[..., Any]) -> Any:
    made = database()
    made.run(f"create table {TABLE} (a int)")
    return made


def we_wait(main: Any, mode: str = "ShareUpdateExclusiveLock") -> bool:
    asked = f"select count(*) from pg_locks where not granted and mode = '{mode}' and relation = '{TABLE}'::regclass"
    return bool(main.rows(asked)[0][0])


@pytest.mark.parametrize("way", ["apply", "at once"])
def test_visitors_pass_while_we_wait_for_a_vacuum(main: Any, way: str) -> None:
    told = Watching()
    held: list[str] = []
    told.held_up = lambda *words: held.append(words[-1])  # type: ignore[method-assign]

    def change() -> None:
        if way == "apply":
            apply(main.connect, PLAN, attempts=1, observer=told, care=Care())
            return
        ready = AtOnce(main.connect(), PLAN)
        ready.ready()
        ready.go()

    with main.connect("a vacuum") as vacuum, main.connect("a visitor") as visitor:
        vacuum.execute(MAINTAIN)
        thread = threading.Thread(target=change)
        thread.start()
        while not we_wait(main):
            assert thread.is_alive()
        visitor.execute("set lock_timeout = 1")  # whoever waits at all fails
        visitor.execute(f"insert into {TABLE} values (1)")
        assert visitor.execute(f"select a from {TABLE}").fetchall() == [(1,)]
        assert we_wait(main)
        vacuum.execute("commit")
        thread.join()

    assert main.rows(f"select * from {TABLE}") == [(1, None)]
    if way == "apply":
        assert told.reasons == []  # the first try succeeded
        [reason] = held
        assert TABLE in reason


def test_what_does_not_end_is_left_alone_and_the_lock_asked_for_as_ever(main: Any) -> None:
    said: list[str] = []
    with main.connect("a vacuum") as vacuum, main.connect("us") as us:
        vacuum.execute(MAINTAIN)
        us.execute("begin; set local lock_timeout = 77; set local statement_timeout = 88")
        stand_aside(us, [TABLE, "public.nothing"], lambda _, reason: said.append(reason), longest_ms=1)
        assert us.execute("show lock_timeout").fetchone() == ("77ms",)
        assert us.execute("show statement_timeout").fetchone() == ("88ms",)
        ours = "select 1 from pg_locks where relation = %s::regclass and pid = pg_backend_pid()"
        assert not us.execute(ours, (TABLE,)).fetchall()
    assert len(said) == 1


def test_nobody_who_reads_or_writes_is_waited_for(main: Any) -> None:
    said: list[str] = []
    with main.connect("a reader") as reader, main.connect("us") as us:
        reader.execute("begin")
        reader.execute(f"insert into {TABLE} values (2)")
        stand_aside(us, [TABLE], lambda _, reason: said.append(reason))
    assert said == []


def test_where_nobody_works_nothing_is_asked(main: Any) -> None:
    with main.connect("a vacuum") as vacuum:
        vacuum.execute(MAINTAIN)
        with pytest.raises(Exception, match="lock"):
            apply(main.connect, PLAN, attempts=1)


@pytest.mark.prove
@pytest.mark.timeout(90)
def test_an_autovacuum_goes_away() -> None:
    """It would take an hour; the first try for our lock succeeds."""
    with running(None, "-c autovacuum_naptime=1s") as directory:
        uri = f"postgresql://postgres@/postgres?host={directory}"

        def connected() -> Connection:
            return connect(uri, purpose="test")

        with connected() as beside:
            beside.execute(f"create table {TABLE} (a int)".encode())
            beside.execute(
                f"alter table {TABLE} set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
                " autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)".encode()
            )
            beside.execute(f"insert into {TABLE} select generate_series(1, 200000)".encode())
            beside.execute(f"delete from {TABLE} where a % 2 = 0".encode())
            working = f"select from pg_stat_progress_vacuum where relid = '{TABLE}'::regclass".encode()
            while not beside.execute(working).fetchall():
                pass
            apply(connected, PLAN, attempts=1, care=Care())
            left = beside.execute(f"select count(*) from {TABLE} where b is null".encode()).fetchone()
            assert left == (100_000,)
