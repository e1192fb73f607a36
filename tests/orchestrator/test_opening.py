"""Doors that are opened once: which of them depends on the home."""

from pathlib import Path

import pytest

from orchestrator.opening import runtime
from preview.process import ProcessRuntime


def test_a_process_that_serves_two_homes_has_a_runtime_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that keeps the processes of another home knows nothing of what runs in this one, and starts it again."""
    opened = []
    for name in ("one", "two", "one"):
        monkeypatch.setenv("PREVIEW_HOME", str(tmp_path / name))
        opened.append(runtime("process"))
    assert opened[0] is opened[2]
    folders = [each.folder for each in opened if isinstance(each, ProcessRuntime)]
    assert folders == [tmp_path / name / "processes" for name in ("one", "two", "one")]
