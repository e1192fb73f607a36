"""Schema and app go live in one act: nobody notices, what is not healthy is put back, a kill is begun again."""

import http.client
import json
import os
import signal
import subprocess
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest

from preview.ports import free_ports
from tests.acceptance.shop import ALLOW_FAX, RENAME, Shop, end


@pytest.fixture
def address() -> str:
    return f"127.0.0.1:{next(free_ports(uuid.uuid4().hex))}"  # no client of this machine gets such a one meanwhile


@pytest.fixture
def released_shop(make_shop: Callable[..., Shop], address: str) -> Iterator[Shop]:
    """A shop whose version 1 runs behind the address, as a local process."""
    shop = make_shop()
    shop.settings(
        lambda text: f'{text}\n[release]\nkind = "container"\naddress = "{address}"\ndrain_seconds = 5\n'
    )
    done = shop.preview("release", "start", "--context", "v1")
    assert done.stdout.strip() == f"http://{address}"
    yield shop
    shop.preview("release", "stop", "--yes")


class Visitors:
    """People who look at a page of the shop again and again."""

    def __init__(self, address: str) -> None:
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.statuses: Counter[int] = Counter()
        self.errors: list[str] = []
        self.changed = threading.Condition()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._look) for _ in range(4)]

    def _look(self) -> None:
        while not self.over.is_set():
            connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
            try:
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                answer.read()
                with self.changed:
                    self.statuses[answer.status] += 1
                    self.changed.notify_all()
            except (OSError, http.client.HTTPException) as error:
                with self.changed:
                    self.errors.append(repr(error))
                    self.changed.notify_all()
            finally:
                connection.close()

    def __enter__(self) -> "Visitors":
        for thread in self.threads:
            thread.start()
        with self.changed:
            assert self.changed.wait_for(lambda: sum(self.statuses.values()) > 20, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def version_at(address: str) -> str:
    answer = httpx.get(f"http://{address}/healthz", trust_env=False)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["version"])


def test_schema_and_app_go_live_in_one_act(released_shop: Shop, address: str) -> None:
    shop = released_shop
    assert version_at(address) == "v1"
    ready = shop.json("up", "pr-1", "--answer", f"{RENAME}=name")

    with Visitors(address) as visitors:
        promoted = shop.json("promote", "pr-1", "--allow", ALLOW_FAX)

    assert visitors.errors == []
    assert set(visitors.statuses) == {200}
    assert version_at(address) == "v2"
    assert "fax" not in shop.columns(shop.uri(), "customers")
    status = shop.json("release", "status")
    assert status["seen"] == {"app": "running", "address": "up"}
    assert (status["live"]["preview"], status["left_over"]) == ("pr-1", [])
    assert [each["id"][:5] for each in status["earlier"]] == ["first"]
    assert promoted["release"]["release"] == status["live"]
    assert promoted["release"]["previous"]["id"] == status["earlier"][0]["id"]
    # The preview is gone; production does not need it.
    assert [value for value in shop.json("list") if value["id"] == ready["id"]] == []


@pytest.mark.prove
def test_what_does_not_get_healthy_is_put_back_and_goes_on_later(released_shop: Shop, address: str) -> None:
    shop = released_shop
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    good = (shop.folder / "preview.toml").read_text()
    shop.settings(lambda text: text.replace("drain_seconds = 5", 'env = { PYTHONHOME = "/nowhere" }'))

    failed = shop.preview("promote", "pr-1", "--allow", ALLOW_FAX, expect=1)

    assert "did not run" in failed.stderr
    # Nothing was done that the earlier version would notice.
    assert {"name", "fax"} <= set(shop.columns(shop.uri(), "customers"))
    assert shop.json("release", "status")["live"]["preview"] == ""
    (shop.folder / "preview.toml").write_text(good)
    shop.preview("promote", "pr-1")
    assert version_at(address) == "v2"
    assert "fax" not in shop.columns(shop.uri(), "customers")


@pytest.mark.prove
def test_killed_in_the_middle_of_a_release_the_next_promotion_ends_right(
    released_shop: Shop, address: str
) -> None:
    shop = released_shop
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    processes = shop.home / "processes"
    folder = max((shop.home / "releases").glob("*"), key=lambda path: path.stat().st_mtime)
    live = (folder / "live.json").read_text()
    reached: tuple[Callable[[], bool], ...] = (
        lambda: (folder / "sources").is_dir() and len(list((folder / "sources").glob("*"))) > 1,
        lambda: len(list(processes.glob(f"preview-release-{folder.name}-*/spec.json"))) > 1,
        lambda: (folder / "live.json").read_text() != live,
    )
    for there in reached:
        promoting = subprocess.Popen(
            shop.command("promote", "pr-1", "--allow", ALLOW_FAX),
            cwd=shop.folder,
            env=shop.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while promoting.poll() is None and not there():
            pass
        os.kill(promoting.pid, signal.SIGKILL)
        promoting.wait()
        assert httpx.get(f"http://{address}/healthz", trust_env=False).status_code in (200, 503)

    shop.preview("promote", "pr-1", expect=None)

    assert version_at(address) == "v2"
    assert "fax" not in shop.columns(shop.uri(), "customers")
    status = shop.json("release", "status")
    assert (status["live"]["preview"], status["left_over"]) == ("pr-1", [])


@pytest.mark.prove
@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_killed_between_the_renames_and_the_new_version_they_are_taken_back(
    released_shop: Shop, address: str, fault: str
) -> None:
    """Visitors wait, and then find the earlier version as it was; the next promotion ends it.

    Stopped (Ctrl-Z, SIGSTOP) it is killed by its watchdog before they have waited too long.
    """
    shop = released_shop
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    with Visitors(address) as visitors:
        killed = subprocess.run(
            shop.command("promote", "pr-1", "--allow", ALLOW_FAX),
            cwd=shop.folder,
            env=shop.env(PREVIEW_FAULT=f"{fault} sql promote pr-1: commit after#1"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        with visitors.changed:
            seen = sum(visitors.statuses.values())
            assert visitors.changed.wait_for(lambda: sum(visitors.statuses.values()) > seen + 20, timeout=60)
        assert {"name", "fax"} <= set(shop.columns(shop.uri(), "customers"))
        assert version_at(address) == "v1"
        listed = shop.preview("list")
        assert "promoting, stopped" in listed.stdout
        assert "next: preview promote pr-1" in listed.stderr
        assert [each["stopped"] for each in shop.json("list")] == [True]
        shown = shop.preview("show", "pr-1").stderr
        assert "promotion: wanted under way, seen stopped half-way" in shown
        assert "next: preview promote pr-1" in shown
        shop.preview("promote", "pr-1")

    assert visitors.errors == []
    assert set(visitors.statuses) == {200}
    assert version_at(address) == "v2"
    assert {"full_name"} <= set(shop.columns(shop.uri(), "customers"))


@pytest.mark.prove
def test_on_the_way_back_nobody_notices_either(released_shop: Shop, address: str) -> None:
    shop = released_shop
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.preview("promote", "pr-1", "--allow", ALLOW_FAX)
    assert version_at(address) == "v2"

    with Visitors(address) as visitors:
        shop.preview("revert", "--yes")

    assert visitors.errors == []
    assert set(visitors.statuses) == {200}
    assert version_at(address) == "v1"
    assert {"name", "fax"} <= set(shop.columns(shop.uri(), "customers"))
    reverted = shop.json("history", "promotions")[-1]
    assert reverted["kind"] == "revert"
    assert shop.json("history", "show", reverted["id"])["release"]["held_ms"] > 0


@pytest.mark.prove
def test_a_reboot_is_followed_by_start(released_shop: Shop, address: str) -> None:
    shop = released_shop
    before = shop.json("release", "status")
    # The app and its supervisor, of this home: what production is given tells nobody's from another's.
    runs = (shop.home / "processes").glob("preview-release-*/running.json")
    end([pid for each in runs for pid, _ in json.loads(each.read_text()).values()])
    shop.preview("release", "stop", "--yes")
    assert shop.json("release", "status")["seen"] == {"app": "gone", "address": "down"}

    shop.preview("release", "start")

    assert version_at(address) == "v1"
    after = shop.json("release", "status")
    assert after["live"] == before["live"]
    assert after["seen"] == {"app": "running", "address": "up"}


@pytest.mark.prove
@pytest.mark.docker
def test_containers_take_each_others_place(make_shop: Callable[..., Shop], address: str) -> None:
    shop = make_shop(runtime="docker")
    shop.settings(lambda text: f'{text}\n[release]\nkind = "container"\naddress = "{address}"\n')
    shop.preview("release", "start", "--context", "v1")
    try:
        assert version_at(address) == "v1"
        ready = shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
        with Visitors(address) as visitors:
            promoted = shop.json("promote", "pr-1", "--allow", ALLOW_FAX)
        assert visitors.errors == []
        assert set(visitors.statuses) == {200}
        # The rename came while visitors waited between the two containers.
        assert promoted["release"]["held_ms"] > 0
        assert version_at(address) == "v2"
        status = shop.json("release", "status")
        assert status["live"]["image"]["reference"].startswith("preview-release:")
        assert status["live"]["image"]["id"] == ready["image"]["id"]
        assert status["seen"] == {"app": "running", "address": "up"}
    finally:
        shop.preview("release", "stop", "--yes")
        for each in [*(status := shop.json("release", "status"))["earlier"], status["live"]]:
            subprocess.run(
                ["docker", "rmi", "-f", each["image"]["reference"]], capture_output=True, check=False
            )
