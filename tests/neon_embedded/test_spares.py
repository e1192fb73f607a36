"""Warm spares: taken at the head, refilled, given up for a copy when they are of no use, gone with their branch."""

import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from neon_client import NeonClient
from neon_embedded import ensure_running, following, stop
from neon_embedded.branches import create_branch, delete_branch
from neon_embedded.cli import app, spares_line
from neon_embedded.computes import postmaster_of, suspend, wake
from neon_embedded.errors import EmbeddedError, Refusal
from neon_embedded.following import care_for_spares, set_spares
from neon_embedded.idleness import Idleness
from neon_embedded.postmaster import Postmaster
from neon_embedded.processes import alive
from neon_embedded.restores import restore_branch
from neon_embedded.rows import BranchRow, EndpointRow, SpareRow
from neon_embedded.spares import directory_of, forget_lost_spares, number_wanted, shown_spares

from .conftest import Kept


@pytest.fixture(scope="module", params=[18])
def made(request: pytest.FixtureRequest) -> Iterator[Kept]:
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    folder.chmod(0o755)
    kept = Kept(folder / "home", pg_version=request.param)
    kept.sql("create table steps (n int)")
    yield kept
    kept.plane.close()
    kept.plane.store.close()
    stop(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture
def kept(made: Kept) -> Iterator[Kept]:
    """Main has one spare, and no row."""
    made.sql("truncate steps")
    set_spares(made.plane, made.main.id, 1)
    care_for_spares(made.plane)
    yield made
    for branch in reversed(made.plane.store.all(BranchRow)):
        if not branch.is_default:
            delete_branch(made.plane, made.project_id, branch.id)
    assert {each.name for each in made.plane.home.branches.iterdir()} == {made.main.timeline}


def spares(kept: Kept, branch: BranchRow | None = None) -> list[SpareRow]:
    rows = kept.plane.store.all(SpareRow, timeline=(branch or kept.main).timeline)
    directories = {each.name for each in kept.plane.home.spares.iterdir()}
    assert directories == {each.id for each in kept.plane.store.all(SpareRow)}
    return rows


def standby(kept: Kept, row: SpareRow) -> Postmaster:
    main = kept.postmaster
    return Postmaster(
        directory=directory_of(kept.plane, row),
        binaries=main.binaries,
        account=main.account,
        run_dir=main.run_dir,
    )


def has_all(kept: Kept) -> None:
    """Wait until main's spare has all of main; of one that sleeps, it would not be taken before."""
    (row,) = spares(kept)
    while following._behind(kept.plane, kept.main, standby(kept, row)) != 0:
        pass


def branch_of_main(kept: Kept, name: str) -> BranchRow:
    row, operations = create_branch(
        kept.plane, kept.project_id, {"branch": {"name": name}, "endpoints": [{"type": "read_write"}]}
    )
    assert [each.error for each in operations] == [None] * len(operations)
    found = kept.plane.store.one(BranchRow, id=row.id)
    assert found is not None
    return found


def steps(kept: Kept, branch: BranchRow) -> list[int]:
    with postmaster_of(kept.plane, branch).superuser() as connection:
        connection.execute("create table writable ()")
        return [row[0] for row in connection.execute("select n from steps order by n").fetchall()]


def test_a_branch_is_its_spare_and_the_next_one_is_made(kept: Kept) -> None:
    (first,) = spares(kept)
    kept.sql("insert into steps values (1)")
    kept.sql("begin; set local synchronous_commit = off; insert into steps values (2); commit")
    branch = branch_of_main(kept, "quick")
    assert steps(kept, branch) == [1, 2]
    assert branch.parent_lsn
    assert spares(kept) == []
    # The spare's log came with its directory: it is the spare itself, not a copy.
    log = kept.plane.home.branches / branch.timeline / "postgres.log"
    assert "received promote request" in log.read_text()
    assert not (log.parent / "data/standby.signal").exists()
    assert (log.parent / "data/postgresql.auto.conf").read_text() == ""
    kept.sql("insert into steps values (3)")
    assert [each.name for each in kept.plane.store.all(BranchRow)] == ["main", "quick"]
    care_for_spares(kept.plane)
    (second,) = spares(kept)
    assert second.id != first.id
    slots = "select array_agg(slot_name::text) from pg_replication_slots where slot_name like 'spare%'"
    assert kept.sql(slots) == [second.slot]
    assert steps(kept, branch_of_main(kept, "second")) == [1, 2, 3]
    shown = shown_spares(kept.plane, kept.main)
    assert (shown["asked"], shown["ready"], shown["trouble"]) == (1, 0, None)


def test_a_reset_takes_it_too(kept: Kept) -> None:
    branch = branch_of_main(kept, "reset")
    care_for_spares(kept.plane)
    kept.sql("insert into steps values (4)")
    restore_branch(kept.plane, kept.project_id, branch.id, {"source_branch_id": kept.main.id})
    found = kept.plane.store.one(BranchRow, id=branch.id)
    assert found is not None
    assert steps(kept, found) == [4]
    assert spares(kept) == []


def test_one_that_was_killed_is_passed_over_and_started_again(kept: Kept) -> None:
    (row,) = spares(kept)
    pid = standby(kept, row).pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while alive(pid):
        pass
    kept.sql("insert into steps values (1)")
    assert steps(kept, branch_of_main(kept, "copied")) == [1]
    care_for_spares(kept.plane)
    assert [each.id for each in spares(kept)] == [row.id]
    kept.sql("insert into steps values (2)")
    assert steps(kept, branch_of_main(kept, "taken")) == [1, 2]
    assert spares(kept) == []


def test_one_that_does_not_come_up_with_its_branch_is_replaced_by_a_copy(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = spares(kept)
    with standby(kept, row).superuser() as connection:
        connection.execute("select pg_wal_replay_pause()")
    kept.sql("insert into steps values (1)")
    monkeypatch.setattr(following, "_CATCH_UP_SECONDS", 0.2)
    assert steps(kept, branch_of_main(kept, "late")) == [1]
    assert spares(kept) == []
    monkeypatch.undo()
    care_for_spares(kept.plane)
    monkeypatch.setattr(following, "_MOST_BEHIND", -1)
    (row,) = spares(kept)
    assert steps(kept, branch_of_main(kept, "far")) == [1]
    assert spares(kept) == [row]


def test_a_branch_that_sleeps(kept: Kept) -> None:
    """Its spare has all of it, unless the branch was awake for us alone since, on another port."""
    (endpoint,) = kept.plane.store.all(EndpointRow, branch_id=kept.main.id)
    kept.sql("insert into steps values (1)")
    suspend(kept.plane, endpoint.id)
    care_for_spares(kept.plane)
    has_all(kept)
    branch = branch_of_main(kept, "of a sleeper")
    assert kept.postmaster.pid() is None
    assert steps(kept, branch) == [1]
    assert spares(kept) == []
    wake(kept.plane, endpoint.id)
    care_for_spares(kept.plane)
    suspend(kept.plane, endpoint.id)
    kept.postmaster.start(port=kept.port + 1, addresses=(), durable=True)
    kept.sql("insert into steps values (2)")
    kept.postmaster.stop()
    assert steps(kept, branch_of_main(kept, "of one that was elsewhere")) == [1, 2]
    (left,) = spares(kept)
    wake(kept.plane, endpoint.id)
    care_for_spares(kept.plane)
    assert spares(kept) == [left]


def test_a_port_that_changed_is_followed(kept: Kept) -> None:
    (row,) = spares(kept)
    kept.postmaster.stop()
    kept.postmaster.start(port=kept.port + 1, addresses=(), durable=True)
    care_for_spares(kept.plane)
    kept.sql("insert into steps values (1)")
    branch = branch_of_main(kept, "moved")
    assert steps(kept, branch) == [1]
    assert "received promote" in (kept.plane.home.branches / branch.timeline / "postgres.log").read_text()
    assert not kept.plane.store.all(SpareRow, id=row.id)
    kept.postmaster.stop()
    kept.postmaster.start(port=kept.port, addresses=("127.0.0.1",), durable=True)


def test_it_goes_with_its_branch(kept: Kept) -> None:
    branch = branch_of_main(kept, "with a spare")
    set_spares(kept.plane, branch.id, 2)
    set_spares(kept.plane, kept.main.id, 0)
    for _ in range(2):
        care_for_spares(kept.plane)
    rows = spares(kept, branch)
    assert len(rows) == 2
    assert spares(kept) == []
    assert kept.sql("select count(*) from pg_replication_slots where slot_name like 'spare%'") == 0
    pids = [standby(kept, row).pid() for row in rows]
    delete_branch(kept.plane, kept.project_id, branch.id)
    assert spares(kept, branch) == []
    assert not any(alive(pid) for pid in pids if pid)


def test_a_spare_keeps_nobody_awake(kept: Kept) -> None:
    idleness = Idleness()
    kept.sql("checkpoint")
    idleness._look("ep", kept.postmaster)
    while kept.sql("select count(*) from pg_stat_replication") != 1:
        pass  # it comes up before it asks its branch
    while not idleness._look("ep", kept.postmaster):
        pass


def test_a_disk_that_gets_full(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spares(kept)
    monkeypatch.setattr(following, "free_bytes", lambda _: 100_000_000)
    care_for_spares(kept.plane)
    assert spares(kept) == []
    monkeypatch.setattr(following, "free_bytes", lambda _: 512_000_001)
    monkeypatch.setattr(following, "shares_blocks", lambda _: False)
    care_for_spares(kept.plane)
    assert spares(kept) == []
    trouble = shown_spares(kept.plane, kept.main)["trouble"]
    assert "MB free; a spare of" in trouble
    monkeypatch.undo()
    care_for_spares(kept.plane)
    assert spares(kept) == []  # after a failure nobody tries for a while, unless asked
    set_spares(kept.plane, kept.main.id, 1)
    care_for_spares(kept.plane)
    assert len(spares(kept)) == 1
    assert shown_spares(kept.plane, kept.main)["trouble"] is None


def test_what_a_death_left_is_removed_and_what_follows_stays(kept: Kept) -> None:
    (row,) = spares(kept)
    store, home = kept.plane.store, kept.plane.home
    for name, state, boot in (
        ("spare-a", "copying", row.boot),
        ("spare-b", "taken", row.boot),
        ("spare-c", "following", "another"),
    ):
        known = {"project_id": row.project_id, "timeline": row.timeline, "port": 1}
        store.add(SpareRow(id=name, state=state, boot=boot, **known))  # type: ignore[arg-type]
        (home.spares / name).mkdir()
    (home.spares / "spare-d").mkdir()
    forget_lost_spares(kept.plane)
    assert spares(kept) == [row]


def test_wishes_that_cannot_be(kept: Kept) -> None:
    for number in (-1, 4):
        with pytest.raises(Refusal, match="spares"):
            set_spares(kept.plane, kept.main.id, number)
    with pytest.raises(Refusal, match="branch not found"):
        set_spares(kept.plane, "br-no", 1)


@given(
    asked=st.none() | st.integers(0, 3),
    is_default=st.booleans(),
    size=st.integers(0, 10**12),
    free=st.integers(0, 10**13),
    shares=st.booleans(),
    has=st.integers(0, 3),
)
def test_how_many(
    *, asked: int | None, is_default: bool, size: int, free: int, shares: bool, has: int
) -> None:
    """What was asked for counts; the rule takes at most a tenth of what is free, and gives up at a quarter."""
    branch = BranchRow(id="b", project_id="p", name="n", is_default=is_default, spares=asked)
    found = number_wanted(branch, size=size, free=free, shares=shares, has=has)
    if asked is not None:
        assert found == asked
        return
    assert found in {0, 1}
    if found:
        assert is_default
        assert not shares
        assert size >= 100_000_000
        assert size <= free / (4 if has else 10)
    elif is_default and not shares and size >= 100_000_000:
        assert size > free // 10


def kill_while(home: Path, delays: tuple[float, ...], *, taking: bool) -> None:
    """kill -9 of the server while a spare is copied or taken; the next one has all in order."""
    running = ensure_running(home)
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as client:
        made = client.create_project(name="killed")
    project, main = made.project.id, made.branch.id

    def ask(where: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {running.api_key.reveal()}"}
        method = "POST" if body is not None else "GET"
        with httpx.Client(base_url=running.base_url, headers=headers, timeout=60) as http:
            return http.request(method, where, json=body).json()

    def spares_of_main() -> dict[str, Any]:
        (branch,) = [each for each in ask("embedded/status")["projects"][0]["branches"] if each["id"] == main]
        found: dict[str, Any] = branch["spares"]
        return found

    def until_ready() -> None:
        while not spares_of_main()["ready"]:
            assert spares_of_main()["trouble"] is None

    def act() -> None:
        with suppress(httpx.HTTPError, ValueError):
            if taking:
                ask(f"projects/{project}/branches", {"branch": {}, "endpoints": [{"type": "read_write"}]})
            else:
                ask("embedded/spares", {"branch_id": main, "spares": 2})

    ask("embedded/spares", {"branch_id": main, "spares": 1})
    for delay in delays:
        until_ready()
        acting = threading.Thread(target=act)
        acting.start()
        acting.join(delay)
        os.kill(running.pid, signal.SIGKILL)
        while alive(running.pid):
            pass
        acting.join()
        running = ensure_running(home)
        ask("embedded/spares", {"branch_id": main, "spares": 1})
        until_ready()
        with NeonClient(api_key=running.api_key, base_url=running.base_url) as client:
            branches = client.branches(project)
            assert len(list((home / "branches").iterdir())) == len(branches)
            for branch in branches:
                assert branch.current_state == "ready"
                if branch.id != main:
                    client.delete_branch(project, branch.id)
        while (found := spares_of_main())["ready"] != 1 or found["copying"]:
            pass
        assert len(list((home / "spares").iterdir())) == 1


def test_a_death_leaves_no_half_spare(home: Path) -> None:
    kill_while(home, (0.08,), taking=True)


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("taking", [True, False], ids=["taken", "copied"])
def test_many_deaths_leave_no_half_spare(home: Path, *, taking: bool) -> None:
    delays = tuple(number * 0.02 for number in range(1, 16)) if taking else (0.9, 1.0, 1.1, 1.2, 1.4, 1.8)
    kill_while(home, delays, taking=taking)


def test_asked_for_and_shown_by_the_command(home: Path) -> None:
    running = ensure_running(home)
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as client:
        client.create_project(name="shop")
    runner, where = CliRunner(), ["--home", str(home)]
    assert runner.invoke(app, ["spares", "1", *where]).output == "shop/main: 1\n"
    while ", 0 ready" in (shown := runner.invoke(app, ["status", *where]).output) or " being copied" in shown:
        pass
    assert re.search(r"warm spares: [01] ready", shown)
    assert runner.invoke(app, ["spares", "0", "--branch", "main", *where]).output == "shop/main: 0\n"
    while "warm spares" in runner.invoke(app, ["status", *where]).output:
        pass
    assert runner.invoke(app, ["spares", "9", *where]).exit_code == 2
    with pytest.raises(EmbeddedError, match="no branch 'nobody'"):
        runner.invoke(app, ["spares", "1", "--branch", "nobody", *where], catch_exceptions=False)


@pytest.mark.parametrize(
    ("spares_", "line"),
    [
        ({"asked": None, "ready": 0, "copying": 0, "bytes": 0, "trouble": None}, ""),
        (
            {"asked": 2, "ready": 1, "copying": 1, "bytes": 5_300_000_000, "trouble": "why"},
            "warm spares: 1 ready, 1 being copied, 5,300 MB of disk, why",
        ),
    ],
)
def test_the_line_of_the_status(spares_: dict[str, Any], line: str) -> None:
    assert spares_line(spares_) == line
