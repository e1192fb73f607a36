"""Points in a root branch's history, and restoring in place: what is in, what is not, what stays."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from .conftest import Past, World, step, steps


@pytest.fixture(scope="module")
def moments(past: Past) -> list[tuple[str, str]]:
    past.bases()
    with past.world.connect(past.world.main) as connection:
        connection.execute("create table steps (n int)")
        return [step(connection, number) for number in range(3)]


@pytest.mark.parametrize("by", ["lsn", "timestamp"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_branch_at_a_point_has_what_was_before_and_nothing_after(
    past: Past, moments: list[tuple[str, str]], by: str, number: int
) -> None:
    value = moments[number][by == "timestamp"]
    branch = past.done(past.branch_at(**{f"parent_{by}": value}))
    assert steps(past, branch) == list(range(number + 1))
    with past.world.connect(branch) as connection:
        connection.execute("insert into steps values (100)")
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
    assert steps(past, past.world.main) == [0, 1, 2]
    past.world.client.delete_branch(past.world.project, branch)


def test_points_that_cannot_be_reached(past: Past, moments: list[tuple[str, str]]) -> None:
    now = datetime.now(UTC)
    child = past.done(past.post("branches", {"branch": {"parent_id": past.world.main}}))
    for status, text, point in [
        (400, "outside of the restore window", {"parent_timestamp": (now - timedelta(days=2)).isoformat()}),
        (400, "outside of the restore window", {"parent_lsn": "0/100"}),
        (400, "in the future", {"parent_timestamp": (now + timedelta(hours=1)).isoformat()}),
        (400, "in the future", {"parent_lsn": "FF/0"}),
        (400, "RFC 3339", {"parent_timestamp": "yesterday"}),
        (400, "log sequence number", {"parent_lsn": "12"}),
        (400, "both", {"parent_lsn": moments[0][0], "parent_timestamp": moments[0][1]}),
        (422, "only root branches", {"parent_lsn": moments[0][0], "parent_id": child}),
    ]:
        answer = past.branch_at(**point)
        assert (answer.status_code, text in answer.json()["message"]) == (status, True), answer.text
    past.world.client.delete_branch(past.world.project, child)


def uri_of(past: Past, branch: str) -> str:
    return past.world.uri(branch).reveal()


def test_restoring_to_its_own_past_keeps_address_and_the_old_state(
    past: Past, moments: list[tuple[str, str]]
) -> None:
    """The branch keeps id, endpoint and URI; its former state and its children go to the branch that is kept."""
    world, main = past.world, past.world.main
    child = past.done(past.post("branches", {"branch": {"name": "child", "parent_id": main}}))
    before, endpoints = uri_of(past, main), world.client.endpoints(world.project, main)
    directories = world.directories()
    wish = {"source_branch_id": main, "source_lsn": moments[1][0]}
    answer = past.post(f"branches/{main}/restore", wish)
    assert (answer.status_code, "preserve_under_name is required" in answer.text) == (400, True)
    taken = past.post(f"branches/{main}/restore", wish | {"preserve_under_name": "child"})
    assert (taken.status_code, taken.json()["code"]) == (409, "BRANCH_ALREADY_EXISTS")
    assert past.done(past.post(f"branches/{main}/restore", wish | {"preserve_under_name": "old"})) == main
    assert steps(past, main) == [0, 1]
    assert uri_of(past, main) == before
    assert [each.host for each in world.client.endpoints(world.project, main)] == [endpoints[0].host]
    old = world.client.find_branch(world.project, "old")
    assert old is not None
    assert (old.parent_id, old.default) == (None, False)
    assert world.client.branch(world.project, child).parent_id == old.id
    assert world.client.branch(world.project, main).last_reset_at
    world.client.create_endpoint(world.project, old.id)
    assert steps(past, old.id) == [0, 1, 2]
    assert len(world.directories() - directories) == 1
    # The restored branch has a history of its own from here on, and its old point is the kept branch's.
    past.bases()
    with world.connect(main) as connection:
        connection.execute("delete from steps")
        lsn, _ = step(connection, 7)
        connection.execute("insert into steps values (8)")
    assert past.branch_at(parent_lsn=moments[0][0]).status_code == 400
    again = past.done(past.branch_at(parent_lsn=lsn))
    assert steps(past, again) == [7]
    # And back to where it was, from the kept branch's head; its children stay with it.
    body = {"source_branch_id": old.id, "preserve_under_name": "seven"}
    past.done(past.post(f"branches/{main}/restore", body))
    assert steps(past, main) == [0, 1, 2]
    seven = world.client.find_branch(world.project, "seven")
    assert seven is not None
    assert world.client.branch(world.project, again).parent_id == seven.id
    for gone in (again, child, seven.id, old.id):
        world.client.delete_branch(world.project, gone)
    assert len(world.directories()) == len(directories) - 1
    past.bases()


def test_reset_from_parent(past: Past) -> None:
    world, main = past.world, past.world.main
    child = past.done(past.branch_at(name="preview"))
    with world.connect(child) as connection:
        connection.execute("drop table steps")
        connection.execute("create table mine (n int)")
    world.client.create_role(world.project, child, "extra")
    rotated = world.client.reset_password(world.project, child, "neondb_owner").reveal()
    before = world.uri(child)
    grandchild = past.done(past.post("branches", {"branch": {"parent_id": child}}))
    wish = {"source_branch_id": main}
    assert past.post(f"branches/{child}/restore", wish).status_code == 422
    world.client.delete_branch(world.project, grandchild)
    world.client.update_branch(world.project, child, protected=True)
    assert "protected" in past.post(f"branches/{child}/restore", wish).json()["message"]
    world.client.update_branch(world.project, child, protected=False)
    past.done(past.post(f"branches/{child}/restore", wish))
    after = world.uri(child)
    assert (after.host, after.port) == (before.host, before.port)
    # As on Neon: the parent's passwords come with its data, unless the parent is protected.
    assert after.password == world.uri(main).password
    assert after.password.reveal() != rotated
    assert [each.name for each in world.client.roles(world.project, child)] == ["neondb_owner"]
    assert steps(past, child) == steps(past, main)
    world.client.update_branch(world.project, main, protected=True)
    rotated = world.client.reset_password(world.project, child, "neondb_owner").reveal()
    past.done(past.post(f"branches/{child}/restore", wish))
    assert world.uri(child).password.reveal() == rotated
    assert steps(past, child) == steps(past, main)
    world.client.update_branch(world.project, main, protected=False)
    assert past.post(f"branches/{child}/restore", {"source_branch_id": child}).status_code == 400
    assert past.post(f"branches/{child}/restore", {}).status_code == 400
    wish = {"source_branch_id": main, "source_timestamp": datetime.now(UTC).isoformat()}
    assert past.post(f"branches/{child}/restore", wish).status_code == 422
    world.client.delete_branch(world.project, child)


def test_roles_and_databases_at_a_point_are_those_of_then(past: Past) -> None:
    world, main = past.world, past.world.main
    past.bases()
    world.client.create_role(world.project, main, "then")
    world.client.create_database(world.project, main, "of_then", owner="then")
    with world.connect(main) as connection:
        lsn, _ = step(connection, 50)
    past.done_delete("databases/of_then")
    past.done_delete("roles/then")
    world.client.create_role(world.project, main, "later")
    branch = past.done(past.branch_at(parent_lsn=lsn))
    assert {each.name for each in world.client.roles(world.project, branch)} == {"neondb_owner", "then"}
    assert {each.name for each in world.client.databases(world.project, branch)} == {"neondb", "of_then"}
    uri = world.client.connection_uri(world.project, branch_id=branch, database="of_then", role="then")
    with psycopg.connect(uri.reveal()) as connection:
        assert connection.execute("select current_user").fetchone() == ("then",)
    world.client.delete_branch(world.project, branch)


def test_schema_now_then_and_compared(past: Past) -> None:
    world, main = past.world, past.world.main
    past.bases()
    with world.connect(main) as connection:
        connection.execute(
            "create table shape (id int primary key, twice int generated always as (id * 2) stored)"
        )
        lsn, _ = step(connection, 60)
        connection.execute("alter table shape add parent int references shape")
    query = {"db_name": "neondb"}
    sql = past.get(f"branches/{main}/schema", **query).json()["sql"]
    assert "parent integer" in sql
    assert "restrict" not in sql.lower().replace("no action", "")
    assert sql == past.get(f"branches/{main}/schema", **query).json()["sql"]
    directories = world.directories()
    then = past.get(f"branches/{main}/schema", **query, lsn=lsn).json()["sql"]
    assert "twice integer GENERATED" in then
    assert "parent integer" not in then
    assert world.directories() == directories
    tables = past.get(f"branches/{main}/schema", **query, format="json").json()["json"]["tables"]
    shape = next(each for each in tables if each["name"] == "shape")
    assert [(each["name"], each["nullable"], each["generated"]) for each in shape["columns"]] == [
        ("id", False, False),
        ("twice", True, True),
        ("parent", True, False),
    ]
    key = next(each for each in shape["constraints"] if each["type"] == "foreign_key")
    assert key["referenced_table"] == {"schema": "public", "table": "shape", "columns": ["id"]}
    child = past.done(past.branch_at(name="shaped"))
    with world.connect(child) as connection:
        connection.execute("create table added ()")
    diff = past.get(f"branches/{child}/compare_schema", **query).json()["diff"]
    assert diff.startswith("--- a/neondb\n+++ b/neondb\n")
    assert "+CREATE TABLE public.added" in diff
    assert not [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert past.get(f"branches/{main}/compare_schema", **query, base_branch_id=main).json()["diff"] == ""
    assert past.get(f"branches/{main}/compare_schema", **query).status_code == 400
    assert past.get(f"branches/{main}/schema", db_name="none").status_code == 404
    world.client.delete_branch(world.project, child)


def test_a_schema_only_branch_is_a_root_with_the_schema_and_no_row(past: Past) -> None:
    world, main = past.world, past.world.main
    with world.connect(main) as connection:
        connection.execute("create role by_sql nologin")
        connection.execute("grant select on steps to by_sql")
    body = {"branch": {"name": "bare", "parent_id": main, "init_source": "schema-only"}}
    branch = past.done(past.post("branches", body | {"endpoints": [{"type": "read_write"}]}))
    shown = past.get(f"branches/{branch}").json()["branch"]
    assert (shown["init_source"], "parent_id" in shown) == ("schema-only", False)
    assert steps(past, branch) == []
    query = {"db_name": "neondb", "base_branch_id": main}
    assert past.get(f"branches/{branch}/compare_schema", **query).json()["diff"] == ""
    assert world.uri(branch).password == world.uri(main).password
    world.client.delete_branch(world.project, branch)
    assert past.post("branches", {"branch": {"init_source": "nothing"}}).status_code == 400


def test_points_of_postgresql_18(shared: World) -> None:
    """The newest version: a point, a restore in place with the old state kept, a snapshot put back."""
    made = shared.client.create_project(name="past-18", pg_version=18)
    newest = Past(World(running=shared.running, client=shared.client, http=shared.http, made=made))
    world, main = newest.world, made.branch.id
    newest.bases()
    with world.connect(main) as connection:
        connection.execute("create table steps (n int)")
        lsn, time = step(connection, 0)
        step(connection, 1)
    assert steps(newest, newest.done(newest.branch_at(parent_lsn=lsn))) == [0]
    assert steps(newest, newest.done(newest.branch_at(parent_timestamp=time))) == [0]
    snapshot = newest.snapshot(main, lsn=lsn)
    wanted = {"source_branch_id": main, "source_lsn": lsn, "preserve_under_name": "kept"}
    newest.done(newest.post(f"branches/{main}/restore", wanted))
    assert steps(newest, main) == [0]
    restored = newest.done(newest.post(f"snapshots/{snapshot}/restore", {"finalize_restore": True}))
    assert steps(newest, restored) == [0]
    with world.connect(restored) as connection:
        assert str(connection.execute("show server_version").fetchone()).startswith("('18")
    shared.client.delete_project(made.project.id)
