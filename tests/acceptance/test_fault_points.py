"""Killed at each fault point a verb goes on when run again, and leaves nothing when discarded: a sweep looks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.matrix import broken_everywhere, matrix, quick_folder
from tests.acceptance.scenes import KILLED, NAME, SCENES, Stand, up
from tests.acceptance.shop import Shop

Make = Callable[..., Shop]

__all__ = ["NAME", "Stand", "stand", "up"]


def stand(make: Make, folder: Path, runtime: str) -> Stand:
    made = Stand(make(runtime=runtime), folder)
    made.bring("ready")  # the store's tables and the store itself are made once, not in each cell
    made.bring("nothing")
    return made


def test_killed_at_a_few_points_it_goes_on_and_leaves_nothing(make_small_shop: Make, tmp_path: Path) -> None:
    """A sample; `make prove` does all points of all verbs."""
    played = stand(make_small_shop, tmp_path, "process")
    for scene, point in (
        ("up", "neon POST projects/branches after#1"),
        ("discard", "neon DELETE projects/branches before#1"),
        ("up", "process start after#1"),
        ("promote", "sql promote pr-1: ALTER TABLE public.notes after#1"),
        ("revert", "neon POST projects/branches before#1"),
    ):
        assert played.broken(scene, f"kill {point}") == KILLED, played.log.read_text()
        played.goes_on(scene)
    played.clean()


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_kill_matrix() -> None:
    with quick_folder() as folder:
        matrix(folder, "process", tuple(SCENES))


@pytest.mark.prove
@pytest.mark.docker
@pytest.mark.timeout(7200)
def test_kill_matrix_with_docker() -> None:
    with quick_folder() as folder:
        matrix(folder, "docker", ("up", "promote", "discard"), players=2)


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_broken_at_every_effect_on_neon_and_the_runtime() -> None:
    """The request fails before it is sent, or is done and its answer lost: the verb mends it, or the next one does."""
    with quick_folder() as folder:
        broken_everywhere(folder, "process", ("up", "promote", "revert", "discard"))
