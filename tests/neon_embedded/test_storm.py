"""200 create/migrate/delete cycles under 5 % random faults of each kind end right, with nothing left over."""

from collections.abc import Callable
from typing import TypeVar

import psycopg
import pytest

from neon_client import NeonError, OperationFailed
from neon_embedded.faults import FAULTS

from .conftest import World

T = TypeVar("T")

CHANCE = 0.05
#: A plan's limit is no passing fault: it is met by discarding, not by trying again.
STORM = {name: CHANCE for name in FAULTS if name != "branches_limit"}


def persistently(act: Callable[[], T]) -> T:
    """What a person does whom the message tells to run the command again."""
    for _ in range(20):
        try:
            return act()
        except OperationFailed:
            continue
        except NeonError as error:
            if not error.retryable:
                raise
    return act()


def cycle(world: World, number: int) -> None:
    name, password = f"preview/storm-{number}", world.uri(world.main).password

    def make() -> str:
        there = world.client.find_branch(world.project, name)
        if there is not None:  # one whose making failed half way
            world.client.delete_branch(world.project, there.id)
        made = world.client.create_branch(world.project, name=name, parent_id=world.main)
        assert made.branch.parent_id == world.main
        return made.branch.id

    branch = persistently(make)
    rotated = persistently(lambda: world.client.reset_password(world.project, branch, "neondb_owner"))
    assert world.uri(branch).password == rotated != password
    with world.connect(branch) as connection:
        connection.execute("alter table ledger add column note text not null default 'migrated'")
        assert connection.execute("select count(*), min(note) from ledger").fetchone() == (100, "migrated")
    persistently(lambda: world.client.delete_branch(world.project, branch))


@pytest.mark.prove
@pytest.mark.parametrize(("cycles", "seed"), [(200, 7)])
def test_a_storm_leaves_nothing(world: World, cycles: int, seed: int) -> None:
    storm(world, cycles, seed)


def test_a_short_storm_leaves_nothing(world: World) -> None:
    storm(world, 5, seed=1)


def storm(world: World, cycles: int, seed: int) -> None:
    with world.connect(world.main) as connection:
        connection.execute("drop table if exists ledger")
        connection.execute("create table ledger as select generate_series(1, 100) as entry")
    endpoints = {each.id for each in world.client.endpoints(world.project)}
    world.http.post("embedded/faults", json={**STORM, "seed": seed}).raise_for_status()
    try:
        for number in range(cycles):
            cycle(world, number)
    finally:
        world.arm(**dict.fromkeys(FAULTS, 0))
    with world.connect(world.main) as connection, pytest.raises(psycopg.errors.UndefinedColumn):
        connection.execute("select note from ledger")
    assert [each.id for each in world.client.branches(world.project)] == [world.main]
    assert {each.id for each in world.client.endpoints(world.project)} == endpoints
    assert not [each for each in world.client.operations(world.project) if each.pending]
    assert world.directories() == {world.main}
