"""A stand on which verbs are played up to a fault point again and again, and what must be true afterwards."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator import faults
from orchestrator.bootstrap import Assembly
from orchestrator.errors import WaitingForAnswers
from orchestrator.lifecycle import Promotion, State
from tests.acceptance.inside import KILLED, Verb, must, run
from tests.acceptance.shop import Shop, docker_names, orphaned_postgres
from tests.acceptance.small import GOAL, TABLE

NAME = "pr-1"
QUESTION = "rename:column:public.notes.body"


def up(rooms: Assembly) -> Any:
    return rooms.controller.up(NAME, answers={})


def promote(rooms: Assembly) -> Any:
    if (
        rooms.store.find(NAME) is not None
    ):  # killed after the row was closed: there is nothing to promote any more
        rooms.controller.promote(NAME, allow=[], keep=False)


def discard(rooms: Assembly) -> Any:
    if rooms.store.find(NAME) is not None:
        rooms.controller.discard(NAME)


def give_up(rooms: Assembly) -> Any:
    """Discard, also what is half-way through its promotion."""
    if rooms.store.find(NAME) is not None:
        rooms.controller.discard(NAME, force=True)


def waiting(rooms: Assembly) -> Any:
    """A preview that waits for an answer: the goal has another column, and main one that it lacks."""
    with pytest.raises(WaitingForAnswers):
        rooms.controller.up(NAME, answers={})


def answer(rooms: Assembly) -> Any:
    preview = rooms.store.find(NAME)
    if preview is not None and preview.state is State.WAITING:
        rooms.controller.answer(NAME, {QUESTION: "text"})
    else:
        rooms.controller.up(NAME, answers={})


def over(rooms: Assembly) -> Any:
    preview = rooms.controller.mine(NAME)
    rooms.store.live_until(preview.id, datetime.now(UTC) - timedelta(hours=1), kind="test", note="")


def sweep(rooms: Assembly) -> Any:
    assert rooms.sweeping.remove(rooms.sweeping.look(), lambda _: None) == ()


def revert(rooms: Assembly, *, to_restore_point: bool = False) -> Any:
    last = [each for each in history(rooms) if each.kind == "promotion"][-1]
    done = rooms.store.promotions(rooms.project.key).revert_of(last.id)
    if done is None or done.state != "done":  # else it was killed after its end was written down
        chosen = rooms.reverts.choose(last.id)
        rooms.reverts.revert(rooms.reverts.look(chosen, to_restore_point=to_restore_point))


def revert_to_point(rooms: Assembly) -> Any:
    revert(rooms, to_restore_point=True)


def sweep_then(verb: Verb) -> Verb:
    """What lies about goes first: it must not be what the verb needs."""

    def both(rooms: Assembly) -> None:
        sweep(rooms)
        verb(rooms)

    return both


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
    assert last_of_history(rooms).kind == "promotion"


def is_reverted(shop: Shop, rooms: Assembly) -> None:
    is_gone(shop, rooms)
    assert shop.columns(shop.uri(), "notes") == {"id", "text"}
    assert shop.main("select count(*) from notes") == [(20,)]
    promotion = [each for each in history(rooms) if each.kind == "promotion"][-1]
    assert last_of_history(rooms).reverts == promotion.id


def history(rooms: Assembly) -> tuple[Promotion, ...]:
    return rooms.store.promotions(rooms.project.key).all()


def last_of_history(rooms: Assembly) -> Promotion:
    """It is done, and nothing is said to be going on still."""
    assert [each.to_json() for each in history(rooms) if each.state == "running"] == []
    last = history(rooms)[-1]
    assert last.state == "done"
    return last


@dataclass(frozen=True)
class Scene:
    """A verb in a play.

    Attributes:
        starts: how the stand is before it; see Stand.bring.
        act: the verb.
        after: what must be true when it is done.
        ends: how the stand is then.
        instead: what is done in place of going on, when it was killed.
    """

    starts: str
    act: Verb
    after: Callable[[Shop, Assembly], None]
    ends: str = "nothing"
    instead: Verb = give_up


def approve(rooms: Assembly) -> Any:
    return rooms.controller.approve(NAME, allow=[])


def rebase(rooms: Assembly) -> Any:
    return rooms.controller.rebase(NAME, answers={})


SCENES = {
    "up": Scene("nothing", up, is_ready, "ready"),
    "answer": Scene("waiting", answer, is_ready, "answered"),
    "approve": Scene("ready", approve, is_ready, "approved"),
    "rebase": Scene("ready", rebase, is_ready, "ready"),
    "promote": Scene("ready", promote, is_promoted, "promoted"),
    "discard": Scene("ready", discard, is_gone),
    "sweep": Scene("over", sweep, is_gone),
    # What a revert has begun nobody can discard: a sweep comes between instead.
    "revert": Scene("promoted", revert, is_reverted, instead=sweep_then(revert)),
    "revert to the point": Scene(
        "promoted", revert_to_point, is_reverted, instead=sweep_then(revert_to_point)
    ),
}


@dataclass
class Stand:
    """One small project on which scenes are played; `at` is how it is: ``nothing``, ``ready``, ``waiting``, ..."""

    shop: Shop
    folder: Path
    at: str = ""
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "log"

    def bring(self, wanted: str) -> None:
        """Have the stand as a scene needs it, from what it is."""
        if self.at == wanted:
            return
        if wanted == "nothing":
            self.clean()
        elif wanted == "waiting":
            self.bring("nothing")
            self.goal("body")
            must(self.shop, waiting, log=self.log)
        elif wanted == "ready":
            self.bring("nothing")
            must(self.shop, up, log=self.log)
        elif wanted == "over":
            self.bring("ready")
            must(self.shop, over, log=self.log)
        else:
            self.bring("ready")
            must(self.shop, promote, log=self.log)
        self.at = wanted

    def goal(self, text: str = "text") -> None:
        (self.shop.folder / "goal" / "1.sql").write_text(f"{GOAL.replace('text', text, 1)};\n")

    def points(self, scene: str) -> tuple[str, ...]:
        """The points of a scene's verb, recorded in an undisturbed run that begins from nothing."""
        self.bring("nothing")
        self.bring(SCENES[scene].starts)
        file = self.folder / f"{scene}.points"
        assert run(self.shop, SCENES[scene].act, fault=f"record {file}", log=self.log) == 0, (
            self.log.read_text()
        )
        self.at = SCENES[scene].ends
        return faults.recorded(file)

    def broken(self, scene: str, order: str) -> int:
        """Play the scene up to an order; returns how the verb ended."""
        self.bring(SCENES[scene].starts)
        self.at = ""
        return run(self.shop, SCENES[scene].act, fault=order, log=self.log)

    def goes_on(self, scene: str, *, instead: bool = False) -> None:
        """The verb again, or what is done instead of it; then what must be true, and nothing is left over."""
        played = SCENES[scene]
        if instead and played.instead is give_up:
            self.clean()
            return
        act = played.instead if instead else played.act
        must(self.shop, act, lambda rooms: played.after(self.shop, rooms), self.audit, log=self.log)
        self.at = played.ends

    def clean(self) -> None:
        """Discard, then audit: nothing of any kind is left but what is kept on purpose; then main as it was."""
        must(self.shop, give_up, self.audit, log=self.log)
        neon, project = self.shop.neon, self.shop.project_id
        main = neon.default_branch(project).id
        for each in neon.branches(project):
            if each.name.startswith("restore/") and each.parent_id == main:
                neon.delete_branch(project, each.id)
        self.shop.main(MAIN_AS_IT_WAS)
        self.goal()
        self.at = "nothing"

    def audit(self, rooms: Assembly) -> None:
        """Nothing is there that no preview has: by the product's own look, and behind its back."""
        found = rooms.sweeping.look().to_json()
        assert found["orphans"] == [], found
        assert [each for each in found["not_looked_at"] if "docker" not in each["why"].lower()] == []
        rows = [each for each in rooms.store.live(closed=True) if each.project == rooms.project.key]
        live = {each.id for each in rows if each.state is not State.CLOSED}
        branches = [each.name for each in rooms.project.neon.branches(rooms.project.id) if not each.default]
        extra = [name for name in branches if not name.startswith("restore/")]
        assert len(extra) <= len(live), extra
        begun = [each.to_json() for each in history(rooms) if each.state == "running"]
        assert live or begun == [], "nobody will go on with it"
        lately = datetime.now(UTC) - timedelta(minutes=15)
        closed = {each.id for each in rows if each.updated_at > lately} - live
        assert behind_its_back(self.shop, closed, runs=bool(live)) == []


MAIN_AS_IT_WAS = f"""
do $$ declare each record; begin
  for each in select nspname from pg_namespace where nspname ~ '^preview_(kept|internal)' loop
    execute format('drop schema %I cascade', each.nspname);
  end loop;
end $$;
drop table if exists notes;
{TABLE};
insert into notes select n, 'note ' || n from generate_series(1, 20) n
"""


def behind_its_back(shop: Shop, ids: set[str], *, runs: bool) -> list[str]:
    """What is left on this machine of previews that are closed; apps too, unless one is to run."""
    found = orphaned_postgres(shop.home)
    if not runs:
        for place in Path("/proc").glob("[0-9]*/cwd"):
            try:
                inside = place.readlink() == shop.folder
            except OSError:
                continue
            if inside and place.parent.name not in {str(os.getpid()), str(os.getppid())}:
                found.append(f"process {place.parent.name}")
    if not ids:
        return found
    mine = re.compile("|".join(sorted(ids)))
    for folder, folders, files in os.walk(shop.home):
        found += [f"path {folder}/{name}" for name in (*folders, *files) if mine.search(name)]
        folders[:] = [name for name in folders if name != "data"]
    if "docker" in (shop.folder / "preview.toml").read_text():
        found += [name for name in docker_names() if mine.search(name)]
    return found


__all__ = ["KILLED", "NAME", "SCENES", "Stand", "up"]
