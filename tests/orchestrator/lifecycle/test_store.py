"""The diary: rows, events, leases, and what two processes at once may do."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from orchestrator.database import connect
from orchestrator.errors import Busy, DatabaseUnreachable, NameTaken, OrchestratorError, UnknownPreview
from orchestrator.lifecycle import Preview, State, Store, Wanted
from orchestrator.lifecycle.around import losing_store
from orchestrator.lifecycle.lease import LeaseLost
from orchestrator.lifecycle.states import TRANSITIONS, WORKING
from orchestrator.lifecycle.versions import scripts


def make(store: Store, name: str = "pr-1") -> Preview:
    return store.create(name=name, project="embedded/p-1", facts={"runtime": "process"})


def test_a_new_preview_is_an_intent_with_its_first_event(store: Store) -> None:
    preview = make(store)

    assert (preview.state, preview.wanted) == (State.BRANCHING, Wanted.READY)
    assert preview.slug == f"pr-1-{preview.id}"
    assert [(name, event.kind, event.who) for name, event in store.history(preview.id)] == [
        ("pr-1", "requested", "ada@test")
    ]


def test_a_live_name_is_taken_and_a_closed_one_is_free(store: Store) -> None:
    first = make(store)
    with pytest.raises(NameTaken, match="'pr-1' is taken"):
        make(store)
    with store.lease(first.id) as lease:
        store.record(lease, to=State.DISCARDING, kind="step")
        store.record(lease, to=State.CLOSED, kind="step")

    second = make(store)

    assert second.id != first.id
    assert store.find("pr-1") == second
    assert [preview.id for preview in store.live(closed=True)] == [first.id, second.id]


def test_of_two_who_ask_for_a_name_at_once_one_gets_it(open_store: Callable[..., Store]) -> None:
    stores = [open_store() for _ in range(4)]

    def ask(each: Store) -> str:
        try:
            return make(each).id
        except NameTaken:
            return "taken"

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(ask, stores))

    assert sorted(got)[1:] == ["taken"] * 3 or got.count("taken") == 3
    assert len(stores[0].live()) == 1


def test_tables_are_made_once_when_many_open_an_empty_store_at_once(
    store_uri: str, open_store: Callable[..., Store]
) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: open_store(), range(6)))

    with connect(store_uri, purpose="look") as connection:
        assert connection.execute("select count(*) from preview_control.version").fetchone() == (1,)
    assert len(stores) == 6


def test_a_store_of_another_version_is_refused(
    store_uri: str, store: Store, open_store: Callable[..., Store]
) -> None:
    with connect(store_uri, purpose="from the future") as connection:
        connection.execute("update preview_control.version set version = 99, oldest = 98")

    with pytest.raises(OrchestratorError, match="version 99"):
        open_store()


def test_a_newer_store_that_only_added_is_worked_with(
    store_uri: str, store: Store, open_store: Callable[..., Store]
) -> None:
    with connect(store_uri, purpose="from the future") as connection:
        connection.execute("update preview_control.version set version = 99")
        connection.execute("alter table preview_control.preview add column mood text not null default 'calm'")

    assert open_store().get(make(store).id).state is State.BRANCHING


def test_a_store_of_the_first_version_is_brought_up_with_its_rows(
    store_uri: str, store: Store, open_store: Callable[..., Store]
) -> None:
    kept = make(store)
    with connect(store_uri, purpose="back to the first version") as connection:
        rows = connection.execute(
            "select id, name, project, wanted, state, created_by from preview_control.preview"
        ).fetchall()
        connection.execute("drop schema preview_control cascade")
        connection.execute(scripts()[0].encode())
        connection.cursor().executemany(
            "insert into preview_control.preview (id, name, project, wanted, state, created_by) "
            "values (%s, %s, %s, %s, %s, %s)",
            rows,
        )

    assert open_store().get(kept.id).name == kept.name


def test_row_and_event_change_together_and_facts_merge(store: Store) -> None:
    preview = make(store)
    with store.lease(preview.id) as lease:
        after = store.record(
            lease,
            to=State.MIGRATING,
            kind="step",
            note="branched",
            facts={"branch": {"id": "br-1"}, "runtime": None},
            milliseconds=12.5,
        )

    assert after.facts == {"branch": {"id": "br-1"}}
    event = store.history(preview.id)[-1][1]
    assert (event.kind, event.state, event.note, event.milliseconds) == (
        "step",
        State.MIGRATING,
        "branched",
        12.5,
    )


def test_a_transition_that_is_none_is_refused_and_nothing_is_written(store: Store) -> None:
    preview = make(store)
    with store.lease(preview.id) as lease, pytest.raises(OrchestratorError, match="cannot become"):
        store.record(lease, to=State.PROMOTED, kind="step")

    assert store.get(preview.id).state is State.BRANCHING
    assert len(store.history(preview.id)) == 1


def test_the_second_who_asks_for_the_lease_is_told_who_has_it(open_store: Callable[..., Store]) -> None:
    first, second = open_store("ada@test"), open_store("bob@test")
    preview = make(first)

    with first.lease(preview.id), pytest.raises(Busy) as caught, second.lease(preview.id):
        pass

    assert f"ada@test pid {os.getpid()}" in caught.value.message
    with second.lease(preview.id):
        pass


def test_whoever_waits_gets_the_lease_when_it_is_free(open_store: Callable[..., Store]) -> None:
    first, second = open_store(), open_store()
    preview = make(first)
    held = first.lease(preview.id)
    held.__enter__()
    asked: list[str] = []

    def wait(holder: str) -> bool:
        asked.append(holder)
        held.__exit__(None, None, None)
        return True

    with second.lease(preview.id, wait=wait) as lease:
        second.record(lease, to=State.MIGRATING, kind="step")

    assert len(asked) == 1


def test_a_holder_whose_session_was_cut_off_writes_nothing_more(
    store_uri: str, open_store: Callable[..., Store]
) -> None:
    """Fencing: the first holder's server process is ended, a second takes over, the first wakes up."""
    first, second = open_store("ada@test"), open_store("bob@test")
    preview = make(first)
    other = open_store("ada@test")
    with second.lease(preview.id) as stale:
        # The lock is freed as if the session had died; the holder does not know.
        second._connection.execute("select pg_advisory_unlock_all()")
        with first.lease(preview.id) as lease:
            first.record(lease, to=State.MIGRATING, kind="step")
            with pytest.raises(LeaseLost):
                second.record(stale, to=State.FAILED, kind="failed")

    assert other.get(preview.id).state is State.MIGRATING


def test_the_lease_of_a_killed_process_is_free_at_once(store_uri: str, store: Store) -> None:
    preview = make(store)
    program = textwrap.dedent("""
        import os, sys
        from orchestrator.database import connect
        from orchestrator.lifecycle import Store
        store = Store(connect(os.environ["STORE"], purpose="victim"), who="victim@test")
        with store.lease(sys.argv[1]):
            print("held", flush=True)
            sys.stdin.read()
    """)
    victim = subprocess.Popen(
        [sys.executable, "-c", program, preview.id],
        env={**os.environ, "STORE": store_uri},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "held\n"
        with pytest.raises(Busy, match="victim@test"), store.lease(preview.id):
            pass
        victim.send_signal(signal.SIGKILL)
        victim.wait()

        # The server notices the closed socket; no time-out of ours is involved.
        with store.lease(preview.id, wait=lambda _holder: True) as lease:
            assert store.record(lease, to=State.MIGRATING, kind="step").state is State.MIGRATING
    finally:
        victim.kill()
        victim.communicate()


def test_wanting_needs_no_lease(open_store: Callable[..., Store]) -> None:
    first, second = open_store(), open_store()
    preview = make(first)

    with first.lease(preview.id):
        second.want(preview.id, Wanted.CLOSED, note="preview discard")

    assert first.get(preview.id).wanted is Wanted.CLOSED


def test_unknown_previews_are_errors(store: Store) -> None:
    with pytest.raises(UnknownPreview):
        store.get("00000000")
    with pytest.raises(UnknownPreview):
        store.want("00000000", Wanted.CLOSED, note="")
    assert store.find("nobody") is None


def test_every_state_is_in_the_table_and_every_working_state_can_fail_or_end() -> None:
    assert set(TRANSITIONS) == set(State)
    for state in WORKING:
        assert State.FAILED in TRANSITIONS[state]
    for state in set(State) - {State.CLOSED, State.PROMOTING, State.DISCARDING}:
        assert State.DISCARDING in TRANSITIONS[state]


def test_what_outlives_previews_is_kept_by_project_and_topic(store, open_store):
    one, other = store.kept("embedded/a"), open_store().kept("embedded/b")
    assert one.change("queries", lambda old: {**old, "x": {"n": 1}, "y": {"n": 2}}) == {
        "x": {"n": 1},
        "y": {"n": 2},
    }
    assert other.change("queries", lambda old: old) == {}
    assert one.change("else", lambda old: old) == {}
    again = open_store().kept("embedded/a")
    assert again.change("queries", lambda old: {"y": {"n": old["y"]["n"] + 1}}) == {"y": {"n": 3}}
    assert one.change("queries", lambda old: old) == {"y": {"n": 3}}


def test_ctrl_c_in_the_middle_of_a_query_stays_ctrl_c() -> None:
    lost = psycopg.OperationalError("sending query failed: another command is already in progress")
    lost.__context__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), losing_store():
        raise lost
    with pytest.raises(DatabaseUnreachable), losing_store():
        raise psycopg.OperationalError("server closed the connection unexpectedly")
