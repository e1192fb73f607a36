"""Applying: who is in the way is named, what fails is said, what was left is repaired, interruptions are resumed."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orchestrator.database import Connection, advisory_lock
from orchestrator.errors import DatabaseUnreachable, LockNotAcquired, StatementFailed
from orchestrator.migration import part_of
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import IDLE_MS, apply
from orchestrator.postgres.care import Care
from orchestrator.postgres.trace import StatementTrace
from orchestrator.postgres.verify import difference, remaining
from orchestrator.postgres.watch import _WAITERS as WAITERS
from orchestrator.schema.catalog import Snapshot
from orchestrator.steps import proof


class Watching:
    """An observer that writes down what it hears, and may do something at a moment."""

    def __init__(self, on_wait: Callable[[str], None] = lambda _reason: None) -> None:
        self.heard: list[tuple[str, int]] = []
        self.reasons: list[str] = []
        self.on_wait = on_wait

    def started(self, index: int, statement: Statement) -> None:
        self.heard.append(("started", index))

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        self.heard.append(("finished", index))

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        """Nothing."""

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        self.reasons.append(reason)
        self.on_wait(reason)

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        self.heard.append(("progress", index))


def no_pause(_seconds: float) -> None:
    """Retries at once."""


def planned(base: Snapshot, goal: Snapshot, **answers: str) -> Plan:
    found = make_plan(base, goal, answers=answers, assume_defaults=True).plan
    assert found is not None
    return found


def impatient(plan: Plan) -> Plan:
    """The same plan with short lock time-outs, so that the test need not wait."""
    from dataclasses import replace

    return replace(plan, statements=tuple(replace(each, lock_timeout_ms=50) for each in plan.statements))


def pair(database: Callable[..., Any], before: str, after: str, seed: str = "") -> tuple[Any, Snapshot]:
    main, goal = database(), database()
    main.run(before)
    main.run(seed)
    goal.run(after)
    return main, goal.inspect()


def test_a_blocker_is_named_and_the_plan_goes_through_when_it_is_gone(database: Callable[..., Any]) -> None:
    main, goal = pair(database, "CREATE TABLE t (a int)", "CREATE TABLE t (a int, b int)")
    plan = impatient(planned(main.inspect(), goal))
    with main.connect("the slow report") as reader:
        reader.execute("begin")
        reader.execute("select * from t")
        with pytest.raises(LockNotAcquired) as refused:
            apply(main.connect, plan, attempts=2, pause=no_pause)
        assert "the slow report" in refused.value.message
        assert str(reader.info.backend_pid) in refused.value.message
        assert "idle in transaction" in refused.value.message
        assert "AccessShareLock on t" in refused.value.message
        assert refused.value.retryable
        with main.connect() as looking:
            assert difference(looking, goal) != ()
        watching = Watching(lambda _reason: reader.execute("rollback") and None)  # type: ignore[func-returns-value]
        apply(main.connect, plan, attempts=5, pause=no_pause, observer=watching)
    assert watching.reasons[0].startswith("try 1 of 5")
    assert "the slow report" in watching.reasons[0]
    with main.connect() as looking:
        assert difference(looking, goal) == ()


def test_failing_data_rolls_the_group_back_and_shows_no_value(database: Callable[..., Any]) -> None:
    main, goal = pair(
        database,
        "CREATE TABLE t (a text)",
        "CREATE TABLE t (a int, b int)",
        "INSERT INTO t VALUES ('geheim')",
    )
    plan = planned(main.inspect(), goal)
    with pytest.raises(StatementFailed) as refused:
        apply(main.connect, plan)
    assert "22P02" in refused.value.message
    assert "public.t" in refused.value.message
    assert "geheim" not in refused.value.message + refused.value.hint + refused.value.detail
    assert refused.value.hint
    assert refused.value.__cause__ is None


def test_a_failed_unique_build_leaves_no_invalid_index(database: Callable[..., Any]) -> None:
    main, goal = pair(
        database, "CREATE TABLE t (a int)", "CREATE TABLE t (a int); CREATE UNIQUE INDEX u ON t (a)",
        "INSERT INTO t VALUES (1), (1)",
    )  # fmt: skip
    with pytest.raises(StatementFailed, match="23505"):
        apply(main.connect, planned(main.inspect(), goal))
    assert main.value("select count(*) from pg_class where relname = 'u'") == 0


def test_an_invalid_index_of_an_interrupted_run_is_replaced(database: Callable[..., Any]) -> None:
    main, goal = pair(database, "CREATE TABLE t (a int)", "CREATE TABLE t (a int); CREATE INDEX i ON t (a)")
    plan = planned(main.inspect(), goal)
    main.run(
        "CREATE INDEX i ON t (a); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass"
    )
    rest = planned(main.inspect(), goal)
    assert part_of(rest, plan) == ()
    assert [each.repair for each in rest.statements] == [True, False]
    apply(main.connect, plan)  # even the first plan knows what to do
    with main.connect() as looking:
        assert difference(looking, goal) == ()


def test_leftovers_are_not_seen_and_are_removed(database: Callable[..., Any]) -> None:
    before = "CREATE TABLE t (a int, b int CONSTRAINT u UNIQUE); CREATE INDEX i ON t (a)"
    after = "CREATE TABLE t (a int NOT NULL, b int CONSTRAINT u UNIQUE); CREATE INDEX i ON t (a, b)"
    main, goal = pair(database, before, after)
    plan = planned(main.inspect(), goal)
    fingerprint = main.inspect().fingerprint()
    for statement in plan.statements:  # everything up to the middle of two dances
        if "RENAME TO preview_tmp_old" not in statement.sql and "NOT VALID" not in statement.sql:
            continue
        main.run(statement.sql)
    main.run(
        "ALTER INDEX preview_tmp_unknown RENAME TO x" if False else "CREATE INDEX preview_tmp_x ON t (b)"
    )
    rest = planned(main.inspect(), goal)
    assert main.inspect().fingerprint() != fingerprint
    assert part_of(rest, plan) == ()
    apply(main.connect, rest)
    assert main.inspect().leftovers == ()
    with main.connect() as looking:
        assert difference(looking, goal) == ()
        again = remaining(looking, goal).plan
        assert again is not None
        assert again.statements == ()


def test_the_trace_says_what_was_locked_rewritten_and_scanned(database: Callable[..., Any]) -> None:
    main, goal = pair(
        database,
        "CREATE TABLE t (a int, b int); CREATE TABLE p (id int PRIMARY KEY)",
        "CREATE TABLE t (a bigint, b int REFERENCES p, c text); CREATE TABLE p (id int PRIMARY KEY)".replace(
            "CREATE TABLE t (a bigint, b int REFERENCES p, c text); CREATE TABLE p (id int PRIMARY KEY)",
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (a bigint, b int REFERENCES p, c text)",
        ),
        "INSERT INTO t VALUES (1, null)",
    )
    plan = planned(main.inspect(), goal)
    watching = Watching()
    traces = {plan.statements[each.index].sql: each for each in apply(main.connect, plan, observer=watching)}
    retype = next(trace for text, trace in traces.items() if "TYPE bigint" in text)
    assert retype.rewritten == ("public.t",)
    assert ("public.t", "AccessExclusiveLock") in retype.locks or plan.statements[retype.index - 1].lock_on
    assert any("rewriting table" in notice for notice in retype.notices)
    foreign = next(trace for text, trace in traces.items() if text.endswith("NOT VALID"))
    assert ("public.p", "ShareRowExclusiveLock") in foreign.locks
    validate = next(trace for text, trace in traces.items() if "VALIDATE" in text and "NOT VALID" not in text)
    assert ("public.t", "ShareUpdateExclusiveLock") in validate.locks
    assert validate.rewritten == ()
    for trace in traces.values():
        assert StatementTrace.from_json(trace.to_json()) == trace
    assert watching.heard == [
        (word, i) for i in range(len(plan.statements)) for word in ("started", "finished")
    ]


def test_the_declared_locks_are_at_least_the_measured_ones(database: Callable[..., Any]) -> None:
    """The plan's lock column is a promise; the server is the judge."""
    from orchestrator.migration.locks import LockMode

    main, goal = pair(
        database,
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, a varchar(5), b int, c int, d int);"
        " CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t; INSERT INTO t VALUES (1, 'a', 1, 1, 1);"
        " INSERT INTO p VALUES (1)",
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, a text, b int NOT NULL REFERENCES p,"
        " c bigint DEFAULT 4, e int CHECK (e > 0), f int UNIQUE) WITH (fillfactor = 70);"
        " CREATE INDEX i ON t (a, b); CREATE VIEW v AS SELECT a FROM t; COMMENT ON COLUMN t.a IS 'x';"
        " CREATE TABLE n (id int REFERENCES p)",
    )
    plan = planned(main.inspect(), goal)
    for trace in apply(main.connect, plan):
        statement = plan.statements[trace.index]
        group = [each for each in plan.statements[: trace.index + 1] if each.group == statement.group]
        allowed = {name for each in group for name in each.lock_on}
        strongest = max(each.lock.strength for each in group)
        for relation, mode in trace.locks:
            if LockMode(mode).strength > LockMode.SHARE_UPDATE_EXCLUSIVE.strength:
                assert relation in allowed, (statement.sql, relation, mode)
                assert LockMode(mode).strength <= strongest, (statement.sql, relation, mode)


def test_a_lost_connection_before_commit_is_tried_again(database: Callable[..., Any]) -> None:
    main, goal = pair(database, "CREATE TABLE t (a int)", "CREATE TABLE t (a int, b int)")
    plan = planned(main.inspect(), goal)
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(main.connect())
        return opened[-1]

    class Killing(Watching):
        def started(self, index: int, statement: Statement) -> None:
            if len(opened) == 1:
                with main.connect() as killer:
                    killer.execute("select pg_terminate_backend(%s, 5000)", (opened[0].info.backend_pid,))

    apply(connect, plan, observer=Killing(), pause=no_pause)
    assert len(opened) == 2
    with main.connect() as looking:
        assert difference(looking, goal) == ()


def test_a_connection_lost_outside_of_a_transaction_is_in_doubt(database: Callable[..., Any]) -> None:
    main, goal = pair(database, "CREATE TABLE t (a int)", "CREATE TABLE t (a int); CREATE INDEX i ON t (a)")
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(main.connect())
        return opened[-1]

    class Killing(Watching):
        def started(self, index: int, statement: Statement) -> None:
            with main.connect() as killer:
                killer.execute("select pg_terminate_backend(%s, 5000)", (opened[0].info.backend_pid,))

    with pytest.raises(DatabaseUnreachable, match="must be looked at"):
        apply(connect, planned(main.inspect(), goal), observer=Killing(), pause=no_pause)
    apply(main.connect, planned(main.inspect(), goal))
    with main.connect() as looking:
        assert difference(looking, goal) == ()


def test_a_deadlock_is_tried_again(database: Callable[..., Any]) -> None:
    """We hold t and want u; the other holds u and wants t: one of the two is thrown out, and we come back."""
    main, goal = pair(
        database,
        "CREATE TABLE t (a int); CREATE TABLE u (a int)",
        "CREATE TABLE t (a int, b int); CREATE TABLE u (a int, b int)",
    )
    plan = planned(main.inspect(), goal)
    from dataclasses import replace

    plan = replace(
        plan, statements=tuple(replace(each, group=0, lock_timeout_ms=60_000) for each in plan.statements)
    )
    other = main.connect("the other")
    threads: list[threading.Thread] = []

    class Crossing(Watching):
        def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
            if index == 0 and not threads:
                other.execute("begin")
                other.execute("lock table u in access exclusive mode")
                threads.append(threading.Thread(target=cross))
                threads[0].start()

    def cross() -> None:
        try:
            other.execute("lock table t in access exclusive mode")
        except psycopg.errors.DeadlockDetected:
            pass
        finally:
            other.rollback()

    apply(main.connect, plan, observer=Crossing(), pause=no_pause)
    threads[0].join()
    other.close()
    with main.connect() as looking:
        assert difference(looking, goal) == ()


def test_whoever_stands_still_in_a_transaction_lets_go(database: Callable[..., Any]) -> None:
    """A machine that is gone without a word, or a process that is stopped, must not keep a table from everybody."""
    main, goal = pair(database, "CREATE TABLE t (a int)", "CREATE TABLE t (a int, b int)")
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(main.connect())
        return opened[-1]

    class Stopped(Watching):
        def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
            super().finished(index, statement, trace)
            if self.heard.count(("finished", index)) == 1:
                limit = "idle_in_transaction_session_timeout"
                assert opened[0].execute(f"show {limit}").fetchone() == (f"{IDLE_MS // 1000}s",)
                opened[0].execute(f"set {limit} = 200")  # so that the test need not wait; from here on only
                with main.connect("a visitor") as visitor:
                    visitor.execute("set lock_timeout = '20s'")
                    visitor.execute("select * from t")

    watching = Stopped()
    apply(connect, planned(main.inspect(), goal), observer=watching, pause=no_pause)
    assert watching.heard == [("started", 0), ("finished", 0)] * 2
    with main.connect() as looking:
        assert difference(looking, goal) == ()


def test_nothing_that_somebody_put_into_public_runs_with_our_rights(database: Callable[..., Any]) -> None:
    """A function or an operator that fits our arguments better than PostgreSQL's own would be taken instead of it."""
    main = database()
    main.run(
        """
        create table t (a int); create table caught (what text);
        create function catch(what text) returns void language sql as $$ insert into public.caught values (what) $$;
        create function quote_ident(name) returns text language sql as
            $$ select public.catch('quote_ident'); select pg_catalog.quote_ident($1::text) $$;
        create function times(numeric, int) returns numeric language sql as
            $$ select public.catch('*'); select pg_catalog.numeric_mul($1, $2::numeric) $$;
        create operator * (leftarg = numeric, rightarg = int, function = times);
        create function pg_try_advisory_lock(smallint) returns boolean language sql as
            $$ select public.catch('lock'); select true $$;
        """
    )
    add = Statement(
        sql="ALTER TABLE public.t ADD COLUMN b int",
        why="add b",
        lock=LockMode.ACCESS_EXCLUSIVE,
        lock_on=("public.t",),
        lock_timeout_ms=50,
    )
    plan = Plan(base="", goal="", statements=(add,))
    with main.connect("the slow report") as reader, main.connect("a visitor") as visitor:
        reader.execute("begin; lock table t in access exclusive mode")
        with pytest.raises(LockNotAcquired):
            apply(main.connect, plan, attempts=1, pause=no_pause, care=Care())
        waiting = threading.Thread(target=lambda: visitor.execute("select * from t"))
        waiting.start()
        with main.connect("the watch") as watch:
            while not watch.execute(WAITERS.encode(), {"pid": reader.info.backend_pid}).fetchall():
                threading.Event().wait(0.01)
        reader.execute("rollback")
        waiting.join()
    apply(main.connect, plan, care=Care())
    with main.connect() as session, advisory_lock(session, 7) as granted:
        assert granted
        assert proof.written(session)
    assert main.rows("select distinct what from caught") == []


def test_settings_of_the_connection_are_as_before(database: Callable[..., Any]) -> None:
    main, goal = pair(
        database, "CREATE TABLE t (a int)", "CREATE TABLE t (a int NOT NULL); CREATE INDEX i ON t (a)"
    )
    connection = main.connect()
    names = "current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting('search_path')"
    query = f"select {names}, current_setting('client_min_messages')".encode()
    before = connection.execute(query).fetchone()
    seen: list[object] = []

    class Looking(Watching):
        def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
            seen.append(connection.execute("select current_setting('lock_timeout')").fetchone())

    apply(lambda: connection, planned(main.inspect(), goal), observer=Looking())
    assert connection.closed
    assert ("2s",) in seen
    with main.connect() as fresh:
        assert fresh.execute(query).fetchone() == before


def test_a_statement_outside_of_transactions_is_watched_by_a_second_session(
    database: Callable[..., Any],
) -> None:
    main, goal = pair(
        database,
        "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 300000)",
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a)",
    )
    plan = planned(main.inspect(), goal)
    traces: list[StatementTrace] = []
    # It waits for an older writer until it was looked at, however quick the machine or late the look.
    waits = "select clock_timestamp() from pg_locks where not granted"
    looked = "select from pg_stat_activity where query like %s and state = 'idle' and query_start > %s"
    with main.connect("an older writer") as writer, main.connect("looks") as looks:
        writer.execute("begin; insert into t values (0)")
        run = threading.Thread(target=lambda: traces.extend(apply(main.connect, plan)))
        run.start()
        while not (since := looks.execute(waits).fetchone()):
            assert run.is_alive()
        while not looks.execute(looked, ("%l.granted and l.relation >= 16384%", since[0])).fetchall():
            assert run.is_alive()
        writer.execute("commit")
        run.join()
    [trace] = traces
    assert "CONCURRENTLY" in plan.statements[0].sql
    assert ("public.t", "ShareUpdateExclusiveLock") in trace.locks
    assert trace.wal_bytes is not None
    assert trace.wal_bytes > 1_000_000


def test_the_trace_has_the_lock_of_what_is_gone(database: Callable[..., Any]) -> None:
    table, view = "CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT a FROM t"
    main, goal = pair(database, f"{table}; {view}", table)
    [trace] = apply(main.connect, planned(main.inspect(), goal))
    assert trace.locks == (("public.v", "AccessExclusiveLock"),)
    assert trace.rewritten == ()


def test_the_trace_counts_the_rows_that_were_read(database: Callable[..., Any]) -> None:
    main, goal = pair(
        database,
        "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)",
        "CREATE TABLE t (a int CONSTRAINT small CHECK (a > 0))",
    )
    traces = apply(main.connect, planned(main.inspect(), goal))
    assert [each.rows_read for each in traces] == [(), (("public.t", 1000),)]


def test_the_trace_counts_the_temporary_files_of_a_transaction(database: Callable[..., Any]) -> None:
    main, goal = pair(
        database,
        "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 300000)",
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a)",
    )

    def frugal() -> Any:
        connection = main.connect()
        connection.execute("set maintenance_work_mem = '1MB'")
        return connection

    [trace] = apply(frugal, planned(main.inspect(), goal))
    assert trace.temp_bytes > 1_000_000
    assert StatementTrace.from_json(trace.to_json()) == trace
