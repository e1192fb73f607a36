"""Commands that run once: their lines, their end, and that nothing of them is left. On both runtimes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from preview import LaunchFailed, TaskFailed, TaskSpec
from preview.process import ProcessRuntime
from tests.preview.conftest import Bench


def task(bench: Bench, *command: str, **more) -> TaskSpec:
    spec = bench.serving
    return TaskSpec(
        name=f"{spec.name}-task",
        command=command,
        image=spec.image,
        working_directory=spec.working_directory,
        environment=spec.environment,
        **more,
    )


def left_of(bench: Bench) -> list[str]:
    """What is listed of this test's; the engine has what other tests run, too."""
    return [each.name for each in bench.runtime.list({}) if each.name.startswith(bench.serving.name)]


def test_its_lines_come_without_secrets_and_nothing_is_left(bench):
    said: list[str] = []
    script = 'echo "  to $DATABASE_URL"; echo two >&2; exit 0'
    wanted = task(bench, *bench.shell(script))
    bench.runtime.run(wanted, said.append)
    assert sorted(said) == ["  to postgresql://app:***@db/shop", "two"]
    assert bench.runtime.observe(wanted.name) is None


def test_another_code_than_0_is_an_error_with_the_last_lines(bench):
    said: list[str] = []
    with pytest.raises(TaskFailed) as caught:
        bench.runtime.run(task(bench, *bench.shell("echo pass-word; echo broken; exit 3")), said.append)
    assert caught.value.status == "exited with code 3"
    assert caught.value.log_tail == ("***", "broken")
    assert left_of(bench) == []


def test_one_that_takes_too_long_is_ended(bench):
    with pytest.raises(TaskFailed, match="did not end within 1 s"):
        bench.runtime.run(
            task(bench, *bench.shell("echo begun; sleep 600"), timeout_seconds=1.0), lambda _: None
        )
    assert left_of(bench) == []


def test_a_program_that_is_not_there_is_said(bench):
    with pytest.raises(LaunchFailed) as caught:
        bench.runtime.run(task(bench, "no-such-program"), lambda _: None)
    assert "no-such-program" in caught.value.message
    assert "pass-word" not in caught.value.message


def test_what_a_command_leaves_in_the_background_ends_with_it(process_bench, tmp_path):
    mark = tmp_path / "pid"
    # It keeps our output open: without its end we would wait for ten minutes.
    script = f"sleep 600 & echo $! > {mark}; exit 0"
    process_bench.runtime.run(task(process_bench, *process_bench.shell(script)), lambda _: None)
    assert not _lives(int(mark.read_text()))


@pytest.mark.parametrize("then", ["run", pytest.param("stop", marks=pytest.mark.prove)])
def test_a_command_ends_when_we_are_killed_and_the_next_one_waits_for_that(tmp_path, then):
    mark = tmp_path / "pid"
    # It does not mind SIGTERM: only after the grace does it end.
    stubborn = f"trap '' TERM; echo $$ > {mark}; while :; do sleep 1; done"
    program = (
        "import pathlib; from preview import TaskSpec; from preview.process import ProcessRuntime\n"
        f"ProcessRuntime(home=pathlib.Path({str(tmp_path)!r})).run(TaskSpec(name='x', working_directory="
        f"pathlib.Path({str(tmp_path)!r}), command=('/bin/sh', '-c', {stubborn!r})), print)"
    )
    root = Path(__file__).resolve().parents[2]
    running = subprocess.Popen([sys.executable, "-c", program], cwd=root)
    _until(lambda: mark.exists() and mark.read_text().strip())
    pid = int(mark.read_text())
    assert _lives(pid)
    running.send_signal(signal.SIGKILL)
    running.wait()
    runtime = ProcessRuntime(home=tmp_path)
    if then == "stop":
        runtime.stop("x")
    else:
        again = TaskSpec(name="x", working_directory=tmp_path, command=("/bin/sh", "-c", f"! kill -0 {pid}"))
        runtime.run(again, lambda _: None)
    assert not _lives(pid)
    assert not (runtime.folder / "x").exists()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _until(true) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
