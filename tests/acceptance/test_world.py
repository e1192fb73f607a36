"""The world fails: Neon answers badly, the store or the engine restarts, the clock jumps. States are right then."""

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from neon_client import NeonClient
from neon_client.retry import Patience
from neon_embedded import ensure_running, stop
from orchestrator import opening
from orchestrator.bootstrap import Assembly
from tests.acceptance.bad_neon import WAYS, BadNeon, bad_neon
from tests.acceptance.inside import ended, run, start
from tests.acceptance.matrix import dealt, quick_folder
from tests.acceptance.scenes import NAME, SCENES, Stand, up
from tests.acceptance.shop import Shop
from tests.acceptance.small import make_small
from tests.acceptance.test_fault_points import stand
from tests.acceptance.test_server import serving

Make = Callable[..., Shop]

REQUESTS = {
    "making the branch": lambda method, path: method == "POST" and path.endswith("/branches"),
    "new passwords": lambda method, path: method == "POST" and path.endswith("/reset_password"),
    "waiting for it": lambda method, path: method == "GET" and "/operations" in path,
    "looking at it": lambda method, path: method == "GET" and "/branches/br-" in path,
    "its address": lambda method, path: method == "GET" and "/connection_uri" in path,
    "removing a branch": lambda method, path: method == "DELETE" and "/branches/" in path,
}


@contextmanager
def behind_a_proxy(home: Path, shop: Shop, folder: Path) -> Iterator[tuple[Stand, BadNeon]]:
    """A project that is reached through a proxy which answers badly when it is told to."""
    running = ensure_running(home)
    with bad_neon(running.base_url) as proxy:
        shop.settings(lambda text: text.replace('neon = "embedded"', f'neon = "{proxy.url}"'))
        shop.environment["NEON_API_KEY"] = running.api_key.reveal()
        played = Stand(shop, folder)
        yield played, proxy
        proxy.heal()
        played.clean()  # while the address that the diary knows still leads somewhere


@pytest.fixture
def behind(make_small_shop: Make, shops_home: Path, tmp_path: Path) -> Iterator[tuple[Stand, BadNeon]]:
    with behind_a_proxy(shops_home, make_small_shop(), tmp_path) as both:
        yield both


def survives(played: Stand, proxy: BadNeon, way: str, request: str, times: int) -> str:
    """Play a verb while Neon answers badly, then again while it is well; production must not have noticed."""
    scene = "discard" if request == "removing a branch" else "up"
    played.bring(SCENES[scene].starts)
    played.at = ""
    before = played.shop.columns(played.shop.uri(), "notes")
    proxy.slow = request == "waiting for it"
    proxy.spoil(way, REQUESTS[request], times)
    code = run(played.shop, SCENES[scene].act, log=played.log)
    said = played.log.read_text()
    assert code in {0, 11}, (
        f"{way} {request}: {code} {said}"
    )  # done all the same, or an error of ours with its next step
    assert "Traceback" not in said
    spoilt = proxy.spoilt
    proxy.heal()
    assert played.shop.columns(played.shop.uri(), "notes") == before, "production was changed"
    played.goes_on(scene)
    return "not asked" if not spoilt else "mended" if code == 0 else "failed, then went on"


def test_a_lost_answer_and_a_wrong_one_are_no_harm(behind: tuple[Stand, BadNeon]) -> None:
    """A sample; `make prove` does every bad answer to every request."""
    played, proxy = behind
    assert survives(played, proxy, "cut", "making the branch", 1) == "mended"
    assert survives(played, proxy, "html 200", "its address", 50) == "failed, then went on"


def play(base: Path, cells: Sequence[tuple[str, str, int]], say: Path) -> None:
    """Play cells on a stand in a home of its own; each outcome becomes a line of `say`."""
    (base / "folder").mkdir(parents=True)
    running = ensure_running(base / "home")
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as neon:
        shop = make_small(base / "home", neon, base / "folder" / "shop", "stand", "process")
        try:
            with behind_a_proxy(base / "home", shop, base / "folder") as (played, proxy):
                for request, way, times in cells:
                    began, outcome, fault = time.monotonic(), "wrong", ""
                    try:
                        outcome = survives(played, proxy, way, request, times)
                    except AssertionError as error:
                        fault, played.at = str(error) or "an assertion failed", ""
                    seconds = round(time.monotonic() - began, 1)
                    told = {
                        "cell": (request, way, times),
                        "outcome": outcome,
                        "fault": fault,
                        "seconds": seconds,
                    }
                    with say.open("a") as file:
                        file.write(f"{json.dumps(told)}\n")
        finally:
            stop(base / "home")


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_every_bad_answer_to_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is asked again is asked again, but nobody waits minutes for the end of patience here.
    monkeypatch.setattr(opening, "Patience", partial(Patience, budget_seconds=3, locked_seconds=3))
    cells = [(request, way, times) for request in REQUESTS for way in WAYS for times in (1, 50)]
    began = time.monotonic()
    with quick_folder() as folder:
        told = dealt(folder, cells, play)
    for request in REQUESTS:
        outcomes = Counter(each["outcome"] for each in told if each["cell"][0] == request)
        print(f"{request}: {dict(outcomes)}")
    outcomes = Counter(each["outcome"] for each in told)
    print(f"{len(told)} bad answers: {dict(outcomes)}, {time.monotonic() - began:.0f} s")
    assert [each for each in told if each["fault"]] == []
    assert len(told) == len(cells) == 144
    assert not outcomes["not asked"], [each["cell"] for each in told if each["outcome"] == "not asked"]


def test_the_store_restarts_in_the_middle(make_small_shop: Make, tmp_path: Path) -> None:
    played = stand(make_small_shop, tmp_path, "process")
    neon = played.shop.neon
    store = next(each for each in neon.projects() if each.name == "preview-store")
    endpoint = neon.endpoints(store.id)[0]
    child = start(played.shop, up, log=played.log)
    project = played.shop.project_id
    while not [each for each in neon.branches(project) if not each.default]:
        pass  # it works now; the store is asked again when its step is done
    neon.suspend_endpoint(store.id, endpoint.id)
    code = ended(child)
    assert code in {0, 11}, played.log.read_text()
    if code:
        assert "lost the connection to the store" in played.log.read_text()
    played.goes_on("up")


@pytest.mark.prove
def test_the_store_restarts_under_a_server_with_jobs_at_work(make_small_shop: Make, tmp_path: Path) -> None:
    shop = make_small_shop()
    with serving(shop) as server:
        ada = server.by(server.token("developer", "ada"), shop.folder)
        neon = shop.neon
        store = next(each for each in neon.projects() if each.name == "preview-store")
        endpoint, project = neon.endpoints(store.id)[0], shop.project_id
        going = [
            subprocess.Popen(
                ada.command("up", f"pr-{number}", "--json"),
                cwd=ada.folder,
                env=ada.env(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(3)
        ]
        restarts = 0
        while any(each.poll() is None for each in going):
            if len([each for each in neon.branches(project) if not each.default]) > restarts and restarts < 3:
                neon.suspend_endpoint(store.id, endpoint.id)
                restarts += 1
            time.sleep(0.1)
        said = [each.communicate() for each in going]
        assert restarts == 3
        assert [each.returncode for each in going] == [0, 0, 0], said
        assert {each["state"] for each in ada.json("list")} == {"ready"}
        branches = [each.name for each in neon.branches(project) if not each.default]
        assert len(branches) == 3, "one each, none doubled"
        for number in range(3):
            ada.preview("discard", f"pr-{number}")
        admin = server.by(server.token("admin", "root"), shop.folder)
        assert admin.json("sweep")["orphans"] == []


def test_a_clock_that_jumped_ends_nobodys_preview(make_small_shop: Make, tmp_path: Path) -> None:
    played = stand(make_small_shop, tmp_path, "process")

    def look(rooms: Assembly) -> None:
        rooms.controller.up(NAME, answers={})
        assert rooms.lifetime.expired(datetime.now(UTC) + timedelta(days=400)) == ()
        preview = rooms.controller.mine(NAME)
        rooms.store.live_until(preview.id, datetime.now(UTC) - timedelta(days=1), kind="test", note="")
        assert [each.name for each in rooms.lifetime.expired()] == [NAME]
        assert rooms.lifetime.expired(datetime.now(UTC) - timedelta(days=400)) == ()

    assert run(played.shop, look, log=played.log) == 0, played.log.read_text()
    played.clean()


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """A Docker engine of this test's own, which it may stop; with the common one's base image."""
    if os.geteuid() or not shutil.which("dockerd"):
        pytest.skip("needs root and dockerd")
    place = Path("/var/tmp") / f"engine-{os.getpid()}"
    place.mkdir()
    bridge, socket = f"pvt{os.getpid() % 100000}", f"unix://{place}/sock"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    subprocess.run(["ip", "address", "add", "10.213.47.1/24", "dev", bridge], check=True)
    subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
    engine: list[subprocess.Popen[bytes]] = []

    def control(what: str) -> None:
        if what == "stop":
            engine.pop().terminate()
            while (place / "pid").exists():
                time.sleep(0.05)
            return
        log = (place / "log").open("ab")
        # No rules of its own in the machine's tables: they are the common engine's.
        engine.append(
            subprocess.Popen(
                [
                    *(
                        "dockerd",
                        "-H",
                        socket,
                        "--data-root",
                        str(place / "data"),
                        "--exec-root",
                        str(place / "exec"),
                    ),
                    *(
                        "--pidfile",
                        str(place / "pid"),
                        "--bridge",
                        bridge,
                        "--iptables=false",
                        "--ip6tables=false",
                    ),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )
        deadline = time.monotonic() + 60
        while subprocess.run(["docker", "-H", socket, "info"], capture_output=True).returncode:
            assert time.monotonic() < deadline, (place / "log").read_text()[-2000:]
            time.sleep(0.1)

    try:
        control("start")
        saved = subprocess.Popen(["docker", "save", "preview-base:python3"], stdout=subprocess.PIPE)
        subprocess.run(["docker", "-H", socket, "load"], stdin=saved.stdout, check=True, capture_output=True)
        saved.wait()
        control.host = socket  # type: ignore[attr-defined]
        yield control
    finally:
        if engine:
            control("stop")
        subprocess.run(["ip", "link", "del", bridge], check=False)
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.docker
@pytest.mark.prove
def test_the_engine_is_stopped_and_started(
    make_small_shop: Make, tmp_path: Path, own_engine: Callable[[str], None]
) -> None:
    shop = make_small_shop(runtime="docker")
    shop.environment["DOCKER_HOST"] = own_engine.host  # type: ignore[attr-defined]
    url = shop.preview("up", NAME).stdout.strip()
    assert httpx.get(url, trust_env=False).status_code == 200

    own_engine("stop")
    shown = shop.json("show", NAME)
    assert shown["state"] == "ready"
    assert shown["parts"]["app"]["well"] is None
    failed = shop.preview("reconcile", NAME, expect=1)
    assert "no Docker engine answers" in failed.stdout + failed.stderr
    assert shop.json("list"), "the row stays"
    refused = shop.preview("discard", NAME, expect=1)
    assert "--force" in refused.stderr

    own_engine("start")
    shop.preview("discard", NAME)
    url = shop.preview("up", NAME).stdout.strip()
    subprocess.run(
        ["docker", "-H", own_engine.host, "rm", "-f", f"preview-{NAME}-{shop.json('show', NAME)['id']}"],  # type: ignore[attr-defined]
        check=True,
        capture_output=True,
    )
    assert shop.json("show", NAME)["parts"]["app"]["seen"] == "gone"
    assert "started the app again" in shop.json("reconcile", NAME)[0]["done"][0]
    assert httpx.get(shop.json("show", NAME)["url"], trust_env=False).status_code == 200
    shop.preview("discard", NAME)
    assert [
        each for each in shop.json("sweep")["orphans"] if each["kind"] in {"container", "image", "network"}
    ] == []
