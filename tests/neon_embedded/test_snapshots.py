"""Snapshots: kept states of a root branch, looked at, put in its place, let go."""

import sqlite3
from datetime import UTC, datetime, timedelta

from .conftest import Past, step, steps


def test_a_snapshot_is_made_listed_renamed_restored_and_finalized(past: Past) -> None:
    world, main = past.world, past.world.main
    past.bases()
    with world.connect(main) as connection:
        connection.execute("create table steps (n int)")
        lsn, _ = step(connection, 1)
        step(connection, 2)
    head = past.snapshot(main, name="head")
    then = past.snapshot(main, lsn=lsn)
    with world.connect(main) as connection:
        step(connection, 3)
    listed = past.get("snapshots").json()["snapshots"]
    assert [each["id"] for each in listed] == [head, then]
    assert listed[0]["name"] == "head"
    assert listed[0]["full_size"] > 1_000_000
    assert (listed[0]["source_branch_id"], listed[0]["manual"]) == (main, True)
    where = f"projects/{world.project}/snapshots/{head}"
    renamed = world.http.patch(where, json={"snapshot": {"name": "before"}}).json()["snapshot"]
    assert renamed["name"] == "before"
    # Looked at first: a root branch without compute, whose compute sees the state then.
    looked = past.done(past.post(f"snapshots/{then}/restore", {"name": "look"}))
    shown = past.get(f"branches/{looked}").json()["branch"]
    assert (shown["name"], shown["restored_from"], shown["restored_as"]) == ("look", then, main)
    assert "parent_id" not in shown
    world.client.create_endpoint(world.project, looked)
    assert steps(past, looked) == [1]
    # Put in main's place: main's address and name lead there now, as the default branch.
    before = world.uri(main)
    answer = past.post(f"branches/{looked}/finalize_restore", {"name": "was main"})
    past.ended(answer)
    uri = world.client.connection_uri(world.project, branch_id=looked, database="neondb", role="neondb_owner")
    assert uri.reveal() == before.reveal()
    assert steps(past, looked) == [1]
    new, old = world.client.branch(world.project, looked), world.client.branch(world.project, main)
    assert (new.name, new.default, old.name, old.default) == ("main", True, "was main", False)
    assert len(world.client.endpoints(world.project)) == 1
    assert past.post(f"branches/{looked}/finalize_restore").status_code == 422
    # At once, and back: what main was at the first snapshot.
    again = past.done(
        past.post(f"snapshots/{head}/restore", {"finalize_restore": True, "target_branch_id": looked})
    )
    assert world.client.default_branch(world.project).id == again
    assert steps(past, again) == [1, 2]
    for gone in (looked, main):
        world.client.delete_branch(world.project, gone)
    # Expiry and deletion leave nothing.
    with sqlite3.connect(world.running.home / "neon.sqlite3", timeout=30) as rows:
        rows.execute("update snapshots set expires_at = '2020-01-01T00:00:00Z' where id = ?", (then,))
    world.http.post("embedded/heal").raise_for_status()
    past.until(lambda: len(past.get("snapshots").json()["snapshots"]) == 1)
    deleted = world.http.delete(where)
    assert deleted.status_code == 202
    past.ended(deleted)
    assert world.http.delete(where).status_code == 404
    assert list((world.running.home / "snapshots").iterdir()) == []


def test_what_cannot_be_a_snapshot(past: Past) -> None:
    world = past.world
    main = world.client.default_branch(world.project).id
    child = past.done(past.post("branches", {"branch": {"name": "child", "parent_id": main}}))
    where = f"projects/{world.project}/branches"
    assert world.http.post(f"{where}/{child}/snapshot").status_code == 422
    late = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert world.http.post(f"{where}/{main}/snapshot", params={"timestamp": late}).status_code == 400
    past_time = {"expires_at": "2020-01-01T00:00:00Z"}
    assert world.http.post(f"{where}/{main}/snapshot", params=past_time).status_code == 400
    assert world.http.post(f"{where}/br-no-such-12345678/snapshot").status_code == 404
    assert past.post("snapshots/snap-no-such-12345678/restore").status_code == 404
    world.client.delete_branch(world.project, child)


def test_a_reset_waits_a_day_after_the_parent_was_restored(past: Past) -> None:
    world = past.world
    main = world.client.default_branch(world.project).id
    kept = past.snapshot(main, name="kept")
    restored = past.done(past.post(f"snapshots/{kept}/restore", {"name": "restored"}))
    child = past.done(past.post("branches", {"branch": {"name": "its child", "parent_id": restored}}))
    refused = past.post(f"branches/{child}/restore", {"source_branch_id": restored})
    assert (refused.status_code, "24 hours" in refused.text) == (422, True)
    past.done(past.post(f"branches/{child}/restore", {"source_branch_id": main}))
    with sqlite3.connect(world.running.home / "neon.sqlite3", timeout=30) as rows:
        rows.execute("update branches set created_at = '2020-01-01T00:00:00Z' where id = ?", (restored,))
    past.done(past.post(f"branches/{child}/restore", {"source_branch_id": restored}))
    for gone in (child, restored):
        world.client.delete_branch(world.project, gone)
    past.ended(world.http.delete(f"projects/{world.project}/snapshots/{kept}"))
