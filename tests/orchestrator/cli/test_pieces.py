"""Pure pieces of the commands: what is printed when, what psql is told, what a demo refuses."""

import fcntl
import inspect
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from neon_client.models import ConnectionURI
from orchestrator.cli import render
from orchestrator.cli.app import app
from orchestrator.cli.inside import psql_environment
from orchestrator.cli.pages import dashboard
from orchestrator.cli.previews import next_command
from orchestrator.cli.releasing import _told_why
from orchestrator.cli.serving import serve
from orchestrator.cli.stage import Stage, alone
from orchestrator.errors import Busy, Refused, StepFailed, UsageError
from orchestrator.migration.plan import Hazard
from orchestrator.sections import GatewaySection


def test_psql_reads_where_from_the_environment() -> None:
    uri = ConnectionURI(
        "postgresql://o%40x:p%20w@[::1]:6543/a%3Db?sslmode=require&channel_binding=require&options=endpoint%3Dep-1"
    )

    inherited = {"PATH": "/bin", "PGHOST": "elsewhere", "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "nowhere"}

    assert psql_environment(uri, inherited) == {
        "PATH": "/bin",
        "PGHOST": "::1",
        "PGPORT": "6543",
        "PGUSER": "o@x",
        "PGDATABASE": "a=b",
        "PGPASSWORD": "p w",
        "PGAPPNAME": "preview psql",
        "PGSSLMODE": "require",
        "PGCHANNELBINDING": "require",
        "PGOPTIONS": "endpoint=ep-1",
    }


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_the_next_command_is_fit_for_a_shell(names: list[str]) -> None:
    refused = [Hazard(code="deletes_data", on=name, detail="") for name in names]

    words = shlex.split(next_command("pr-1", refused))

    assert words[:3] == ["preview", "promote", "pr-1"]
    assert words[4::2] == [hazard.name for hazard in refused]
    assert next_command("pr-1", refused, blocked=True) == "preview report pr-1"


def test_a_wait_is_told_without_a_terminal_and_not_too_often(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    progress = render.Progress(clock=lambda: now)
    progress.detail("1/3 add a column")
    progress.detail("1/3 add a column: waits: process 7 [idle] holds orders")
    now = render.WAIT_SECONDS - 0.01
    progress.detail("waits: not yet")
    now = render.WAIT_SECONDS
    progress.detail("waits: process 7")
    progress.detail("it awaits: nobody")

    lines = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in lines] == [
        "1/3 add a column: waits: process 7 [idle] holds orders",
        "waits: process 7",
    ]
    assert all(line.startswith("  ") for line in lines)


def test_quiet_is_quiet_about_waits(capsys: pytest.CaptureFixture[str]) -> None:
    render.Progress(quiet=True).detail("waits: process 7")

    assert capsys.readouterr().err == ""


def test_never_two_json_values(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render._Standing, "output", False)
    problem = Refused("no", hint="do that", detail="two\nlines")
    render.error_json(problem)
    render.error_json(problem)

    assert json.loads(capsys.readouterr().out) == {
        "error": {"message": "no", "hint": "do that", "detail": "two\nlines", "exit_code": 4}
    }


@pytest.mark.parametrize(
    "words",
    [
        *(("up", "../x"), ("answer", "../x", "a=b"), ("show", "../x"), ("logs", "../x"), ("psql", "../x")),
        *(("open", "../x"), ("promote", "../x"), ("discard", "../x"), ("history", "../x")),
    ],
)
def test_the_name_is_looked_at_first(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is not even a preview.toml here: nothing else was looked at before the name."""
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, list(words))

    assert isinstance(result.exception, UsageError)
    assert "'../x' cannot be a preview's name" in result.exception.message


def run(home: Path, *words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREVIEW_", "NEON_"))}
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *words],
        env={**kept, "PREVIEW_HOME": str(home)},
        cwd=cwd or home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("up", "../x", "--json"), 2, "cannot be a preview's name"),
        (("list", "--json"), 2, "there is no preview.toml"),
        (("show", "--json", "--nonsense"), 2, "No such option"),
        (("up", "--json"), 2, "Missing argument"),
        (("init", "--json", "--goal-branch", "a", "--goal-directory", "b"), 2, "give one of"),
        (("init", "--json"), 2, "--neon is missing"),
    ],
)
def test_a_command_that_fails_says_so_in_json(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    done = run(tmp_path, *words)

    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)["error"]
    assert said in told["message"]
    assert told["exit_code"] == code
    assert told["message"] in done.stderr.replace("\n", " ")


def test_without_json_standard_output_stays_empty(tmp_path: Path) -> None:
    for words in (("list",), ("up",), ("psql", "pr-1", "--", "--json")):
        done = run(tmp_path, *words)
        assert (done.returncode, done.stdout) == (2, ""), words


def test_doctor_prints_one_value_and_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "preview.toml").write_text("nonsense = 1\n")
    done = run(tmp_path, "doctor", "--json")

    assert done.returncode == 1
    assert {"preview.toml"} <= {each["subject"] for each in json.loads(done.stdout)}


def test_a_running_demo_is_left_alone(tmp_path: Path) -> None:
    shop = tmp_path / "demo" / "shop"
    shop.mkdir(parents=True)
    with (tmp_path / "demo.lock").open("w") as lock:
        lock.write("process 42 of somebody\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(tmp_path, "demo")

    assert done.returncode == 1
    assert "process 42 of somebody" in done.stderr
    assert shop.exists()


def test_the_demo_lock_says_whose_it_is_and_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREVIEW_HOME", str(tmp_path))
    with alone(), pytest.raises(Busy, match=f"process {os.getpid()} of "), alone():
        pass
    with alone():
        inherited = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with alone():  # what the demo started does not hold it
            pass
    finally:
        inherited.communicate(b"\n", timeout=60)


def test_what_a_demo_left_and_cannot_be_removed_is_kept(tmp_path: Path) -> None:
    """`preview list` fails on this preview.toml: whether there is a preview is not known, so nothing is deleted."""
    shop = tmp_path / "demo" / "shop"
    shop.mkdir(parents=True)
    (shop / "preview.toml").write_text("nonsense = 1\n")
    done = run(tmp_path, "demo")

    assert done.returncode == 1
    assert (shop / "preview.toml").exists()
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "nonsense is not a setting" in errors[0]
    assert f"{tmp_path / 'demo'} is kept" in errors[1]
    assert "preview -C" in done.stderr
    assert "unexpected" not in done.stderr


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage whose preview cannot be discarded; what it says is in `said`."""
    monkeypatch.setenv("PREVIEW_HOME", str(tmp_path))
    monkeypatch.setattr(Stage, "_run", _answers({"list": (0, '[{"name": "demo"}]'), "discard": (1, "")}))
    return Stage(Console(file=io.StringIO(), width=1000), "process")


def test_a_discard_that_fails_keeps_the_demo(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="is kept: `preview discard` ended with exit code 1"), stage:
        (stage.folder / "preview.toml").touch()
    with pytest.raises(StepFailed, match="is kept"), stage:
        pytest.fail("the earlier demo was not removed")

    assert (stage.folder / "preview.toml").exists()
    assert os.environ["PREVIEW_HOME"] == str(tmp_path)


def test_the_first_error_is_not_hidden_by_the_second(stage: Stage) -> None:
    with pytest.raises(Refused, match="the first"), stage:  # noqa: PT012 - what the stage does with it is the test
        (stage.folder / "preview.toml").touch()
        raise Refused("the first")

    said = stage._out.file.getvalue()  # type: ignore[attr-defined]
    assert "is kept: `preview discard` ended with exit code 1" in said
    assert "preview -C" in said


def test_a_demo_without_a_preview_is_removed(stage: Stage) -> None:
    with stage:
        assert (stage.folder / "seed.sql").exists()

    assert not stage.home.exists()


def _answers(known: dict[str, tuple[int, str]]) -> Any:
    def run_(_stage: object, words: list[str], *, capture: bool) -> "subprocess.CompletedProcess[str]":
        code, text = known[words[0]]
        return subprocess.CompletedProcess(words, code, stdout=text)

    return run_


def test_the_gateway_looks_for_the_server_where_it_listens() -> None:
    ports = {inspect.signature(command).parameters["port"].default for command in (serve, dashboard)}

    assert {f"127.0.0.1:{port}" for port in ports} == {GatewaySection().server}


def test_a_command_that_needs_no_container_does_not_read_the_engines_client() -> None:
    """It and what it stands on are a sixth of what every command imports."""
    asked = "import sys, orchestrator.bootstrap; sys.exit('docker' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def test_production_that_does_not_come_up_is_told_which_promotion_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that went down between a change-over's renames and the new version."""
    live = (SimpleNamespace(project="p", name="pr-1"), SimpleNamespace(project="other", name="pr-2"))
    rooms: Any = SimpleNamespace(store=SimpleNamespace(live=lambda: live), project=SimpleNamespace(key="p"))
    for stopped in (True, False):
        monkeypatch.setattr(
            "orchestrator.facts.previews_json",
            lambda _, found, stopped=stopped: [{"name": each.name, "stopped": stopped} for each in found],
        )
        with pytest.raises(StepFailed, match="not healthy") as failed, _told_why(rooms):
            raise StepFailed("not healthy", hint="its log")
        assert ("`preview promote pr-1` goes on with it" in failed.value.hint) == stopped
        assert (failed.value.hint == "its log") != stopped
