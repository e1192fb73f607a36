"""The client's verbs of points in time when their answers are lost: looked up, done once."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from neon_client import ApiError, Conflict, NeonError, NotDisposable, Unauthorized

from .conftest import Past, step, steps


def test_restoring_is_done_once(past: Past) -> None:
    world, main, client = past.world, past.world.main, past.world.client
    past.bases()
    with world.connect(main) as connection:
        connection.execute("create table steps (n int)")
        lsn, _ = step(connection, 1)
        step(connection, 2)
    with pytest.raises(NotDisposable):
        client.restore_branch(world.project, main, source_branch_id=main, lsn=lsn, preserve_under_name="kept")
    world.arm(lost_answer=1)
    restored = client.restore_branch(
        world.project,
        main,
        source_branch_id=main,
        lsn=lsn,
        preserve_under_name="kept",
        overwrite_main=True,
    )
    assert (restored.id, steps(past, main)) == (main, [1])
    assert sorted(each.name for each in client.branches(world.project)) == ["kept", "main"]
    with pytest.raises(Conflict):
        client.restore_branch(
            world.project,
            main,
            source_branch_id=client.branches(world.project)[1].id,
            preserve_under_name="kept",
            overwrite_main=True,
        )
    child = client.create_branch(world.project, name="child", parent_id=main).branch
    with world.connect(child.id) as connection:
        connection.execute("delete from steps")
    world.arm(lost_answer=1)
    assert client.reset_from_parent(world.project, child.id).last_reset_at is not None
    assert steps(past, child.id) == [1]
    with pytest.raises(NeonError, match="no parent"):
        client.reset_from_parent(world.project, client.find_branch(world.project, "kept").id)  # type: ignore[union-attr]
    for name in ("child", "kept"):
        client.delete_branch(world.project, client.find_branch(world.project, name).id)  # type: ignore[union-attr]


def test_snapshots_are_made_and_put_back_once(past: Past) -> None:
    world, main, client = past.world, past.world.main, past.world.client
    world.arm(lost_answer=1)
    kept = client.create_snapshot(world.project, main, name="before")
    assert [each.id for each in client.snapshots(world.project)] == [kept.id]
    assert (kept.source_branch_id, kept.manual) == (main, True)
    assert client.rename_snapshot(world.project, kept.id, "earlier").name == "earlier"
    world.arm(lost_answer=1)
    made = client.restore_snapshot(world.project, kept.id, name="look").branch
    assert (made.restored_from, made.restored_as, made.restore_status) == (kept.id, main, "restored")
    assert client.branch_count(world.project) == 2
    with pytest.raises(NotDisposable):
        client.finalize_restore(world.project, made.id, old_name="was main")
    world.arm(lost_answer=1)
    final = client.finalize_restore(world.project, made.id, old_name="was main", overwrite_main=True)
    assert (final.name, final.default, final.restore_status) == ("main", True, "finalized")
    again = client.finalize_restore(world.project, made.id, old_name="was main", overwrite_main=True)
    # What a branch takes on the disk grows by itself.
    assert replace(again, logical_size=final.logical_size) == final
    world.arm(lost_answer=1)
    assert client.set_as_default(world.project, main).default
    world.arm(lost_answer=1)
    client.delete_snapshot(world.project, kept.id)
    client.delete_snapshot(world.project, kept.id)
    assert client.snapshots(world.project) == ()
    client.create_endpoint(world.project, main)
    client.delete_branch(world.project, made.id)


def test_branches_at_points_and_of_schemas(past: Past) -> None:
    world, main, client = past.world, past.world.main, past.world.client
    past.bases()
    with world.connect(main) as connection:
        connection.execute("create table if not exists steps (n int)")
        connection.execute("truncate steps")
        lsn, moment = step(connection, 1)
        step(connection, 2)
    world.arm(lost_answer=1)
    at = client.create_branch(world.project, name="at", parent_id=main, lsn=lsn).branch
    then = datetime.fromisoformat(moment)
    client.create_branch(world.project, name="then", parent_id=main, timestamp=then)
    bare = client.create_branch(world.project, name="bare", parent_id=main, schema_only=True).branch
    assert (bare.parent_id, bare.init_source) == (None, "schema-only")
    assert [steps(past, each.id) for each in client.branches(world.project)] == [[1, 2], [1], [1], []]
    with world.connect(at.id) as connection:
        connection.execute("alter table steps add column more int")
    assert "+    more integer" in client.compare_schema(world.project, at.id, "neondb")
    assert client.compare_schema(world.project, bare.id, "neondb", base_branch_id=main) == ""
    assert "more" not in client.schema(world.project, main, "neondb", timestamp=then)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(ApiError, match="restore window"):
        client.create_branch(world.project, name="old", parent_id=main, timestamp=long_ago)
    naked = client.create_branch(world.project, name="naked", parent_id=main, with_compute=False)
    assert naked.endpoints == ()
    for name in ("naked", "bare", "then", "at"):
        client.delete_branch(world.project, client.find_branch(world.project, name).id)  # type: ignore[union-attr]


def test_consumption_is_refused_as_on_a_free_plan(past: Past) -> None:
    now = datetime.now(UTC)
    with pytest.raises(Unauthorized, match="not available"):
        past.world.client.consumption("org-x", [past.world.project], since=now, until=now)
