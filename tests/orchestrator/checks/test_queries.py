"""Production's queries: pg_stat_statements of a real server, kept over its restarts, and shown without values."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.checks.exported import read_export
from orchestrator.checks.plans import Shape, explain_all
from orchestrator.checks.queries import (
    KEPT_FOR,
    NoStatistics,
    Query,
    Seen,
    has_texts,
    is_planned,
    merged,
    read_queries,
    shown,
    still_run,
    top,
    without_comments,
)
from orchestrator.database import connect
from orchestrator.errors import SettingsError
from tests.orchestrator.checks.conftest import running

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def with_statistics() -> Path | None:
    """The programs of a PostgreSQL that has pg_stat_statements; the wheel's has not."""
    found = shutil.which("pg_config")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place.parent / "lib" / "pg_stat_statements.so").exists():
            return place
    return None


def programs() -> Path:
    """The same; skips where there are none."""
    binaries = with_statistics()
    if binaries is None:
        reason = "no PostgreSQL with pg_stat_statements on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return binaries


@pytest.fixture(scope="module")
def server():
    with running(programs(), "-c shared_preload_libraries=pg_stat_statements", "-c autovacuum=off") as folder:
        yield folder


@pytest.fixture
def counted(server):
    """A database with the extension, an owner who may see everything, and what it ran."""
    with connect(f"postgresql://postgres@/postgres?host={server}", purpose="test") as admin:
        admin.execute("drop database if exists counted with (force)")
        admin.execute("create database counted")
    with connect(f"postgresql://postgres@/counted?host={server}", purpose="test") as admin:
        admin.execute("create schema stats; create extension pg_stat_statements schema stats")
        admin.execute("create table orders (id int primary key, state text)")
        for who in ("app", "watcher", "blind"):
            admin.execute(f"drop role if exists {who}")
            admin.execute(f"create role {who} login")
        admin.execute("grant select, insert on orders to app; grant pg_read_all_stats to watcher")
        admin.execute("grant usage on schema stats to public")
        admin.execute("select stats.pg_stat_statements_reset()")
        with psycopg.connect(f"postgresql://app@/counted?host={server}", autocommit=True) as app:
            for number in range(3):
                app.execute(
                    f"/* it's request {number} */ select id from orders where state = 'secret-{number}'".encode()
                )
            app.execute(b"select count(*) from orders where id > 10 and now() > now() - interval '1 day'")
            app.execute(b"set statement_timeout = '61s'")
    yield server
    with connect(f"postgresql://postgres@/postgres?host={server}", purpose="test") as admin:
        admin.execute("drop database counted with (force)")


def test_queries_are_read_without_values_and_planned(counted):
    with connect(f"postgresql://watcher@/counted?host={counted}", purpose="test") as watcher:
        seen = read_queries(watcher)
    mine = {each.text: each for each in seen.queries if each.role == "app"}
    assert set(mine) == {
        "select id from orders where state = $1",
        "select count(*) from orders where id > $1 and now() > now() - interval $2",
    }
    first = mine["select id from orders where state = $1"]
    assert first.calls == 3
    assert first.total_ms > 0
    assert first.hours >= 0
    assert seen.hidden == 0
    with connect(f"postgresql://postgres@/counted?host={counted}", purpose="test") as branch:
        planned = explain_all(branch, {each.id: each.text for each in mine.values()})
    assert len(planned) == 2
    assert all(isinstance(each, Shape) for each in planned.values()), planned


def test_a_role_that_may_not_see_is_told_of_what_is_hidden(counted):
    with connect(f"postgresql://blind@/counted?host={counted}", purpose="test") as blind:
        seen = read_queries(blind)
    assert seen.hidden > 0
    assert not [each for each in seen.queries if each.role == "app"]


def test_a_restart_forgets_and_what_is_kept_does_not(counted):
    uri = f"postgresql://postgres@/counted?host={counted}"
    with connect(uri, purpose="test") as main:
        kept = merged({}, read_queries(main))
        [key] = [
            key for key, each in kept.items() if each["text"] == "select id from orders where state = $1"
        ]
        assert kept[key]["calls"] == 3
        main.execute("select stats.pg_stat_statements_reset()")  # a compute that restarts begins like this
        assert key not in {each.id for each in read_queries(main).queries}
        kept = merged(kept, read_queries(main))
        assert kept[key]["calls"] == 3
        with connect(f"postgresql://app@/counted?host={counted}", purpose="app") as app:
            app.execute(b"select id from orders where state = 'x'")
        kept = merged(kept, read_queries(main))
        assert kept[key]["calls"] == 4
        assert merged(kept, read_queries(main))[key]["calls"] == 4


def test_a_database_without_the_extension_says_so(branch):
    with pytest.raises(NoStatistics):
        read_queries(branch)


def seen(calls, *, at, since=NOON, total_ms=None):
    query = Query(
        id="q",
        role="app",
        text="select 1",
        calls=calls,
        total_ms=float(calls if total_ms is None else total_ms),
        hours=(at - since).total_seconds() / 3600,
    )
    return Seen(queries=(query,), since=since, at=at)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=12))
def test_counts_add_up_over_any_restarts_that_were_looked_at(steps):
    """Each step: so many calls came, then we look; sometimes main restarts after our look."""
    kept, counter, since, at, whole = {}, 0, NOON, NOON, 0
    for came, restarts in steps:
        at += timedelta(hours=1)
        counter, whole = counter + came, whole + came
        kept = merged(kept, seen(counter, at=at, since=since))
        if restarts:
            counter, since = 0, at
    assert kept["q"]["calls"] == whole
    assert kept["q"]["total_ms"] == pytest.approx(whole)
    assert kept["q"]["hours"] == pytest.approx(len(steps))


def test_what_is_not_seen_for_long_is_forgotten():
    kept = merged({}, seen(5, at=NOON))
    later = Seen(queries=(), since=NOON, at=NOON + KEPT_FOR - timedelta(hours=1))
    assert merged(kept, later)
    assert not merged(kept, Seen(queries=(), since=NOON, at=NOON + KEPT_FOR + timedelta(hours=1)))


def test_what_main_counts_and_nobody_sends_any_more_is_left_out():
    kept = merged({}, seen(5, at=NOON))
    later = NOON + KEPT_FOR + timedelta(hours=1)
    for day in range(1, 31):
        kept = merged(kept, seen(5, at=NOON + timedelta(days=day), since=NOON))
    kept = merged(kept, seen(5, at=later, since=NOON))
    assert kept["q"]["calls"] == 5
    assert not still_run(kept, later)
    assert still_run(merged(kept, seen(6, at=later, since=NOON)), later)


@given(st.text("abc'\"$-*/\\ 12;", max_size=30))
def test_nothing_is_shown_of_a_value(text):
    literal = "'" + text.replace("'", "''").replace("\\", "") + "'"
    assert shown(f"select * from t where a = {literal} and b = 4711 and c = $$x$$") == (
        "select * from t where a = '…' and b = … and c = '…'"
    )


def test_texts():
    assert (
        shown('select a1, "B 2", $1 from t2 -- 17\n where x = -3.5')
        == 'select a1, "B 2", $1 from t2 where x = -…'
    )
    assert len(shown("select " + "x, " * 500)) == 200
    assert without_comments("/*a='b'*/ select 1 -- c\n;") == "select 1"
    assert has_texts("select 'x'")
    assert has_texts("select $$x$$")
    assert not has_texts('select "it\'s", $1, $2')
    assert is_planned("  (select 1)")
    assert is_planned("WITH x AS (select 1) delete from t")
    assert not is_planned("alter role x password 'y'")
    assert not is_planned("selection")


def test_the_foremost_queries():
    def query(name, ms, calls=1):
        return Query(id=name, role="", text="select 1", calls=calls, total_ms=ms, hours=0)

    assert [each.id for each in top([query("a", 1), query("b", 3), query("c", 1, 9)], 2)] == ["b", "c"]
    assert query("a", 1).calls_per_hour == 0


def test_an_export_is_read_as_csv_and_as_json():
    rows = 'query,calls,total_exec_time\n"select id from orders where state = $1",12,3.5\nvacuum,1,1\n'
    [query] = read_export("s.csv", rows)
    assert (query.text, query.calls, query.total_ms) == ("select id from orders where state = $1", 12, 3.5)
    [again] = read_export(
        "s.json", '[{"query": "select id from orders where state = $1", "calls": 12, "hours": 2}]'
    )
    assert again.id == query.id
    assert again.calls_per_hour == 6


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.json", "{", "cannot be read"),
        ("s.json", "{}", "no list"),
        ("s.csv", "a,b\n1,2\n", "row 1 of s.csv has no query"),
        ("s.json", '[{"query": "select 1", "calls": "many"}]', "row 1"),
    ],
)
def test_a_wrong_export_is_refused_by_name(name, content, words):
    with pytest.raises(SettingsError, match=words.replace("no list", "not a list")):
        read_export(name, content)
