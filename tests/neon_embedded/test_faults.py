"""The client against a server that locks, limits, loses answers and fails operations."""

import pytest

from neon_client import NeonClient, NotFound, OperationFailed, QuotaExceeded
from tests.hurried import Hurried

from .conftest import World, standing


@pytest.mark.parametrize("fault", ["locked", "rate_limited", "unavailable"])
def test_refused_for_a_moment(world: World, fault: str) -> None:
    world.arm(**{fault: 2})
    created = world.client.create_branch(world.project, name="b", parent_id=world.main)
    assert created.branch.current_state == "ready"
    assert world.client.find_branch(world.project, "b") is not None


def test_a_lost_answer_makes_one_branch(world: World) -> None:
    world.arm(lost_answer=1)
    created = world.client.create_branch(world.project, name="lost", parent_id=world.main)
    assert [each.name for each in world.client.branches(world.project)] == ["main", "lost"]
    assert [each.branch_id for each in created.endpoints] == [created.branch.id]
    with world.connect(created.branch.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_lost_answers_of_everything_else(world: World) -> None:
    branch = world.client.create_branch(world.project, name="b", parent_id=world.main).branch
    world.arm(lost_answer=1)
    role = world.client.create_role(world.project, branch.id, "app")
    assert role.password == world.client.reveal_password(world.project, branch.id, "app")
    world.arm(lost_answer=1)
    assert world.client.create_database(world.project, branch.id, "second", owner="app").name == "second"
    world.arm(lost_answer=1)
    new = world.client.reset_password(world.project, branch.id, "neondb_owner")
    assert new == world.uri(branch.id).password
    with world.connect(branch.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    world.arm(lost_answer=1)
    world.client.delete_branch(world.project, branch.id)
    with pytest.raises(NotFound):
        world.client.branch(world.project, branch.id)


def test_a_lost_project_is_found_again(world: World) -> None:
    world.arm(lost_answer=1)
    made = world.client.create_project(name="once")
    assert len(world.client.projects(search="once")) == 1
    assert made.connection_uris[0].role == "neondb_owner"
    world.client.delete_project(made.project.id)
    assert world.client.projects(search="once") == ()


def test_a_failed_operation_leaves_nothing(world: World) -> None:
    world.arm(failed_operation=1)
    with pytest.raises(OperationFailed, match=r"create_branch .* a fault was asked for") as caught:
        world.client.create_branch(world.project, name="b", parent_id=world.main)
    assert caught.value.action == "create_branch"
    assert world.client.find_branch(world.project, "b") is None
    assert world.directories() == {world.main}
    assert world.client.create_branch(world.project, name="b", parent_id=world.main).branch.name == "b"


def test_a_failed_reset_keeps_the_old_password(world: World) -> None:
    branch = world.client.create_branch(world.project, name="b", parent_id=world.main).branch
    old = world.uri(branch.id)
    world.arm(failed_operation=1)
    with pytest.raises(OperationFailed):
        world.client.reset_password(world.project, branch.id, "neondb_owner")
    assert world.uri(branch.id) == old
    with world.connect(branch.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_slow_operations_are_waited_for(world: World) -> None:
    world.arm(slow_operation=1)
    created = world.client.create_branch(world.project, name="slow", parent_id=world.main)
    assert created.branch.current_state == "ready"
    assert [each.status for each in created.operations] == ["finished", "finished"]
    with world.connect(created.branch.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_two_changes_at_once_are_locked_out(world: World) -> None:
    world.arm(slow_operation=1)
    with standing(world.running.home / "branches" / world.main):  # who copies it waits
        first = world.http.post(f"projects/{world.project}/branches", json={"branch": {"name": "first"}})
        assert first.status_code == 201
        assert {each["status"] for each in first.json()["operations"]} <= {"scheduling", "running"}
        second = world.http.post(f"projects/{world.project}/branches", json={"branch": {"name": "second"}})
    assert second.status_code == 423
    assert "conflicting operations" in second.json()["message"]
    # The client waits its turn.
    assert (
        world.client.create_branch(world.project, name="third", parent_id=world.main).branch.name == "third"
    )
    assert {each.name for each in world.client.branches(world.project)} == {"main", "first", "third"}


def test_faults_are_off_by_default(embedded_http_without_faults: int) -> None:
    assert embedded_http_without_faults == 404


def test_a_lost_answer_is_found_ready_though_the_operations_lag(world: World) -> None:
    """The list that a look-up reads does not know the creation yet, which still runs: the branch itself tells."""
    world.arm(lost_answer=1, slow_operation=1, lagging_operations=1)
    created = world.client.create_branch(world.project, name="late", parent_id=world.main)
    assert created.branch.current_state == "ready"
    assert [each.current_state for each in created.endpoints] == ["active"]
    with world.connect(created.branch.id) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_lost_creation_that_fails_is_made_anew(world: World) -> None:
    world.arm(lost_answer=1, slow_operation=1, lagging_operations=1, failed_operation=1)
    created = world.client.create_branch(world.project, name="twice", parent_id=world.main)
    assert created.branch.current_state == "ready"
    assert world.directories() == {world.main, created.branch.id}


def test_the_operations_list_lags(world: World) -> None:
    branch = world.client.create_branch(world.project, name="b", parent_id=world.main).branch
    world.arm(lagging_operations=1)
    assert branch.id not in {each.branch_id for each in world.client.operations(world.project)}
    assert branch.id in {each.branch_id for each in world.client.operations(world.project)}


def test_a_slow_answer_is_waited_for_or_asked_again(world: World) -> None:
    world.arm(slow=1)
    first = iter([True])
    with NeonClient(
        api_key=world.running.api_key,
        base_url=world.running.base_url,
        transport=Hurried(lambda: next(first, False)),
    ) as hurried:
        assert hurried.project(world.project).id == world.project
    world.arm(slow=1)
    assert world.client.project(world.project).id == world.project


def test_a_full_plan_says_what_could_go(world: World) -> None:
    world.client.create_branch(
        world.project, name="preview/pr-7-1", parent_id=world.main, annotations={"preview-name": "pr-7"}
    )
    world.client.create_branch(world.project, name="other", parent_id=world.main)
    world.arm(branches_limit=1)
    with pytest.raises(QuotaExceeded) as caught:
        world.client.create_branch(world.project, name="one-too-many", parent_id=world.main)
    assert caught.value.code == "BRANCHES_LIMIT_EXCEEDED"
    assert (
        "of the project's 3 branches these could go, oldest first: preview pr-7 (since " in caught.value.hint
    )
    assert "other (since " in caught.value.hint
    assert "main" not in caught.value.hint
    assert world.client.find_branch(world.project, "one-too-many") is None


def test_faults_are_asked_for_by_name_and_number(world: World) -> None:
    for wish in ({"typo": 1}, {"locked": -1}, {"locked": 1.5}, {"locked": "often"}, {"seed": "x"}):
        assert world.http.post("embedded/faults", json=wish).status_code == 400
