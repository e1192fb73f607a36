"""What branches take here is what is on the disk, and how long their computes were really awake."""

from pathlib import Path

from neon_embedded.clone import used_bytes
from neon_embedded.metering import Meter, awake_for
from neon_embedded.processes import pid_file

from .conftest import World


def aged(data: Path, seconds: int) -> None:
    """Say that the postmaster started earlier."""
    lines = pid_file(data)
    lines[2] = str(int(lines[2]) - seconds)
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")


def test_a_branch_tells_its_size_and_how_long_it_was_awake(world: World) -> None:
    made = world.client.create_branch(world.project, name="metered", parent_id=world.main)
    directory = world.running.home / "branches" / made.branch.id
    aged(directory / "data", 400)
    first = world.client.branch(world.project, made.branch.id)
    assert first.logical_size is not None
    assert 400 <= first.extra["active_time_seconds"] < 400 + 300
    assert first.extra["compute_time_seconds"] == first.extra["active_time_seconds"] // 4

    with world.connect(made.branch.id) as connection:
        connection.execute(
            "create table filled as select repeat(n::text, 40) from generate_series(1, 100000) n"
        )
    larger = world.client.branch(world.project, made.branch.id)
    assert (larger.logical_size or 0) > first.logical_size + 5 * 2**20
    listed = {each.id: each for each in world.client.branches(world.project)}
    assert listed[made.branch.id].logical_size == larger.logical_size

    (endpoint,) = world.client.endpoints(world.project, made.branch.id)
    world.client.suspend_endpoint(world.project, endpoint.id)
    asleep = world.client.branch(world.project, made.branch.id)
    assert awake_for(directory) == 0
    assert asleep.logical_size == used_bytes(directory)  # nobody writes there any more
    assert asleep.extra["active_time_seconds"] >= 400
    assert (
        asleep.extra["active_time_seconds"]
        == (world.client.branch(world.project, made.branch.id).extra["active_time_seconds"])
    )
    with world.connect(made.branch.id):
        woken = world.client.branch(world.project, made.branch.id)
    assert woken.extra["active_time_seconds"] >= asleep.extra["active_time_seconds"]


def test_a_meter_measures_whose_turn_it_is_and_forgets_who_is_gone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for each in (one, two):
        each.mkdir()
        (each / "file").write_bytes(b"x" * 10_000)
    meter = Meter()
    assert meter.known(one) is None
    meter.care((one, two))
    size = meter.known(one)
    assert size is not None
    assert size >= 10_000
    (one / "more").write_bytes(b"x" * 100_000)
    meter.care((one, two))  # not its turn yet
    assert meter.known(one) == size
    assert meter.measure(one) >= size + 100_000
    meter.care((two,))
    assert meter.known(one) is None
