"""Points in time, resets, restores, schemas and snapshots: the same assertions on both servers (see test_neon.py)."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from neon_client import ApiError, Conflict, NotDisposable, NotFound

from .conftest import Neon, connect


class Steps:
    """A table of main's with rows 1 and 2, and the point between them."""

    def __init__(self, neon: Neon) -> None:
        self.neon = neon
        self.table = f"steps_{uuid.uuid4().hex[:12]}"
        with connect(neon.uri(neon.main.id)) as main:
            main.execute(f"create table {self.table} (n int primary key)")
            main.execute(f"insert into {self.table} values (1)")
            row = main.execute("select pg_current_wal_flush_lsn()::text, clock_timestamp()").fetchone()
            main.execute(f"insert into {self.table} values (2)")
        assert row is not None
        assert isinstance(row[1], datetime)
        self.lsn, self.time = str(row[0]), row[1]

    def of(self, branch_id: str) -> list[object]:
        with connect(self.neon.uri(branch_id)) as connection:
            return [row[0] for row in connection.execute(f"select n from {self.table} order by n")]


@pytest.fixture(scope="module")
def steps(neon: Neon) -> Iterator[Steps]:
    made = Steps(neon)
    yield made
    with connect(neon.uri(neon.main.id)) as main:
        main.execute(f"drop table {made.table}")


def test_a_branch_at_a_point(neon: Neon, steps: Steps) -> None:
    for name, at in (("lsn", {"lsn": steps.lsn}), ("time", {"timestamp": steps.time})):
        made = neon.client.create_branch(
            neon.project,
            name=f"{neon.prefix}at-{name}",
            parent_id=neon.main.id,
            **at,  # type: ignore[arg-type]
        ).branch
        assert steps.of(made.id) == [1]
        neon.client.delete_branch(neon.project, made.id)
    assert steps.of(neon.main.id) == [1, 2]


def test_points_that_cannot_be_reached(neon: Neon) -> None:
    for moment in (timedelta(days=-3000), timedelta(hours=1)):
        with pytest.raises(ApiError) as caught:
            neon.client.create_branch(
                neon.project,
                name=neon.prefix + "never",
                parent_id=neon.main.id,
                timestamp=datetime.now(UTC) + moment,
            )
        assert 400 <= caught.value.status < 500
    assert neon.client.find_branch(neon.project, neon.prefix + "never") is None


def test_a_reset_from_the_parent(neon: Neon, steps: Steps) -> None:
    created = neon.branch("reset")
    child, host = created.branch.id, created.endpoints[0].host
    with connect(neon.uri(child)) as connection:
        connection.execute(f"truncate {steps.table}")
    assert neon.client.reset_from_parent(neon.project, child).id == child
    assert steps.of(child) == [1, 2]
    assert neon.client.endpoints(neon.project, child)[0].host == host
    neon.client.delete_branch(neon.project, child)


def test_a_restore_keeps_the_old_state_under_a_name(neon: Neon, steps: Steps) -> None:
    source, target = neon.branch("source").branch, neon.branch("target").branch
    with connect(neon.uri(source.id)) as connection:
        connection.execute(f"insert into {steps.table} values (3)")
    kept_name = neon.prefix + "kept"
    restored = neon.client.restore_branch(
        neon.project, target.id, source_branch_id=source.id, preserve_under_name=kept_name
    )
    assert (restored.id, restored.name) == (target.id, target.name)
    assert steps.of(target.id) == [1, 2, 3]
    kept = neon.client.find_branch(neon.project, kept_name)
    assert kept is not None
    neon.client.create_endpoint(neon.project, kept.id)
    assert steps.of(kept.id) == [1, 2]
    with pytest.raises(Conflict):
        neon.client.restore_branch(
            neon.project, target.id, source_branch_id=source.id, preserve_under_name=kept_name
        )
    for each in (target.id, kept.id, source.id):
        neon.client.delete_branch(neon.project, each)


def test_main_is_not_overwritten_by_the_way(neon: Neon, steps: Steps) -> None:
    with pytest.raises(NotDisposable):
        neon.client.restore_branch(
            neon.project, neon.main.id, source_branch_id=neon.main.id, lsn=steps.lsn, preserve_under_name="x"
        )
    assert steps.of(neon.main.id) == [1, 2]


def test_schemas_and_their_comparison(neon: Neon, steps: Steps) -> None:
    child = neon.branch("schema").branch
    assert steps.table in neon.client.schema(neon.project, child.id, neon.database)
    assert neon.client.compare_schema(neon.project, child.id, neon.database) == ""
    with connect(neon.uri(child.id)) as connection:
        connection.execute(f"alter table {steps.table} add column note text")
    diff = neon.client.compare_schema(neon.project, child.id, neon.database)
    changed = [
        line for line in diff.splitlines() if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}
    ]
    assert any(line.startswith("+") and "note text" in line for line in changed)
    neon.client.delete_branch(neon.project, child.id)


def test_a_snapshot_becomes_a_branch(neon: Neon, steps: Steps) -> None:
    name = neon.prefix + "snapshot"
    snapshot = neon.client.create_snapshot(neon.project, neon.main.id, name=name)
    try:
        assert name in {each.name for each in neon.client.snapshots(neon.project)}
        renamed = neon.client.rename_snapshot(neon.project, snapshot.id, name + "-renamed")
        assert renamed.name == name + "-renamed"
        made = neon.client.restore_snapshot(neon.project, snapshot.id, name=neon.prefix + "restored").branch
        assert not made.default
        if not neon.client.endpoints(neon.project, made.id):
            neon.client.create_endpoint(neon.project, made.id)
        assert steps.of(made.id) == [1, 2]
        neon.client.delete_branch(neon.project, made.id)
    finally:
        neon.client.delete_snapshot(neon.project, snapshot.id)
    assert snapshot.id not in {each.id for each in neon.client.snapshots(neon.project)}


def test_a_branch_of_the_schema_only(neon: Neon, steps: Steps) -> None:
    made = neon.client.create_branch(
        neon.project, name=neon.prefix + "empty", parent_id=neon.main.id, schema_only=True
    ).branch
    assert steps.of(made.id) == []
    neon.client.delete_branch(neon.project, made.id)
    with pytest.raises(NotFound):
        neon.client.branch(neon.project, made.id)
