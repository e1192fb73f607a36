"""A full disk behind an error: said with what to do, and only then."""

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator import disk
from orchestrator.errors import Refused, StepFailed


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("PREVIEW_HOME", str(tmp_path / "not" / "yet"))

    def set_to(free: int) -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage)

    return set_to


def test_an_error_on_a_full_disk_says_make_room(free: Any) -> None:
    free(2**20)
    error = disk.explained(StepFailed("the connection broke", hint="try again"))
    assert error.message == "the connection broke"
    assert "is full: make room" in error.hint
    assert disk.explained(Refused("no", hint="ask ada")).hint == "ask ada", "that has nothing to do with it"


def test_with_room_an_error_stays_as_it_is(free: Any) -> None:
    free(2**30)
    assert disk.explained(StepFailed("the connection broke", hint="try again")).hint == "try again"


def test_only_errors_about_room_are_about_room() -> None:
    full = disk.no_room(OSError(errno.ENOSPC, "No space left on device", "/home/x/log"))
    assert isinstance(full, StepFailed)
    assert "/home/x/log" in full.message
    assert "make room" in full.hint
    assert disk.no_room(PermissionError(errno.EACCES, "Permission denied")) is None
