"""How a history is kept and let go: bases refreshed and bounded, WAL bounded, the window enforced."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_embedded import history, stop
from neon_embedded.branches import update_project
from neon_embedded.errors import Refusal
from neon_embedded.history import SLOT, bases_of, lsn_number
from neon_embedded.points import Point, base_for
from neon_embedded.rows import BaseRow

from .conftest import Kept


@pytest.fixture(scope="module")
def made() -> Iterator[Kept]:
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    folder.chmod(0o755)
    kept = Kept(folder / "home")
    yield kept
    kept.plane.close()
    kept.plane.store.close()
    stop(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture
def kept(made: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """The project without a history yet, and with small bounds."""
    for name in ("_WAL_BETWEEN", "_WAL_BETWEEN_MOST"):
        monkeypatch.setattr(history, name, 7_000_000)
    monkeypatch.setattr(history, "_WAL_KEPT", 30_000_000)
    if made.postmaster.pid() is None:
        made.postmaster.start(port=made.port, addresses=(), durable=True)
    for seconds in (0, 86_400):
        update_project(made.plane, made.project_id, {"project": {"history_retention_seconds": seconds}})
        made.care()
    history.forget_history(made.plane, made.main.timeline)
    return made


def test_bases_are_refreshed_and_old_ones_go_with_their_wal(kept: Kept) -> None:
    (first,) = kept.care()
    assert kept.care() == [first]
    assert kept.sql(f"select restart_lsn::text from pg_replication_slots where slot_name = '{SLOT}'")
    seen = [first]
    for _ in range(3):
        kept.write()
        seen.append(kept.care()[-1])
    assert len({each.id for each in seen}) == 4
    bases = kept.care()
    assert 1 < len(bases) < 4
    assert [each.id for each in bases] == [each.id for each in seen[-len(bases) :]]
    folder = kept.plane.home.history / kept.main.timeline
    assert {each.name for each in folder.iterdir()} == {each.id for each in bases}
    kept.write()
    # What lies before the oldest base is let go; recycled files wait for reuse within min_wal_size.
    oldest = str(kept.sql(f"select pg_walfile_name('{bases[0].start_lsn}')"))
    first_file = str(kept.sql(f"select pg_walfile_name('{seen[0].start_lsn}')"))
    names = {each.name for each in (kept.postmaster.data / "pg_wal").iterdir()}
    assert oldest in names
    assert first_file not in names
    with pytest.raises(Refusal, match="outside of the restore window"):
        base_for(kept.plane, kept.main, Point(lsn=seen[0].stop_lsn))
    with pytest.raises(Refusal, match="outside of the restore window"):
        base_for(kept.plane, kept.main, Point(time=seen[0].taken_at))
    assert base_for(kept.plane, kept.main, Point(lsn=bases[0].stop_lsn)).id == bases[0].id


@given(
    steps=st.lists(st.integers(1, 100), min_size=1, max_size=20),
    most=st.integers(2, 12),
    passed=st.integers(0, 19),
)
def test_what_is_kept(steps: list[int], most: int, passed: int) -> None:
    """The newest stays, and the one that the window begins in; never too many, nor too much WAL."""
    unit, at, bases = 1_000_000, 0, []
    for number, step_ in enumerate(steps):
        at += step_ * unit
        lsn = f"0/{at:X}"
        taken = f"2026-01-01T00:00:{number:02}"
        bases.append(BaseRow(id=str(number), timeline="t", start_lsn=lsn, stop_lsn=lsn, taken_at=taken))
    start = f"2026-01-01T00:00:{passed:02}"
    kept = history._kept(bases, start, at, most)
    assert kept[-1] == bases[-1]
    assert len(kept) <= most
    assert len(kept) == 1 or at - lsn_number(kept[0].start_lsn) <= history._WAL_KEPT
    reached = [base for base in bases if base.taken_at <= start]
    first = reached[-1] if reached else bases[0]
    in_bound = [base for base in bases if at - lsn_number(base.start_lsn) <= history._WAL_KEPT]
    assert kept[0] == max(first, in_bound[0], key=lambda base: int(base.id))


def test_the_window_is_the_projects(kept: Kept) -> None:
    (base,) = kept.care()
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat(timespec="microseconds")
    kept.plane.store.change(BaseRow, {"id": base.id}, taken_at=old)
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="microseconds")
    assert base_for(kept.plane, kept.main, Point(time=an_hour_ago)).id == base.id
    update_project(kept.plane, kept.project_id, {"project": {"history_retention_seconds": 1800}})
    with pytest.raises(Refusal, match="outside of the restore window"):
        base_for(kept.plane, kept.main, Point(time=an_hour_ago))
    # The base still leads to what the window has, until a newer one covers it.
    assert kept.care() == bases_of(kept.plane, kept.main)
    update_project(kept.plane, kept.project_id, {"project": {"history_retention_seconds": 0}})
    assert kept.care() == []
    assert kept.sql("select count(*) from pg_replication_slots") == 0
    with pytest.raises(Refusal, match="no history"):
        base_for(kept.plane, kept.main, Point(time=an_hour_ago))
    update_project(kept.plane, kept.project_id, {"project": {"history_retention_seconds": 86400}})
    assert len(kept.care()) == 1


def test_wal_beyond_its_bound_ends_the_history_and_never_the_parent(kept: Kept) -> None:
    (first,) = kept.care()
    kept.sql("alter system set max_slot_wal_keep_size = '8MB'")
    kept.sql("select pg_reload_conf()")
    kept.write(12)
    while kept.sql("select wal_status from pg_replication_slots") != "lost":
        kept.sql("checkpoint")  # whoever makes the first may not have heard of the bound yet
    kept.sql("alter system reset all")
    kept.sql("select pg_reload_conf()")
    (second,) = kept.care()
    assert second.id != first.id
    assert lsn_number(second.start_lsn) > lsn_number(first.stop_lsn)
    assert kept.sql("select wal_status from pg_replication_slots") != "lost"


def test_a_sleeping_branch_is_not_woken(kept: Kept) -> None:
    """But bases that the window has passed go; their WAL is let go when it wakes."""
    kept.care()
    kept.write()
    first, second = kept.care()
    kept.postmaster.stop()
    assert kept.care() == [first, second]
    for base, hours in ((first, 50), (second, 30)):
        old = (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="microseconds")
        kept.plane.store.change(BaseRow, {"id": base.id}, taken_at=old)
    assert [each.id for each in kept.care()] == [second.id]
    assert [each.name for each in (kept.plane.home.history / kept.main.timeline).iterdir()] == [second.id]
    assert kept.postmaster.pid() is None


def test_what_a_death_left_is_removed(kept: Kept) -> None:
    (base,) = kept.care()
    folder = kept.plane.home.history / kept.main.timeline
    (folder / "half-base-x").mkdir()
    stranger = kept.plane.home.history / "tl-gone"
    (stranger / "base-y").mkdir(parents=True)
    kept.plane.store.add(
        BaseRow(id="base-z", timeline="tl-gone", start_lsn="0/1", stop_lsn="0/2", taken_at=base.taken_at)
    )
    history.forget_strangers(kept.plane)
    assert [each.name for each in folder.iterdir()] == [base.id]
    assert not stranger.exists()
    assert kept.plane.store.all(BaseRow) == [base]
