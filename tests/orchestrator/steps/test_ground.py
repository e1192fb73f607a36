"""Branches that versions of the app are tried on: the same one while nobody wrote, else a fresh one; then none."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest

from neon_client import NeonClient
from neon_embedded import Running
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.steps import ground as grounds
from orchestrator.steps.ground import Ground
from orchestrator.steps.project import NeonProject, trial_name


@pytest.fixture
def project(embedded: Running) -> Iterator[NeonProject]:
    with NeonClient(api_key=embedded.api_key, base_url=embedded.base_url) as neon:
        made = neon.create_project(name="ground", database_name="shop", role_name="shop_owner").project
        yield NeonProject(neon=neon, id=made.id, key=f"embedded/{made.id}", database="shop")
        neon.delete_project(made.id)


def a_ground(project: NeonProject, scrubbed: list[str], *, handed_on: bool = False) -> Ground:
    now = datetime.now(UTC)
    preview = Preview(
        id="0123abcd", name="pr-1", project=project.key, wanted=Wanted.READY, state=State.CHECKING,
        facts={"store": "store-1"}, error=None, created_by="ada@test", created_at=now, updated_at=now,
        expires_at=None,
    )  # fmt: skip
    return Ground(
        project=project,
        preview=preview,
        schema="old",
        endpoint_settings=lambda _: None,
        scrub=scrubbed.append,
        changing=threading.Lock(),
        handed_on=handed_on,
    )


def test_a_branch_on_which_nobody_wrote_goes_to_the_next_and_any_other_does_not(
    project: NeonProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grounds, "_PARTING_SECONDS", 60.0)  # however long a closed session takes to end
    with project.connect_main("test") as main:
        main.execute("create table t (id int generated always as identity)")
    scrubbed: list[str] = []
    with a_ground(project, scrubbed) as ground:
        first = ground.uri().reveal()
        with psycopg.connect(first) as reader:
            reader.execute("select count(*) from t")
        assert ground.uri().reveal() == first

        wrote = first
        for write in ("insert into t default values", "create table more (id int)"):
            with psycopg.connect(wrote, autocommit=True) as writer:
                writer.execute(write)
            fresh = ground.uri().reveal()
            assert fresh != wrote, write
            with psycopg.connect(fresh) as reader:
                assert reader.execute("select count(*) from t").fetchone() == (0,)
            wrote = fresh

        undecided = psycopg.connect(wrote)  # may hold locks, and may write yet
        undecided.execute("select 1")
        monkeypatch.setattr(grounds, "_PARTING_SECONDS", 0.0)
        assert ground.uri().reveal() != wrote
        undecided.close()
        assert len(scrubbed) == len(set(scrubbed)) == 4
    names = [branch.name for branch in project.neon.branches(project.id)]
    assert trial_name(ground.preview, "old") not in names


def test_what_a_dead_run_left_is_gone_before_anything_is_made(project: NeonProject) -> None:
    ground = a_ground(project, [])
    name = trial_name(ground.preview, "old")
    left = project.neon.create_branch(project.id, name=name, parent_id=project.main.id).branch
    with ground:
        assert left.id not in [branch.id for branch in project.neon.branches(project.id)]
        ground.uri()
        assert project.neon.find_branch(project.id, name) is not None
    assert project.neon.find_branch(project.id, name) is None


def test_only_a_branch_on_which_nobody_wrote_is_handed_on_and_whoever_takes_it_ends_it(
    project: NeonProject,
) -> None:
    ground = a_ground(project, [], handed_on=True)
    name = trial_name(ground.preview, "old")

    def there() -> str:
        found = project.neon.find_branch(project.id, name)
        return found.id if found else ""

    with ground:
        ground.make()
        made = there()
        with psycopg.connect(ground.uri().reveal()) as reader:
            reader.execute("select 1")
    assert there() == made
    with suppress(ZeroDivisionError), ground.rest() as left:
        assert left == made
        raise ZeroDivisionError
    assert there() == ""
    with ground.rest() as left:
        assert left == ""

    with ground, psycopg.connect(ground.uri().reveal(), autocommit=True) as writer:
        writer.execute("create table t (id int)")
    with ground.rest() as left:
        assert left == there() == ""

    with suppress(ZeroDivisionError), ground:
        ground.uri()
        raise ZeroDivisionError
    assert there() == ""

    with ground:
        ground.uri()
    ground.forget()
    assert there() == ""
