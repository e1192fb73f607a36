"""Killed at each fault point a verb goes on when run again, and leaves nothing when discarded: a sweep looks."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import faults
from orchestrator.bootstrap import Assembly
from orchestrator.errors import WaitingForAnswers
from orchestrator.lifecycle import State
from tests.acceptance.inside import KILLED, Verb, must, run
from tests.acceptance.shop import Shop

NAME = "pr-1"
Make = Callable[..., Shop]


@dataclass(frozen=True)
class Scene:
    """A verb, what comes before it, and what must be true after it."""

    before: tuple[Verb, ...]
    act: Verb
    after: Callable[[Shop, Assembly], None]


def up(rooms: Assembly) -> Any:
    return rooms.controller.up(NAME, answers={})


def promote(rooms: Assembly) -> Any:
    if (
        rooms.store.find(NAME) is not None
    ):  # killed after the row was closed: there is nothing to promote any more
        rooms.controller.promote(NAME, allow=[], keep=False)


def discard(rooms: Assembly) -> Any:
    if rooms.store.find(NAME) is not None:
        rooms.controller.discard(NAME, force=True)


def waiting(rooms: Assembly) -> Any:
    """A preview that waits for an answer: the goal has another column, and main one that it lacks."""
    with pytest.raises(WaitingForAnswers):
        rooms.controller.up(NAME, answers={})


def answer(rooms: Assembly) -> Any:
    preview = rooms.store.find(NAME)
    if preview is not None and preview.state is State.WAITING:
        rooms.controller.answer(NAME, {QUESTION: "body"})
    else:
        rooms.controller.up(NAME, answers={})


def over(rooms: Assembly) -> Any:
    from datetime import UTC, datetime, timedelta

    preview = rooms.controller.mine(NAME)
    rooms.store.live_until(preview.id, datetime.now(UTC) - timedelta(hours=1), kind="test", note="")


def sweep(rooms: Assembly) -> Any:
    assert rooms.sweeping.remove(rooms.sweeping.look(), lambda _: None) == ()


def is_ready(shop: Shop, rooms: Assembly) -> None:
    preview = rooms.controller.mine(NAME)
    assert preview.state is State.READY, preview.error
    assert all(part.well for part in rooms.healing.look(preview)), rooms.healing.look(preview)
    branches = [
        each for each in rooms.project.neon.branches(rooms.project.id) if each.name.startswith("preview/")
    ]
    assert [each.id for each in branches] == [preview.facts["branch"]["id"]]


def is_gone(shop: Shop, rooms: Assembly) -> None:
    assert rooms.store.find(NAME) is None


def is_promoted(shop: Shop, rooms: Assembly) -> None:
    is_gone(shop, rooms)
    assert shop.main("select count(*), bool_or(seen) from notes") == [(20, False)]


QUESTION = "rename:column:public.notes.text"
SCENES = {
    "up": Scene((), up, is_ready),
    "answer": Scene((waiting,), answer, is_ready),
    "approve": Scene((up,), lambda rooms: rooms.controller.approve(NAME, allow=[]), is_ready),
    "rebase": Scene((up,), lambda rooms: rooms.controller.rebase(NAME, answers={}), is_ready),
    "promote": Scene((up,), promote, is_promoted),
    "discard": Scene((up,), discard, is_gone),
    "sweep": Scene((up, over), sweep, is_gone),
}


class Stand:
    """One small project on which scenes are played again and again."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.shop = shop
        self.folder = folder
        self.log = folder / "log"

    def reset(self, scene: str) -> None:
        """Main as it was; the goal that the scene needs."""
        self.shop.on(self.shop.uri(), "alter table notes drop column if exists seen")
        text = "body" if scene == "answer" else "text"
        goal = f"create table notes (id int primary key, {text} text not null, seen boolean not null default false);"
        (self.shop.folder / "goal" / "1.sql").write_text(goal)

    def points(self, scene: str) -> tuple[str, ...]:
        """The points of a scene's verb, recorded in an undisturbed run."""
        self.reset(scene)
        self.before(scene)
        file = self.folder / f"{scene}.points"
        assert run(self.shop, SCENES[scene].act, fault=f"record {file}", log=self.log) == 0, (
            self.log.read_text()
        )
        self.clean()
        return faults.recorded(file)

    def before(self, scene: str) -> None:
        for verb in SCENES[scene].before:
            must(self.shop, verb, self.log)

    def broken(self, scene: str, order: str) -> int:
        """Play the scene up to an order; returns how the verb ended."""
        self.reset(scene)
        self.before(scene)
        return run(self.shop, SCENES[scene].act, fault=order, log=self.log)

    def goes_on(self, scene: str) -> None:
        must(self.shop, SCENES[scene].act, self.log)
        must(self.shop, lambda rooms: SCENES[scene].after(self.shop, rooms), self.log)
        self.clean()

    def clean(self) -> None:
        """Discard, then audit: nothing of any kind is left but what is kept on purpose."""
        must(self.shop, discard, self.log)
        audit = self.folder / "audit.json"
        must(self.shop, lambda rooms: audit.write_text(json.dumps(rooms.sweeping.look().to_json())), self.log)
        found = json.loads(audit.read_text())
        assert found["orphans"] == [], found
        assert [each for each in found["not_looked_at"] if "docker" not in each["why"].lower()] == []
        branches = [each.name for each in self.shop.neon.branches(self.shop.project_id) if not each.default]
        assert [name for name in branches if not name.startswith("restore/")] == []


def stand(make: Make, folder: Path, runtime: str) -> Stand:
    made = Stand(make(runtime=runtime), folder)
    made.reset("up")
    must(made.shop, up, made.log)  # the store's tables and the store itself are made once, not in each cell
    made.clean()
    return made


def test_killed_at_a_few_points_it_goes_on_and_leaves_nothing(make_small_shop: Make, tmp_path: Path) -> None:
    """A sample; `make prove` does all points of all verbs."""
    played = stand(make_small_shop, tmp_path, "process")
    for scene, point in (
        ("up", "neon POST projects/branches after#1"),
        ("up", "process start after#1"),
        ("promote", "sql promote pr-1: ALTER TABLE public.notes after#1"),
    ):
        assert played.broken(scene, f"kill {point}") == KILLED, played.log.read_text()
        played.goes_on(scene)
    assert played.broken("discard", "kill neon DELETE projects/branches before#1") == KILLED
    played.goes_on("discard")


def matrix(played: Stand, scenes: tuple[str, ...]) -> None:
    total = 0
    for scene in scenes:
        points = played.points(scene)
        missed = 0
        for point in points:
            for go_on in (True, False):
                code = played.broken(scene, f"kill {point}")
                # Threads may take another turn than when the points were recorded; then the verb simply ended.
                missed += code != KILLED
                assert code in {KILLED, 0}, f"{scene} at {point}: {code} {played.log.read_text()}"
                try:
                    if go_on:
                        played.goes_on(scene)
                    else:
                        played.clean()
                except AssertionError as error:
                    raise AssertionError(
                        f"{scene} killed at {point}, then {'resumed' if go_on else 'discarded'}"
                    ) from error
        assert missed <= len(points) // 10
        total += len(points)
        print(f"{scene}: {len(points)} points x resume and discard, {missed} not reached")
    print(f"{total} fault points, {2 * total} kills, all right")


@pytest.mark.prove
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scene", SCENES)
def test_kill_matrix(make_small_shop: Make, tmp_path: Path, scene: str) -> None:
    matrix(stand(make_small_shop, tmp_path, "process"), (scene,))


@pytest.mark.prove
@pytest.mark.docker
@pytest.mark.timeout(7200)
def test_kill_matrix_with_docker(make_small_shop: Make, tmp_path: Path) -> None:
    matrix(stand(make_small_shop, tmp_path, "docker"), ("up", "discard"))


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_broken_at_every_effect_on_neon_and_the_runtime(make_small_shop: Make, tmp_path: Path) -> None:
    """The request fails before it is sent, or is done and its answer lost: the verb mends it, or the next one does."""
    played = stand(make_small_shop, tmp_path, "process")
    outcomes = {"mended": 0, "failed, then went on": 0}
    for scene in ("up", "promote", "discard"):
        for point in played.points(scene):
            if point.startswith("sql"):
                continue
            code = played.broken(scene, f"error {point}")
            outcomes["mended" if code == 0 else "failed, then went on"] += 1
            assert code != 2, f"{scene} at {point}: {played.log.read_text()}"
            played.goes_on(scene)
    print(outcomes)
