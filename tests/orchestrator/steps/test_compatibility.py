"""What the trial of two versions says where nobody told which version runs now. Nothing is started."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.errors import SettingsError
from orchestrator.lifecycle import Preview
from orchestrator.migration.plan import Plan
from orchestrator.settings import load
from orchestrator.steps.compatibility import Compatibility

TOML = '[project]\nneon = "embedded"\nname = "p"\ndatabase = "shop"\n[goal]\ndirectory = "goal"\n'
NO_RUNTIME: Any = SimpleNamespace(runtime=lambda _preview: SimpleNamespace(kind="process"))


def told(folder: Path, requests: str | None) -> list[str]:
    file = folder / "preview.toml"
    file.write_text(TOML, encoding="utf-8")
    if requests is not None:
        (folder / "checks").mkdir()
        (folder / "checks" / "requests.toml").write_text(requests, encoding="utf-8")
    trial = Compatibility(
        cast("Any", None), load(file), NO_RUNTIME, lambda _preview: None, scrub=cast("Any", None)
    )
    preview, plan = cast("Preview", SimpleNamespace(facts={})), cast("Plan", None)
    found, cells = trial.run(preview, plan, trial.today(preview), lambda _text: None, threading.Event())
    assert cells == ()
    return [f"{each.severity.value} {each.subject}: {each.message}" for each in found]


def test_requests_for_the_running_version_only_start_nothing(tmp_path: Path) -> None:
    [running] = told(tmp_path, '[[request]]\npath = "/a"\nonly = "current"\n')
    assert running.startswith("not_looked_at running version: give report.current_context")


def test_without_a_file_of_requests_only_the_running_version_is_missed(tmp_path: Path) -> None:
    assert len(told(tmp_path, None)) == 1


def test_a_wrong_file_of_requests_is_said_though_nothing_is_tried(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="method is one of"):
        told(tmp_path, '[[request]]\npath = "/a"\nmethod = "FETCH"\n')
