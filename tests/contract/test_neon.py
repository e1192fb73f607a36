"""The same assertions on the embedded server and, with NEON_API_KEY and NEON_PROJECT_ID set, on Neon itself."""

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from neon_client import (
    Conflict,
    NeonClient,
    NotDisposable,
    NotFound,
    Unauthorized,
)

from .conftest import Neon, connect


def test_a_wrong_key_is_refused(neon: Neon) -> None:
    with (
        NeonClient(api_key="open-sesame", base_url=neon.base_url) as client,
        pytest.raises(Unauthorized) as caught,
    ):
        client.project(neon.project)
    assert "open-sesame" not in str(caught.value)


def test_the_project_has_one_default_branch(neon: Neon) -> None:
    assert neon.client.project(neon.project).id == neon.project
    assert neon.project in {project.id for project in neon.client.projects()}
    assert [branch.id for branch in neon.client.branches(neon.project) if branch.default] == [neon.main.id]


def test_a_branch_lives_and_dies(neon: Neon) -> None:
    name = neon.prefix + "life/ü &?#%"
    created = neon.client.create_branch(
        neon.project, name=name, parent_id=neon.main.id, annotations={"preview": "42"}
    )
    branch = created.branch
    assert (branch.name, branch.parent_id, branch.default) == (name, neon.main.id, False)
    assert branch.current_state == "ready"
    assert len(created.endpoints) == 1
    found = neon.client.find_branch(neon.project, name)
    assert found is not None
    assert found.id == branch.id
    assert found.annotations["preview"] == "42"
    assert neon.client.find_branch(neon.project, name[:-1]) is None
    assert neon.client.assert_disposable(neon.project, branch.id).id == branch.id
    with connect(neon.uri(branch.id)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    neon.client.delete_branch(neon.project, branch.id)
    neon.client.delete_branch(neon.project, branch.id)
    with pytest.raises(NotFound):
        neon.client.branch(neon.project, branch.id)
    assert neon.client.find_branch(neon.project, name) is None


def test_a_taken_name_is_a_conflict_and_leaves_the_first_alone(neon: Neon) -> None:
    first = neon.branch("taken").branch
    with pytest.raises(Conflict) as caught:
        neon.branch("taken")
    assert caught.value.status == 409
    assert neon.client.branch(neon.project, first.id).name == first.name
    neon.client.delete_branch(neon.project, first.id)


def test_main_is_never_deleted(neon: Neon) -> None:
    with pytest.raises(NotDisposable):
        neon.client.delete_branch(neon.project, neon.main.id)
    with pytest.raises(NotDisposable):
        neon.client.assert_disposable(neon.project, neon.main.id)
    assert neon.client.branch(neon.project, neon.main.id).default


def test_child_and_parent_are_apart(neon: Neon) -> None:
    table = f"t_{uuid.uuid4().hex[:12]}"
    with connect(neon.uri(neon.main.id)) as main:
        main.execute(f"create table {table} as select generate_series(1, 1000) as n")
        child = neon.branch("apart").branch
        with connect(neon.uri(child.id)) as connection:
            assert connection.execute(f"select sum(n) from {table}").fetchone() == (500500,)
            connection.execute(f"drop table {table}")
        assert main.execute(f"select count(*) from {table}").fetchone() == (1000,)
        main.execute(f"drop table {table}")
    neon.client.delete_branch(neon.project, child.id)


def test_rotation_on_the_child_only(neon: Neon) -> None:
    """DESIGN, rule 1: production refuses the preview's credential, and the preview production's."""
    child = neon.branch("rotated").branch
    inherited = neon.uri(child.id)
    assert inherited.password == neon.uri(neon.main.id).password
    new = neon.client.reset_password(neon.project, child.id, neon.role)
    rotated = neon.uri(child.id)
    assert rotated.password == new == neon.client.reveal_password(neon.project, child.id, neon.role)
    assert new != inherited.password
    with connect(rotated) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(inherited)
    main = neon.uri(neon.main.id)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(rotated.with_host(main.host, main.port))
    with connect(main) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    neon.client.delete_branch(neon.project, child.id)


def test_roles_and_databases(neon: Neon) -> None:
    child = neon.branch("roles").branch
    role = neon.client.create_role(neon.project, child.id, "app")
    assert role.password is not None
    assert role.password == neon.client.reveal_password(neon.project, child.id, "app")
    assert {each.name for each in neon.client.roles(neon.project, child.id)} == {neon.role, "app"}
    assert {each.name for each in neon.client.roles(neon.project, neon.main.id)} == {neon.role}
    made = neon.client.create_database(neon.project, child.id, "second", owner="app")
    assert (made.name, made.owner_name) == ("second", "app")
    uri = neon.client.connection_uri(neon.project, branch_id=child.id, database="second", role="app")
    with connect(uri) as connection:
        connection.execute("create table t (n int)")
        row = connection.execute(
            "select rolsuper, rolcreatedb, pg_has_role(current_user, 'neon_superuser', 'member') from pg_roles"
            " where rolname = current_user"
        ).fetchone()
        assert row == (False, True, True)
    with pytest.raises(Conflict):
        neon.client.create_role(neon.project, child.id, "app")
    neon.client.delete_branch(neon.project, child.id)


def test_a_compute_sleeps_and_wakes(neon: Neon) -> None:
    created = neon.branch("sleeper")
    endpoint = created.endpoints[0]
    assert neon.client.suspend_endpoint(neon.project, endpoint.id).current_state == "idle"
    assert neon.client.start_endpoint(neon.project, endpoint.id).current_state == "active"
    with connect(neon.uri(created.branch.id)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    neon.client.delete_branch(neon.project, created.branch.id)


def test_expiry_and_rename(neon: Neon) -> None:
    branch = neon.branch("short").branch
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    changed = neon.client.update_branch(
        neon.project, branch.id, name=neon.prefix + "shorter", expires_at=later
    )
    assert changed.name == neon.prefix + "shorter"
    assert changed.expires_at == later
    neon.client.delete_branch(neon.project, branch.id)


def test_what_is_not_there(neon: Neon) -> None:
    with pytest.raises(NotFound):
        neon.client.project("no-such-10000000")
    with pytest.raises(NotFound):
        neon.client.branch(neon.project, "br-no-such-12345678")
    with pytest.raises(NotFound):
        neon.client.reset_password(neon.project, neon.main.id, "nobody_has_this")


def test_operations_end(neon: Neon) -> None:
    created = neon.branch("operations")
    assert {operation.action for operation in created.operations} >= {"create_branch", "start_compute"}
    assert not [operation for operation in created.operations if operation.pending]
    assert created.branch.id in {operation.branch_id for operation in neon.client.operations(neon.project)}
    neon.client.delete_branch(neon.project, created.branch.id)
