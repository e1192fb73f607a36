"""Shared memory of a postmaster that was killed and never starts again: it goes, and nobody else's does."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from neon_embedded import find_binaries, segments
from neon_embedded.clone import remove_directory
from neon_embedded.errors import ComputeFailed
from neon_embedded.home import Home
from neon_embedded.postmaster import Postmaster
from neon_embedded.processes import pid_file
from neon_embedded.segments import forget_segments

TABLE = Path("/proc/sysvipc/shm")

pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="only Linux tells what there is")


def segment(postmaster: Postmaster) -> int:
    return int(pid_file(postmaster.data)[6].split()[1])


def is_there(number: int) -> bool:
    return any(line.split()[1] == str(number) for line in TABLE.read_text().splitlines()[1:])


def dynamic(postmaster: Postmaster) -> set[Path]:
    """What the postmaster's processes have of /dev/shm."""
    pid = postmaster.pid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = set()
    for each in (str(pid), *children):
        with suppress(OSError):
            for line in Path(f"/proc/{each}/maps").read_text().splitlines():
                if "/dev/shm/PostgreSQL." in line:
                    found.add(Path(line.split()[5]))
    return found


def begun(home: Home, name: str) -> Postmaster:
    made = Postmaster(
        directory=home.branches / name,
        binaries=find_binaries(16, home.root),
        account=home.account,
        run_dir=home.run_dir,
    )
    made.initialise()
    start(made)
    return made


def start(postmaster: Postmaster) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    postmaster.start(port=port, addresses=("127.0.0.1",), durable=False)


@pytest.fixture
def home(enterable: Path) -> Iterator[Home]:
    made = Home.at(enterable / "segments")
    made.make()
    yield made
    for each in made.branches.iterdir():
        Postmaster(
            directory=each, binaries=find_binaries(16, made.root), account=made.account, run_dir=made.run_dir
        ).stop(wait_for_checkpoint=False)
    remove_directory(made.root)


def test_it_goes_with_who_was_killed_and_what_is_used_or_anothers_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = begun(home, "dead")

    def works() -> None:
        # A worker does it, so that there is more than the list of dynamic segments alone.
        with suppress(ComputeFailed), dead.superuser() as connection:
            connection.execute("set debug_parallel_query = on")
            connection.execute("select pg_sleep(600)")

    working = threading.Thread(target=works)
    working.start()
    with dead.superuser() as connection:
        while not connection.execute(
            "select 1 from pg_stat_activity where backend_type = 'parallel worker'"
        ).fetchone():
            pass
    number, shared = segment(dead), dynamic(dead)
    assert is_there(number)
    assert len(shared) >= 2
    assert all(each.exists() for each in shared)

    lines, pid = pid_file(dead.data), dead.pid()
    assert pid is not None
    monkeypatch.setattr(segments, "_PATIENCE_SECONDS", 0.0)
    forget_segments(dead.data, lines)
    assert is_there(number), "somebody uses it"
    monkeypatch.undo()

    os.kill(pid, signal.SIGKILL)
    working.join()
    (home.branches / "another").mkdir()
    forget_segments(home.branches / "another", lines)
    assert is_there(number), "the mark in it is another directory's"
    forget_segments(dead.data, [str(os.getpid()), *lines[1:]])
    assert is_there(number), "another process made it"
    dead.stop(wait_for_checkpoint=False)
    assert not is_there(number)
    assert [each for each in shared if each.exists()] == []

    dead.stop()
    start(dead)
    with dead.superuser() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
