"""What a branch is: its parent at a moment, whole, apart, without the parent's process things."""

import sqlite3
import threading
from pathlib import Path

import psycopg
import pytest

from neon_client import ApiError, OperationFailed

from .conftest import World


def test_a_writing_parent_loses_nothing_and_the_child_is_whole(world: World) -> None:
    """Transfers between two tables keep the sum; every one that was told as done before the branch is in it."""
    with world.connect(world.main) as connection:
        connection.execute("create table account (id int primary key, cents bigint not null)")
        connection.execute("insert into account select n, 1000 from generate_series(0, 99) n")
        connection.execute("create table told (id bigint generated always as identity, worker int)")
    told, over = [0, 0], threading.Event()

    def write(worker: int) -> None:
        with world.connect(world.main) as connection:
            number = 0
            while not over.is_set():
                number += 1
                one, other = (number * 7 + worker) % 100, (number * 13 + worker + 1) % 100
                with connection.transaction():
                    for account in sorted({one, other}):
                        cents = (account == other) - (account == one)
                        connection.execute(
                            "update account set cents = cents + %s where id = %s", (cents, account)
                        )
                    connection.execute("insert into told (worker) values (%s)", (worker,))
                told[worker] = number

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    try:
        while min(told) < 20:
            threads[0].join(0.01)
            assert all(thread.is_alive() for thread in threads)
        for name in ("one", "two", "three"):
            before = list(told)
            branch = world.client.create_branch(world.project, name=name, parent_id=world.main).branch
            after = list(told)
            with world.connect(branch.id) as connection:
                assert connection.execute("select sum(cents), count(*) from account").fetchone() == (
                    100_000,
                    100,
                )
                rows = dict(connection.execute("select worker, count(*) from told group by 1").fetchall())
                # The second transfer of a pair may be one account only; sums stay.
                for worker in range(2):
                    assert before[worker] <= rows[worker] <= after[worker] + 1
    finally:
        over.set()
        for thread in threads:
            thread.join()
    with world.connect(world.main) as connection:
        rows = dict(connection.execute("select worker, count(*) from told group by 1").fetchall())
        assert [rows[0], rows[1]] == told
        assert connection.execute("select sum(cents) from account").fetchone() == (100_000,)
        slots = connection.execute("select slot_name from pg_replication_slots").fetchall()
        assert set(slots) <= {("neon_history",)}
        connection.execute("drop table account, told")


def test_branches_of_branches(world: World) -> None:
    parent = world.main
    for depth in range(3):
        child = world.client.create_branch(world.project, name=f"depth{depth}", parent_id=parent).branch
        with world.connect(child.id) as connection:
            connection.execute(f"create table depth{depth} ()")
        parent = child.id
    with world.connect(parent) as connection:
        row = connection.execute("select count(*) from pg_tables where tablename like 'depth%'").fetchone()
        assert row == (3,)
    with pytest.raises(ApiError, match="children") as caught:
        world.client.delete_branch(world.project, world.client.branches(world.project)[1].id)
    assert caught.value.status == 422


def test_a_sleeping_parent_is_branched_as_it_lies(world: World) -> None:
    created = world.client.create_branch(world.project, name="parent", parent_id=world.main)
    parent, endpoint = created.branch, created.endpoints[0]
    with world.connect(parent.id) as connection:
        connection.execute("create table dream (n int)")
    world.client.suspend_endpoint(world.project, endpoint.id)
    child = world.client.create_branch(world.project, name="child", parent_id=parent.id).branch
    assert world.client.endpoints(world.project, parent.id)[0].current_state == "idle"
    with world.connect(child.id) as connection:
        connection.execute("insert into dream values (1)")
    with world.connect(parent.id) as connection:  # which wakes it
        assert connection.execute("select count(*) from dream").fetchone() == (0,)


def test_a_branch_without_compute(world: World) -> None:
    body = {"branch": {"name": "bare", "parent_id": world.main}}
    answer = world.http.post(f"projects/{world.project}/branches", json=body).json()
    assert answer["endpoints"] == []
    assert "connection_uris" not in answer
    branch = answer["branch"]["id"]
    world.settle()
    assert world.client.branch(world.project, branch).current_state == "ready"
    made = world.client.create_endpoint(world.project, branch)
    assert made.current_state == "active"
    assert world.client.create_endpoint(world.project, branch).id == made.id
    with world.connect(branch) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    world.client.delete_endpoint(world.project, made.id)
    world.client.delete_endpoint(world.project, made.id)
    assert world.client.endpoints(world.project, branch) == ()


def test_a_protected_branch_stays_and_its_child_gets_new_passwords(world: World) -> None:
    parent = world.client.create_branch(world.project, name="safe", parent_id=world.main).branch
    world.client.update_branch(world.project, parent.id, protected=True)
    assert world.http.delete(f"projects/{world.project}/branches/{parent.id}").status_code == 422
    child = world.client.create_branch(world.project, name="child", parent_id=parent.id).branch
    assert world.uri(child.id).password != world.uri(parent.id).password
    with world.connect(child.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    world.client.delete_branch(world.project, child.id)
    world.client.update_branch(world.project, parent.id, protected=False)


def test_nothing_of_the_parents_process_is_inherited(world: World) -> None:
    with psycopg.connect(
        host=str(_socket_directory(world)), port=world.uri(world.main).port, user="cloud_admin", dbname="postgres",
        autocommit=True,
    ) as admin:  # fmt: skip
        admin.execute("select pg_create_physical_replication_slot('of_the_parent', true)")
        admin.execute("alter system set primary_conninfo = 'host=nowhere'")
        try:
            branch = world.client.create_branch(world.project, name="clean", parent_id=world.main).branch
        finally:
            admin.execute("select pg_drop_replication_slot('of_the_parent')")
            admin.execute("alter system reset all")
    with world.connect(branch.id) as connection:
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
    data = world.running.home / "branches" / branch.id / "data"
    assert (data / "postgresql.auto.conf").read_text() == ""


def test_a_tablespace_is_refused_and_nothing_is_left(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = world.running.home / "branches" / world.main / "data"
    link = data / "pg_tblspc" / "99999"
    link.symlink_to("/nowhere")
    try:
        with pytest.raises(OperationFailed, match="tablespaces cannot be branched"):
            world.client.create_branch(world.project, name="b", parent_id=world.main)
    finally:
        link.unlink()
    assert world.directories() == {world.main}
    assert world.client.create_branch(world.project, name="b", parent_id=world.main).branch.name == "b"


def test_an_expired_branch_goes_by_itself(world: World) -> None:
    old = world.client.create_branch(world.project, name="old", parent_id=world.main).branch
    world.client.create_branch(world.project, name="new", parent_id=world.main)
    with sqlite3.connect(world.running.home / "neon.sqlite3", timeout=30) as rows:
        rows.execute("update branches set expires_at = '2020-01-01T00:00:00Z' where id = ?", (old.id,))
    world.http.post("embedded/heal").raise_for_status()
    world.client.create_role(world.project, world.main, "queue")  # waits its turn behind the deletion
    world.http.delete(f"projects/{world.project}/branches/{world.main}/roles/queue").raise_for_status()
    assert [each.name for each in world.client.branches(world.project)] == ["main", "new"]
    assert old.id not in world.directories()


def test_a_project_with_a_protected_branch_stays(world: World) -> None:
    made = world.client.create_project(name="precious")
    world.client.update_branch(made.project.id, made.branch.id, protected=True)
    with pytest.raises(ApiError, match="protected"):
        world.client.delete_project(made.project.id)
    world.client.update_branch(made.project.id, made.branch.id, protected=False)
    world.client.delete_project(made.project.id)
    assert world.directories() == {world.main}


def test_the_default_may_change_and_writes_through_from_then_on(world: World) -> None:
    branch = world.client.create_branch(world.project, name="next", parent_id=world.main).branch
    with world.connect(branch.id) as connection:
        connection.execute("create table t as select 1 as n")
        assert connection.execute("show fsync").fetchone() == ("off",)
    where = f"projects/{world.project}/branches"
    world.http.post(f"{where}/{branch.id}/set_as_default").raise_for_status()
    try:
        assert world.client.default_branch(world.project).id == branch.id
        with world.connect(branch.id) as connection:
            assert connection.execute("select n, current_setting('fsync') from t").fetchone() == (1, "on")
        assert world.http.delete(f"{where}/{branch.id}").status_code == 422
    finally:
        world.http.post(f"{where}/{world.main}/set_as_default").raise_for_status()


def test_the_superuser_is_not_reachable_by_tcp(world: World) -> None:
    uri = world.uri(world.main)
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
        psycopg.connect(host=uri.host, port=uri.port, user="cloud_admin", dbname="postgres", password="x")
    directory = _socket_directory(world)
    assert directory.stat().st_mode & 0o777 == 0o700


def _socket_directory(world: World) -> Path:
    return Path(
        (world.running.home / "branches" / world.main / "data" / "postmaster.pid").read_text().splitlines()[4]
    )
