"""Doors that are opened once: which of them depends on the home."""

from pathlib import Path

import pytest

from orchestrator.opening import open_store, runtime
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


def test_the_server_gives_up_a_session_of_the_store_whose_machine_is_gone(
    store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its leases go with it: by itself a server waits for two hours."""
    monkeypatch.setenv("PREVIEW_STORE_URL", store_uri)
    with open_store(None) as store:
        idle, pause, times = (
            int(str((store.connection.execute(f"show tcp_keepalives_{each}".encode()).fetchone() or "")[0]))
            for each in ("idle", "interval", "count")
        )
    assert 0 < idle + pause * times <= 60
