"""What is told of a release: once, with what ran before; put back when it does not serve; forgotten in time."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import Refused, StepFailed
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.settings import load
from orchestrator.steps.release import Releases
from preview.released import Release
from preview.source import tree_hash
from preview.spec import Image

TELL = 'printf "%s\\n" "$RELEASE_ACTION $RELEASE_KEY $RELEASE_IMAGE $RELEASE_PREVIOUS_IMAGE" >> told; test ! -e broken'


class Runtime:
    """Remembers which names it gave."""

    kind = "docker"

    def __init__(self) -> None:
        self.kept: list[str] = []

    def keep_image(self, image: Image, reference: str, *, named: bool) -> Image:
        self.kept.append(reference)
        return Image(reference=reference, id=image.id) if named else image

    def let_go(self, reference: str) -> None:
        self.kept.remove(reference)


def previewed(name: str, **facts: Any) -> Preview:
    now = datetime.now(UTC)
    return Preview(
        id="0123abcd",
        name=name,
        project="embedded/p",
        wanted=Wanted.PROMOTED,
        state=State.PROMOTING,
        facts={
            "runtime": "docker",
            "image": {"reference": f"preview-candidate:{name}", "id": f"sha256:{name}"},
            **facts,
        },
        error=None,
        created_by="me",
        created_at=now,
        updated_at=now,
        expires_at=None,
    )


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def releases(tmp_path: Path, runtime: Runtime) -> Callable[[str], Releases]:
    def make(release: str) -> Releases:
        file = tmp_path / "preview.toml"
        file.write_text(
            '[project]\nname = "p"\ndatabase = "d"\n[goal]\nbranch = "b"\n[app]\ncontext = "app"\n'
            f"[release]\n{release}\n"
        )
        candidates: Any = SimpleNamespace(runtime=lambda _preview: runtime)
        project: Any = SimpleNamespace(key="embedded/p", id="p")
        return Releases(load(file), project, candidates, lambda _kind: runtime, tmp_path / "home")  # type: ignore[arg-type, return-value]

    return make


def told(tmp_path: Path) -> list[str]:
    file = tmp_path / "told"
    return file.read_text().splitlines() if file.exists() else []


def test_nothing_is_wanted_by_default(releases: Callable[[str], Releases]) -> None:
    made = releases("")
    assert not made.wanted
    assert made.release(previewed("pr-1"), lambda _: None) is None
    assert made.put_back(None, lambda _: None) == {}


def test_a_release_is_told_once_and_put_back_by_its_outcome(
    releases: Callable[[str], Releases], runtime: Runtime, tmp_path: Path
) -> None:
    made = releases(f"kind = 'command'\ncommand = '''{TELL}'''")
    kept = f"preview-release:{made.key}"
    first = made.release(previewed("pr-1"), lambda _: None)
    again = made.release(previewed("pr-1"), lambda _: None)
    second = made.release(previewed("pr-2"), lambda _: None)
    assert first is not None
    assert again is not None
    assert second is not None
    assert told(tmp_path) == [
        f"release pr-1-0123abcd-pr-1:release {kept}-pr-1-0123abcd-pr-1 ",
        f"release pr-2-0123abcd-pr-2:release {kept}-pr-2-0123abcd-pr-2 {kept}-pr-1-0123abcd-pr-1",
    ]
    assert first["previous"] is None
    assert again["previous"] is None
    assert second["previous"] == first["release"]
    assert json.loads(json.dumps(second)) == second
    assert runtime.kept == [f"{kept}-pr-1-0123abcd-pr-1", f"{kept}-pr-2-0123abcd-pr-2"]
    assert made.would_put_back(second).startswith(
        f"the app goes back to {kept}-pr-1-0123abcd-pr-1, released for pr-1"
    )
    assert made.would_put_back(first) == "the app stays as it is: no version before it was released here"

    back = made.put_back(second, lambda _: None)
    assert made.put_back(second, lambda _: None)["release"] == back["release"]
    assert told(tmp_path)[2:] == [
        f"revert pr-2-0123abcd-pr-2:revert {kept}-pr-1-0123abcd-pr-1 {kept}-pr-2-0123abcd-pr-2"
    ]
    assert made.live is not None
    assert made.live.id == "pr-1-0123abcd-pr-1"
    assert made.put_back(first, lambda _: None) == {}
    for ask in (releases("").would_put_back, lambda outcome: releases("").put_back(outcome, lambda _: None)):
        with pytest.raises(Refused, match=r"it was released by `command`, and release\.kind is `none` now"):
            ask(second)


def test_what_fails_is_put_back_and_told_again_later(
    releases: Callable[[str], Releases], tmp_path: Path
) -> None:
    made = releases(f"kind = 'command'\ncommand = '''{TELL}'''")
    made.release(previewed("pr-1"), lambda _: None)
    (tmp_path / "broken").touch()
    with pytest.raises(StepFailed, match="exited with code 1") as failed:
        made.release(previewed("pr-2"), lambda _: None)
    assert "putting it back failed, too" in failed.value.detail
    assert [line.split()[0] for line in told(tmp_path)] == ["release", "release", "put_back"]
    assert made.live is not None
    assert made.live.preview == "pr-1"

    (tmp_path / "broken").unlink()
    made.release(previewed("pr-2"), lambda _: None)
    assert made.live.preview == "pr-2"


def test_versions_are_forgotten_when_their_time_is_over(
    releases: Callable[[str], Releases], runtime: Runtime
) -> None:
    made = releases("kind = 'command'\ncommand = ['true']")
    for name in ("pr-1", "pr-2"):
        made.release(previewed(name), lambda _: None)
    long_ago = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    for file in made.folder.glob("pr-*.json"):
        value = json.loads(file.read_text())
        file.write_text(json.dumps({**value, "at": long_ago, "left": value["left"] and long_ago}))

    made.release(previewed("pr-3"), lambda _: None)

    # The running version and the one before it stay, however old.
    assert [each.preview for each in made.released.all()] == ["pr-2", "pr-3"]
    assert len(runtime.kept) == 2


def test_what_served_until_now_is_kept_however_long_ago_it_was_made(
    releases: Callable[[str], Releases], runtime: Runtime
) -> None:
    made = releases("kind = 'command'\ncommand = ['true']")
    made.release(previewed("pr-1"), lambda _: None)
    long_ago = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    for file in made.folder.glob("*.json"):  # it has been production for two months
        file.write_text(json.dumps({**json.loads(file.read_text()), "at": long_ago}))

    made.release(previewed("pr-2"), lambda _: None)
    made.release(previewed("pr-3"), lambda _: None)

    assert [each.preview for each in made.released.all()] == ["pr-1", "pr-2", "pr-3"]
    assert len(runtime.kept) == 3


def test_another_app_of_the_same_project_is_another_production(releases: Callable[[str], Releases]) -> None:
    one, other = (releases(f"kind = 'container'\naddress = '127.0.0.1:{port}'") for port in (8080, 8081))
    assert one.key != other.key
    assert one.folder != other.folder


def test_what_is_not_kept_here_is_refused_before_anything_is_done(
    releases: Callable[[str], Releases],
) -> None:
    """Schema first, app last: a revert that cannot end must not begin."""
    here = releases("kind = 'container'\naddress = '127.0.0.1:8080'")
    first, second = (
        Release(
            id=f"pr-{n}",
            runtime="docker",
            image=Image(reference=f"i:{n}", id=f"sha256:{n}"),
            preview=f"pr-{n}",
        )
        for n in (1, 2)
    )
    outcome = {"kind": "container", "release": second.to_json(), "previous": first.to_json()}
    with pytest.raises(
        Refused, match="pr-1, which ran before, is not kept here any more, or was released elsewhere"
    ):
        here.would_put_back(outcome)
    here.released.remember(first)
    assert here.would_put_back(outcome) == "the app goes back to i:1, released for pr-1"


def test_what_ran_before_is_what_served_and_not_what_was_taken_back_or_failed(
    releases: Callable[[str], Releases], tmp_path: Path
) -> None:
    made = releases(f"kind = 'command'\ncommand = '''{TELL}'''")
    made.release(previewed("pr-1"), lambda _: None)
    second = made.release(previewed("pr-2"), lambda _: None)
    made.put_back(second, lambda _: None)
    (tmp_path / "broken").touch()
    with pytest.raises(StepFailed):
        made.release(previewed("pr-3"), lambda _: None)
    (tmp_path / "broken").unlink()
    made.release(previewed("pr-4"), lambda _: None)

    # A promotion that goes on after it has released says the same once more.
    again = made.release(previewed("pr-4"), lambda _: None)

    assert again is not None
    assert again["previous"]["preview"] == "pr-1"


def test_a_local_process_runs_from_a_copy_of_what_was_previewed(
    releases: Callable[[str], Releases], runtime: Runtime, tmp_path: Path
) -> None:
    runtime.kind = "process"
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text("one")
    made = releases("kind = 'command'\ncommand = ['true']")
    previewed_as = {"reference": "x", "id": f"sha256:{tree_hash(app, 'Dockerfile')}"}
    (app / "app.py").write_text("two")
    with pytest.raises(Refused, match=r"was changed after pr-1-0123abcd-[0-9a-f]{8} was previewed"):
        made.release(previewed("pr-1", runtime="process", image=previewed_as), lambda _: None)
    (app / "app.py").write_text("one")
    made.release(previewed("pr-1", runtime="process", image=previewed_as), lambda _: None)
    (app / "app.py").write_text("three")
    assert made.live is not None
    assert made.live.folder is not None
    assert (Path(made.live.folder) / "app.py").read_text() == "one"


def test_two_apps_on_one_database_are_two_productions(tmp_path: Path, runtime: Runtime) -> None:
    candidates: Any = SimpleNamespace(runtime=lambda _preview: runtime)
    project: Any = SimpleNamespace(key="embedded/p", id="p")

    def of(app: str, release: str) -> Releases:
        folder = tmp_path / app
        folder.mkdir(exist_ok=True)
        (folder / "preview.toml").write_text(
            '[project]\nname = "p"\ndatabase = "d"\n[goal]\nbranch = "b"\n[app]\ncontext = "app"\n'
            f"[release]\n{release}\n"
        )
        opened: Any = lambda _kind: runtime  # noqa: E731
        return Releases(load(folder / "preview.toml"), project, candidates, opened, tmp_path / "home")

    told = "kind = 'command'\ncommand = 'true'"
    shop, office = of("shop", told), of("office", told)
    assert shop.release(previewed("pr-1"), lambda _: None) is not None
    assert office.live is None
    first = office.release(previewed("pr-2"), lambda _: None)
    assert first is not None
    assert first["previous"] is None
    assert shop.live is not None
    assert shop.live.preview == "pr-1"
    hooks = {of("shop", f"kind = 'webhook'\nurl = 'https://d.example/{n}'").key for n in (1, 2)}
    assert len({*hooks, shop.key, office.key}) == 4
