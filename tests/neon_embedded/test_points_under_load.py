"""Points in time of a parent that writes, and many levels: balances hold, checksums and indexes are right."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from neon_embedded.account import postgres_account
from neon_embedded.binaries import find_binaries

from .conftest import Past

ACCOUNTS = 200
TOTAL = ACCOUNTS * 1000

TRANSFER = """
with one as (update account set cents = cents - 1 where id = %(one)s returning id),
    other as (update account set cents = cents + 1 where id = %(other)s returning id)
insert into told (number) select %(number)s from one, other
"""


@contextmanager
def writing(past: Past, workers: int = 2) -> Iterator[None]:
    """Transfers between accounts while the block runs; each is told with its number."""
    over, failures = threading.Event(), list[Exception]()

    def write(worker: int) -> None:
        try:
            with past.world.connect(past.world.main) as connection:
                number = 0
                while not over.is_set():
                    number += 1
                    # Always upwards, so that two never wait for each other.
                    one = (number * 7 + worker) % (ACCOUNTS - 1)
                    values = {"one": one, "other": one + 1, "number": number}
                    connection.execute(TRANSFER, values)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures


def tables(past: Past) -> None:
    past.bases()
    with past.world.connect(past.world.main) as connection:
        connection.execute("drop table if exists account, told")
        connection.execute("create table account (id int primary key, cents bigint not null)")
        connection.execute(f"insert into account select n, 1000 from generate_series(0, {ACCOUNTS - 1}) n")
        connection.execute(
            "create table told (id bigint generated always as identity primary key, number int)"
        )


def moment(past: Past) -> tuple[str, int]:
    """An LSN, and how many transfers were told before it at least."""
    with past.world.connect(past.world.main) as connection:
        told = connection.execute("select count(*) from told").fetchone()
        row = connection.execute("select pg_current_wal_lsn()::text").fetchone()
    assert row is not None
    assert told is not None
    return str(row[0]), int(str(told[0]))


def assert_balanced(past: Past, branch: str, at_least: int) -> int:
    """The sum is right by heap and by index, told by both equal; the answer is how many were told."""
    with past.world.connect(branch) as connection:
        found = []
        for seq in ("on", "off"):
            connection.execute(f"set enable_seqscan = {seq}")
            connection.execute(f"set enable_bitmapscan = {seq}")
            row = connection.execute(
                "select (select sum(cents) from account where id >= 0), (select count(*) from account where id >= 0),"
                " (select count(*) from told where id > 0)"
            ).fetchone()
            assert row is not None
            found.append(row)
        assert found[0] == found[1]
        assert found[0][:2] == (TOTAL, ACCOUNTS)
        told = int(str(found[0][2]))
        assert told >= at_least
        return told


def assert_checksums(past: Past, branch: str) -> None:
    """Every page of the sleeping branch has the checksum that it should."""
    (endpoint,) = past.world.client.endpoints(past.world.project, branch)
    past.world.client.suspend_endpoint(past.world.project, endpoint.id)
    home = past.world.running.home
    data = home / "branches" / branch / "data"
    program = find_binaries(past.world.made.project.pg_version, home).bin_dir / "pg_checksums"
    done = subprocess.run(
        [program, "--check", "-D", data], capture_output=True, text=True, **postgres_account().identity
    )
    assert done.returncode == 0, done.stdout + done.stderr
    past.world.client.start_endpoint(past.world.project, endpoint.id)


def points_and_levels(past: Past, *, points: int, levels: int) -> None:
    world = past.world
    tables(past)
    with writing(past):
        moments = []
        for _ in range(points):
            before = moment(past)
            past.until(lambda before=before: moment(past)[1] > before[1] + 20)  # type: ignore[misc]
            moments.append(before)
            past.bases()
        told = []
        for lsn, at_least in moments:
            branch = past.done(past.branch_at(parent_lsn=lsn))
            told.append(assert_balanced(past, branch, at_least))
            assert_checksums(past, branch)
            world.client.delete_branch(world.project, branch)
        assert told == sorted(told)
        # No transfer of after the point is in: the next moment's are more.
        for (_, at_least), number in zip(moments[1:], told, strict=False):
            assert number <= at_least
        parent, made = world.main, []
        for level in range(levels):
            made.append(past.done(past.branch_at(parent_id=parent, name=f"level {level}")))
            parent = made[-1]
            assert_balanced(past, parent, 0)
            with world.connect(parent) as connection:
                connection.execute("update account set cents = cents")
    assert_balanced(past, parent, 0)
    assert_checksums(past, parent)
    # The deepest goes on when all that it came from are reset or gone.
    past.done(past.post(f"branches/{parent}/restore", {"source_branch_id": world.main}))
    assert_balanced(past, parent, told[-1])
    assert_balanced(past, world.main, told[-1])
    for branch in reversed(made):
        world.client.delete_branch(world.project, branch)
    assert_checksums(past, world.main)


def test_points_of_a_writing_parent(past: Past) -> None:
    points_and_levels(past, points=2, levels=2)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_many_points_and_eight_levels(past: Past) -> None:
    points_and_levels(past, points=30, levels=8)
