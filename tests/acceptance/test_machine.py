"""This machine fails: its disk is full, or it goes down at once. With room, or up again, everything is right."""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from neon_client import NeonClient
from neon_embedded import ensure_running, stop
from tests.acceptance.shop import Shop
from tests.acceptance.small import make_small

NAME = "pr-1"


@contextmanager
def small_project(home: Path, folder: Path) -> Iterator[Shop]:
    """A project on an embedded Neon of this test's own."""
    running = ensure_running(home)
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as neon:
        try:
            yield make_small(home, neon, folder, "alone", "process")
        finally:
            stop(home)


@pytest.fixture
def tight(enterable: Path) -> Iterator[Path]:
    """A home on a disk of its own, which a test can fill."""
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    place = enterable / "tight"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=700m,mode=0755", "tmpfs", str(place)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"this machine mounts no small disk: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes of a disk, on which others may write meanwhile."""
    ballast = disk / "ballast"
    while True:
        try:
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - left))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            continue
        return ballast


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_full_disk_is_said_and_with_room_it_goes_on(tight: Path, tmp_path: Path) -> None:
    with small_project(tight / "home", tmp_path / "shop") as shop:
        before = shop.main("select count(*), sum(length(text)) from notes")
        # Too little room is refused before anything is made; then the disk gets full while somebody works.
        refused = shop.preview("up", "pr-0", expect=4)
        assert "limits.free_disk wants 1g" in refused.stderr
        shop.settings(lambda text: f'{text}[limits]\nfree_disk = "0"\n')
        shop.preview("up", "pr-0")
        for left in (0, 4 * 2**20, 12 * 2**20, 24 * 2**20, 40 * 2**20, 60 * 2**20):
            ballast = fill(tight, left)
            said = shop.preview("up", NAME, expect=None)
            print(f"{left >> 20} MiB left: exit {said.returncode}: {said.stderr.strip().splitlines()[-2:]}")
            assert said.returncode in (0, 1), said.stderr
            if said.returncode:
                assert "next:" in said.stderr, said.stderr
                assert any(word in said.stderr.lower() for word in ("disk", "space", "room")), said.stderr
            ballast.unlink()
            url = shop.preview("up", NAME).stdout.strip()
            assert httpx.get(url, trust_env=False).status_code == 200
            assert shop.main("select count(*), sum(length(text)) from notes") == before
            shop.preview("discard", NAME)
            assert shop.json("sweep")["orphans"] == []
        assert [each["name"] for each in shop.json("list")] == ["pr-0"]
        shop.preview("discard", "pr-0")


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_disk_that_gets_full_in_the_middle_is_said_and_with_room_it_goes_on(
    tight: Path, tmp_path: Path
) -> None:
    with small_project(tight / "home", tmp_path / "shop") as shop:
        shop.settings(lambda text: f'{text}[limits]\nfree_disk = "0"\n')
        shop.preview("up", "pr-0")
        before = shop.main("select count(*), sum(length(text)) from notes")
        going = subprocess.Popen(
            shop.command("up", NAME), cwd=shop.folder, env=shop.env(), stderr=subprocess.PIPE, text=True
        )
        project = shop.project_id
        while not [each for each in shop.neon.branches(project) if each.name.startswith(f"preview/{NAME}")]:
            assert going.poll() is None
        ballast = fill(tight, 0)
        said = going.communicate()[1]
        print(f"exit {going.returncode}: {said.strip().splitlines()[-2:]}")
        assert "Traceback" not in said
        assert going.returncode == 1, said
        assert "make room" in said
        ballast.unlink()
        url = shop.preview("up", NAME).stdout.strip()
        assert httpx.get(url, trust_env=False).status_code == 200
        assert shop.main("select count(*), sum(length(text)) from notes") == before
        for name in ("pr-0", NAME):
            shop.preview("discard", name)
        assert shop.json("sweep")["orphans"] == []


def everything_of(home: Path, folder: Path) -> list[int]:
    """All processes that live in a home, its servers and supervisors, or in a folder, the apps."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
            place = (process / "cwd").readlink()
        except OSError:
            continue
        # A postmaster's children have its title only, and end with it.
        of_home = f"PREVIEW_HOME={home}".encode() in environment.split(b"\0")
        if int(process.name) != os.getpid() and (of_home or bytes(home) in words or place == folder):
            found.append(int(process.name))
    return found


def power_cut(home: Path, folder: Path) -> int:
    """End everything of a home at once, as a power cut does; returns how many processes that were."""
    ended: set[int] = set()
    deadline = time.monotonic() + 30
    while there := everything_of(home, folder):
        assert time.monotonic() < deadline, there
        for pid in there:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            ended.add(pid)
    return len(ended)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_after_a_power_cut_the_diary_is_right_and_reconcile_brings_everything_back(
    enterable: Path, tmp_path: Path
) -> None:
    home = enterable / "powered"
    with small_project(home, tmp_path / "shop") as shop:
        shop.preview("up", NAME)
        shop.preview("up", "pr-2")
        before = shop.json("show", NAME)
        shop.on(
            shop.uri(before["branch"]["name"]), "insert into notes values (100, 'written in the preview')"
        )
        assert power_cut(home, shop.folder) > 5

        assert [(each["name"], each["state"]) for each in shop.json("list")] == [
            (NAME, "ready"),
            ("pr-2", "ready"),
        ]
        dead = shop.json("show", NAME)
        assert dead["parts"]["app"]["well"] is False
        assert dead["parts"]["branch"]["well"] is True
        healed = shop.json("reconcile")
        assert all("started the app again" in each["done"][-1] for each in healed), healed
        after = shop.json("show", NAME)
        assert all(part["well"] for part in after["parts"].values()), after["parts"]
        assert httpx.get(after["url"], trust_env=False).status_code == 200
        assert (after["report"], after["plan"]["digest"]) == (before["report"], before["plan"]["digest"])
        branch = shop.uri(before["branch"]["name"])
        assert shop.on(branch, "select text from notes where id = 100") == [("written in the preview",)]

        # And in the middle of something: a run that was cut is gone on with.
        going = subprocess.Popen(
            shop.command("up", "pr-3"),
            cwd=shop.folder,
            env=shop.env(),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        project = shop.project_id
        while not [each for each in shop.neon.branches(project) if each.name.startswith("preview/pr-3")]:
            assert going.poll() is None
        power_cut(home, shop.folder)
        going.wait()
        shop.json("list")
        shop.preview("up", "pr-3")
        shop.preview("promote", "pr-2")
        assert "seen" in shop.columns(shop.uri(), "notes")
        for name in (NAME, "pr-3"):
            shop.preview("discard", name)
        assert shop.json("sweep")["orphans"] == []
