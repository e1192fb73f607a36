"""The folder of a picture: a running one is left alone; of a server that was killed it goes, and its browser before."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from types import SimpleNamespace

import pytest

from orchestrator.dashboard.pictures import take
from orchestrator.resources.pictures import PictureFolder, picture_folder, tidy
from preview.ending import Ending

ROOT = Path(__file__).resolve().parents[3]
#: A browser that says who it is, and takes for ever.
SLOW = '#!/bin/sh\necho $$ > "$HOME/new"; mv "$HOME/new" "$HOME/pid"; exec sleep 600\n'
#: A browser whose picture is the number of the user that it was started as.
QUICK = '#!/bin/sh\nfor each; do case $each in --screenshot=*) id -u > "${each#*=}";; esac; done\n'
TAKES = "import sys; from orchestrator.dashboard.pictures import take; from preview.ending import Ending\n"
URL = "http://127.0.0.1:9/"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="preview-test-"))
    folder.chmod(0o755)
    monkeypatch.setenv("PREVIEW_HOME", str(folder))
    yield folder
    rmtree(folder)


def browser(home: Path, script: str) -> str:
    file = home / "browser"
    file.write_text(script)
    file.chmod(0o755)
    return str(file)


def found(home: Path, preview_id: str = "") -> list[str]:
    kind = PictureFolder(SimpleNamespace(home=home))  # type: ignore[arg-type]
    preview = SimpleNamespace(id=preview_id) if preview_id else None
    return [str(each.owner) for each in kind.find(preview)]  # type: ignore[arg-type]


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pid_of(home: Path) -> int:
    until(lambda: list(home.glob("pictures/*/pid")))
    (file,) = home.glob("pictures/*/pid")
    return int(file.read_text())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_folder_that_is_used_is_not_found_and_goes_at_its_end(home: Path) -> None:
    with picture_folder(home, "pr-1-0123abcd") as (folder, _):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert found(home) == []
        tidy(home)
        assert folder.is_dir()
    assert list(home.glob("pictures/*")) == [home / "pictures" / ".lock"]


def test_a_browser_of_roots_runs_as_nobody_and_leaves_nothing(home: Path) -> None:
    content, why_not = take(browser(home, QUICK), URL, "pr-1-0123abcd", Ending())
    assert why_not == ""
    assert int(content) != 0
    assert found(home) == []


def test_a_browser_that_is_not_there_is_said(home: Path) -> None:
    content, why_not = take(str(home / "none"), URL, "pr-1-0123abcd", Ending())
    assert (content, why_not) == (b"", "the browser does not start (No such file or directory)")


def test_a_server_that_stops_ends_its_browser(home: Path) -> None:
    ending = Ending()
    said = list[tuple[bytes, str]]()
    program = browser(home, SLOW)
    taking = threading.Thread(target=lambda: said.append(take(program, URL, "pr-1-0123abcd", ending)))
    taking.start()
    pid = pid_of(home)
    ending.end()
    taking.join(60)
    assert said == [(b"", "the browser took none")]
    assert not lives(pid)
    assert list(home.glob("pictures/*-*")) == []


def test_of_a_server_that_was_killed_the_browser_ends_and_the_folder_is_found(home: Path) -> None:
    call = f"take({browser(home, SLOW)!r}, {URL!r}, 'pr-1-0123abcd', Ending())"
    server = subprocess.Popen([sys.executable, "-c", TAKES + call], cwd=ROOT)
    pid = pid_of(home)
    assert found(home) == []
    server.send_signal(signal.SIGKILL)
    server.wait()

    until(lambda: found(home))
    assert not lives(pid), "found only when nothing works there any more"
    assert found(home) == ["0123abcd"] == found(home, "0123abcd")
    assert found(home, "0123abce") == []

    kind = PictureFolder(SimpleNamespace(home=home))  # type: ignore[arg-type]
    for each in kind.find(None):
        kind.remove(each)
    assert list(home.glob("pictures/*-*")) == []
