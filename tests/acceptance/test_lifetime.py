"""How long previews live, what is left over, what is brought back: by the commands, on the embedded stack."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from orchestrator.database import connect
from tests.acceptance.shop import Shop, end

Make = Callable[..., Shop]


def store_uri(shop: Shop) -> str:
    project = next(each for each in shop.neon.projects() if each.name == "preview-store")
    main = shop.neon.default_branch(project.id)
    return shop.neon.connection_uri(
        project.id, branch_id=main.id, database="preview", role="preview_owner"
    ).reveal()


def in_store(shop: Shop, sql: str) -> None:
    with connect(store_uri(shop), purpose="test") as connection:
        connection.execute(sql.encode())


def wait_for_a_bill(shop: Shop, name: str) -> None:
    """Wait until the compute of a preview was awake long enough to count: Neon counts whole seconds of units."""
    branch = shop.json("show", name)["branch"]["id"]
    give_up = time.monotonic() + 120
    while not shop.neon.branch(shop.project_id, branch).extra["compute_time_seconds"]:
        assert time.monotonic() < give_up, f"the compute of {name} costs nothing"
        time.sleep(0.1)


def answers(url: str) -> bool:
    return httpx.get(url, trust_env=False).status_code == 200


def test_a_preview_has_an_end_that_neon_knows_and_can_be_moved(make_small_shop: Make) -> None:
    shop = make_small_shop(more='[lifetime]\nttl = "2d"\n')
    shop.preview("up", "pr-1")
    ready = shop.json("show", "pr-1")
    end = datetime.fromisoformat(ready["expires_at"])
    assert timedelta(days=1, hours=23) < end - datetime.now(UTC) < timedelta(days=2)
    branch = shop.neon.branch(shop.project_id, ready["branch"]["id"])
    assert branch.expires_at is not None
    assert abs(branch.expires_at - end - timedelta(days=1)) < timedelta(minutes=5)

    assert datetime.fromisoformat(
        shop.json("extend", "pr-1", "--for", "3d")["expires_at"]
    ) == end + timedelta(days=3)
    assert shop.neon.branch(shop.project_id, branch.id).expires_at == (end + timedelta(days=4)).replace(
        microsecond=0
    )
    assert shop.json("keep", "pr-1")["expires_at"] is None
    assert shop.neon.branch(shop.project_id, branch.id).expires_at is None
    refused = shop.preview("extend", "pr-1", "--for", "3d", expect=2)
    assert "does not expire" in refused.stderr
    assert "is not a duration" in shop.preview("extend", "pr-1", "--for", "soon", expect=2).stderr


def test_what_is_over_or_orphaned_is_shown_then_swept_and_nothing_else(make_small_shop: Make) -> None:
    shop = make_small_shop()
    shop.preview("up", "pr-1")
    shop.preview("up", "pr-2")
    over, lives = shop.json("show", "pr-1"), shop.json("show", "pr-2")
    in_store(
        shop,
        f"update preview_control.preview set expires_at = now() - interval '1 hour' where id = '{over['id']}'",
    )
    main = shop.neon.default_branch(shop.project_id).id
    shop.neon.create_branch(
        shop.project_id, name=f"preview/pr-2-{lives['id']}-untouched", parent_id=main, with_compute=False
    )
    shop.neon.create_branch(shop.project_id, name="preview/pr-9-0123abcd", parent_id=main, with_compute=False)

    found = shop.json("sweep")
    shown = {(each["kind"], each["preview"]) for each in found["orphans"]}
    assert shown == {("preview", "pr-1"), ("untouched branch", "pr-2")}
    assert [each["name"] for each in found["strangers"] if each["kind"] == "branch"] == [
        "preview/pr-9-0123abcd"
    ]
    assert shop.json("list"), "showing removes nothing"

    swept = shop.json("sweep", "--yes", "--of-store", "unknown")
    assert swept["left"] == []
    assert [each["name"] for each in shop.json("list")] == ["pr-2"]
    assert shop.leftovers(over) == []
    assert answers(lives["url"])
    assert shop.json("sweep")["orphans"] == []
    assert {each["kind"] for each in shop.json("history", "pr-1")} >= {"expired", "requested"}


def test_what_was_discarded_comes_back_with_its_data_while_it_is_kept(make_small_shop: Make) -> None:
    shop = make_small_shop()
    shop.preview("up", "pr-1")
    ready = shop.json("show", "pr-1")
    shop.on(shop.uri(ready["branch"]["name"]), "insert into notes values (100, 'written in the preview')")
    shop.preview("discard", "pr-1", "--keep-for", "2d")
    assert shop.json("list") == []
    kept = shop.neon.branch(shop.project_id, ready["branch"]["id"])
    assert kept.name == f"discarded/pr-1-{ready['id']}"
    assert kept.expires_at is not None
    assert shop.json("sweep")["orphans"] == []

    url = shop.preview("restore", "pr-1").stdout.strip()

    assert answers(url)
    again = shop.json("show", "pr-1")
    assert (again["state"], again["id"], again["plan"]["digest"]) == (
        "ready",
        ready["id"],
        ready["plan"]["digest"],
    )
    assert shop.on(shop.uri(again["branch"]["name"]), "select text from notes where id = 100") == [
        ("written in the preview",)
    ]
    shop.preview("promote", "pr-1")
    assert "seen" in shop.columns(shop.uri(), "notes")
    assert shop.leftovers(ready) == []
    assert "nothing was kept" in shop.preview("restore", "pr-1", expect=4).stderr


LIMITS = {
    "previews = 1": "limits.previews allows 1",
    "per_person = 1": "limits.per_person allows 1",
    'disk = "1k"': "limits.disk allows 1k",
    'free_disk = "100000t"': "limits.free_disk wants 100000t",
    "cost = 0.000001\ncompute_hour_price = 1000000": "limits.cost allows",
}


def test_every_limit_refuses_before_anything_is_made(make_small_shop: Make) -> None:
    shop = make_small_shop()
    shop.preview("up", "pr-1")
    wait_for_a_bill(shop, "pr-1")
    text = (shop.folder / "preview.toml").read_text()
    for limit, said in LIMITS.items():
        (shop.folder / "preview.toml").write_text(f"{text}\n[limits]\n{limit}\n")
        refused = shop.preview("up", "pr-2", expect=4)
        assert said in refused.stderr
        assert "make room" in refused.stderr
    mine = [each for each in shop.json("list", "--all") if each["project"].endswith(shop.project_id)]
    assert [each["name"] for each in mine] == ["pr-1"]
    assert len([each for each in shop.neon.branches(shop.project_id) if not each.default]) == 1
    shop.preview("up", "pr-1")  # the one that is there is no new one


def test_a_run_that_was_killed_is_said_to_rest_then_gone_on_with(make_small_shop: Make) -> None:
    shop = make_small_shop()
    shop.preview(
        "up", "pr-1", expect=-signal.SIGKILL, PREVIEW_FAULT="kill neon POST projects/branches after#1"
    )

    assert shop.json("show", "pr-1")["parts"]["run"]["well"] is None
    left = shop.preview("reconcile", "pr-1").stdout
    assert left.startswith("pr-1: left alone: nobody holds it")
    in_store(shop, "update preview_control.preview set updated_at = updated_at - interval '1 hour'")
    stopped = shop.preview("show", "pr-1").stderr
    assert "run: wanted under way, seen stopped half-way, and nobody goes on with it" in stopped
    assert "next: preview reconcile pr-1" in stopped

    assert shop.preview("reconcile", "pr-1").stdout == "pr-1: went on where it had stopped, branching\n"
    assert answers(shop.json("show", "pr-1")["url"])


def test_an_app_that_died_is_seen_and_brought_back(make_small_shop: Make) -> None:
    shop = make_small_shop()
    url = shop.preview("up", "pr-1").stdout.strip()
    end(shop.processes(url))
    dead = shop.json("show", "pr-1")
    assert dead["parts"]["app"]["well"] is False
    assert dead["parts"]["branch"]["well"] is True

    healed = shop.json("reconcile", "pr-1")

    assert "started the app again" in healed[0]["done"][0]
    after = shop.json("show", "pr-1")
    assert answers(after["url"])
    assert after["report"] == dead["report"]
    assert all(part["well"] for part in after["parts"].values()), after["parts"]
    assert "healed" in {each["kind"] for each in shop.json("history", "pr-1")}
    assert shop.json("reconcile") == [{"name": "pr-1", "done": [], "cannot": [], "left": []}]


@pytest.mark.prove
def test_another_app_than_the_one_that_was_looked_at_is_not_started(make_small_shop: Make) -> None:
    shop = make_small_shop()
    url = shop.preview("up", "pr-1").stdout.strip()
    (shop.folder / "app.py").write_text((shop.folder / "app.py").read_text() + "# changed\n")
    end(shop.processes(url))
    failed = shop.preview("reconcile", "pr-1", expect=1)
    assert "`preview up pr-1` builds it from the sources as they are" in failed.stdout


@pytest.mark.prove
def test_a_branch_that_was_deleted_elsewhere_is_said_to_be_gone_and_not_replaced_unasked(
    make_small_shop: Make,
) -> None:
    shop = make_small_shop()
    shop.preview("up", "pr-1")
    before = shop.json("show", "pr-1")
    shop.neon.delete_branch(shop.project_id, before["branch"]["id"])
    gone = shop.json("show", "pr-1")
    assert gone["parts"]["branch"]["seen"] == "gone"
    failed = shop.preview("reconcile", "pr-1", expect=1)
    assert "`preview up pr-1 --fresh`" in failed.stdout
    assert [each for each in shop.neon.branches(shop.project_id) if not each.default] == []
    assert answers(shop.preview("up", "pr-1", "--fresh").stdout.strip())


@pytest.mark.prove
def test_a_deleted_compute_is_made_again_and_a_dead_discard_finished(make_small_shop: Make) -> None:
    shop = make_small_shop()
    shop.preview("up", "pr-1")
    branch = shop.json("show", "pr-1")["branch"]["id"]
    for each in shop.neon.endpoints(shop.project_id, branch):
        shop.neon.delete_endpoint(shop.project_id, each.id)
    assert shop.json("show", "pr-1")["parts"]["compute"]["well"] is False
    done = shop.json("reconcile", "pr-1")[0]["done"]
    assert done[0] == "made the branch's compute again"
    assert all(part["well"] for part in shop.json("show", "pr-1")["parts"].values())

    in_store(shop, "update preview_control.preview set wanted = 'closed' where name = 'pr-1'")
    assert shop.json("reconcile")[0]["done"] == ["discarded, as was asked for"]
    assert shop.json("list") == []


@pytest.mark.prove
def test_the_backstop_ends_the_branch_when_nothing_of_ours_runs(make_small_shop: Make) -> None:
    shop = make_small_shop()
    shop.preview("up", "pr-1")
    branch = shop.json("show", "pr-1")["branch"]["id"]
    shop.neon.update_branch(shop.project_id, branch, expires_at=datetime.now(UTC) + timedelta(seconds=2))
    deadline = datetime.now(UTC) + timedelta(seconds=90)
    while shop.neon.find_branch(shop.project_id, shop.json("show", "pr-1")["branch"]["name"]) is not None:
        assert datetime.now(UTC) < deadline, "Neon did not end it"
    assert shop.json("show", "pr-1")["parts"]["branch"]["seen"] == "gone"
