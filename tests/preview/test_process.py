"""What only the process runtime promises: whom it ends, what it keeps, what it passes on."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from preview import BuildSpec, HealthCheck, ImageNotFound, LaunchFailed, Unhealthy, supervise
from preview.process import ProcessRuntime
from preview.supervise import LOG_BYTES, birth


@pytest.fixture
def bench(process_bench):
    return process_bench


def folder(bench) -> Path:
    return bench.runtime.folder / bench.serving.name


def running(bench) -> dict[str, list]:
    return json.loads((folder(bench) / "running.json").read_text())


def gone(who: list) -> bool:
    return birth(who[0]) != who[1]


def started_and_not_healthy(bench, script: str, **changes) -> Unhealthy:
    with pytest.raises(Unhealthy) as caught:
        bench.runtime.start(
            bench.spec(
                **{"command": bench.shell(script), "health": HealthCheck(timeout_seconds=60), **changes}
            )
        )
    return caught.value


def first_word(bench) -> str:
    """The first line it says, waited for."""
    return next(bench.runtime.logs(bench.serving.name, follow=True))


def test_it_is_always_available_and_calls_itself_process(bench, tmp_path):
    assert bench.runtime.kind == "process"
    assert bench.runtime.available() is None
    assert (bench.runtime.host_address().name, bench.runtime.host_address().bind) == (
        "127.0.0.1",
        "127.0.0.1",
    )


def test_only_this_user_may_look_into_its_folder(bench):
    bench.runtime.start(bench.serving)
    assert folder(bench).stat().st_mode & 0o777 == 0o700
    for file in folder(bench).iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
        assert "pass-word" not in file.read_text(), file


def test_no_secret_is_in_an_argument_list(bench):
    bench.runtime.start(bench.serving)
    for pid, _ in running(bench).values():
        assert b"pass-word" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_environment_is_wiped(bench, monkeypatch):
    monkeypatch.setenv("PRODUCTION_PASSWORD", "do-not-pass-on")
    started_and_not_healthy(bench, "env; exit 1", environment={"OWN": "1"})
    seen = bench.environment_of("\n".join(bench.runtime.logs(bench.serving.name)))
    assert seen["OWN"] == "1"
    assert "PATH" in seen
    assert "PRODUCTION_PASSWORD" not in seen


def test_python_is_this_python_and_port_is_replaced(bench):
    started_and_not_healthy(
        bench,
        "",
        command=("python", "-c", "import sys; print(sys.executable, sys.argv[1:])", "--port={port}"),
    )
    (line,) = bench.runtime.logs(bench.serving.name)
    seen = bench.runtime.observe(bench.serving.name)
    assert line == f"{sys.executable} ['--port={seen.url.rpartition(':')[2]}']"


def test_it_outlives_the_one_who_started_it_and_a_second_finds_it(bench, tmp_path):
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from preview.process import ProcessRuntime
        from preview import CandidateSpec
        print(ProcessRuntime(home=Path({str(tmp_path / "home")!r})).start(CandidateSpec(
            name={bench.serving.name!r}, port=8000, command=("python", "app.py"),
            working_directory=Path({str(bench.serving.working_directory)!r}),
            environment={dict(bench.serving.environment)!r})).id)
        """
    )
    first = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert bench.runtime.start(bench.serving).id == first.stdout.strip()


def test_one_that_ignores_sigterm_is_killed_with_its_children(bench):
    script = "trap '' TERM; sleep 600 & echo child $!; while true; do sleep 600; done"
    started_and_not_healthy(bench, script, health=HealthCheck(timeout_seconds=0.1))
    child = int(first_word(bench).removeprefix("child "))
    child_birth = birth(child)
    assert child_birth is not None
    who = running(bench)
    bench.runtime.stop(bench.serving.name)
    assert gone(who["app"])
    assert gone(who["supervisor"])
    assert birth(child) != child_birth
    assert not folder(bench).exists()


def test_children_that_an_ended_app_left_behind_are_ended_too(bench):
    started_and_not_healthy(
        bench, "sleep 600 & echo child $!; exit 3", health=HealthCheck(timeout_seconds=60)
    )
    (line,) = bench.runtime.logs(bench.serving.name)
    assert birth(int(line.removeprefix("child "))) is None


def test_a_killed_supervisor_does_not_hide_its_app(bench):
    bench.runtime.start(bench.serving)
    who = running(bench)
    os.kill(who["supervisor"][0], signal.SIGKILL)
    assert bench.runtime.observe(bench.serving.name).state == "running"
    bench.runtime.stop(bench.serving.name)
    assert gone(who["app"])


def ends(*who: list) -> bool:
    """Waits until these processes are gone; the test's own time-out ends a wait in vain."""
    while not all(gone(one) for one in who):
        time.sleep(0.05)
    return True


@pytest.mark.timeout(60)
@pytest.mark.parametrize("vanished", ["home", "running.json"])
def test_an_app_whose_folder_was_deleted_is_ended(bench, vanished):
    """Nobody could find it any more to stop it."""
    bench.runtime.start(bench.serving)
    who = running(bench)
    if vanished == "home":
        shutil.rmtree(bench.runtime.folder.parent)
    else:
        (folder(bench) / vanished).unlink()
    assert ends(who["app"], who["supervisor"])


@pytest.mark.timeout(60)
def test_an_app_whose_folder_is_anothers_by_now_is_ended_and_the_other_stays(bench):
    bench.runtime.start(bench.serving)
    who = running(bench)
    shutil.rmtree(bench.runtime.folder)
    second = bench.runtime.start(bench.serving)
    assert ends(who["app"], who["supervisor"])
    assert bench.runtime.start(bench.serving) == second


@pytest.mark.timeout(60)
def test_no_app_begins_before_it_can_be_found(bench, tmp_path):
    """Its supervisor cannot write it down (the folder is gone): the app must not have begun, nor be left."""
    mark = tmp_path / "began"
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    supervisor = [sys.executable, "-I", supervise.__file__, str(tmp_path / "gone"), str(tmp_path), str(lock)]
    subprocess.run(
        [*supervisor, "--", "/bin/sh", "-c", f"echo > {mark}; sleep 600"], pass_fds=[lock], check=True
    )
    os.close(lock)
    with (tmp_path / "lock").open() as again:
        fcntl.flock(again, fcntl.LOCK_EX)  # the supervisor and whatever it began have ended
    assert not mark.exists()


def test_the_app_inherits_no_descriptor(bench):
    started_and_not_healthy(bench, "ls /proc/self/fd; exit 1")
    # Three standard ones, and the one with which ls reads the folder.
    assert list(bench.runtime.logs(bench.serving.name)) == ["0", "1", "2", "3"]


def test_a_killed_app_is_seen_as_exited_and_started_again(bench):
    first = bench.runtime.start(bench.serving)
    os.kill(int(first.id), signal.SIGKILL)
    for _ in bench.runtime.logs(bench.serving.name, follow=True):  # ends when the app has ended
        pass
    assert bench.runtime.observe(bench.serving.name).state == "exited"
    second = bench.runtime.start(bench.serving)
    assert second.id != first.id
    assert second.url == first.url


def test_a_reused_process_number_is_nobody_of_ours(bench):
    """The number of our dead app is somebody else's by now: neither shown as running nor ended."""
    bench.runtime.start(bench.serving)
    bench.runtime.stop(bench.serving.name)
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        folder(bench).mkdir()
        (folder(bench) / "spec.json").write_text('{"fingerprint": "x", "port": 20000, "labels": {}}')
        (folder(bench) / "running.json").write_text(
            json.dumps({"supervisor": [stranger.pid, "earlier"], "app": [stranger.pid, "earlier"]})
        )
        assert bench.runtime.observe(bench.serving.name).state == "exited"
        bench.runtime.stop(bench.serving.name)
        assert stranger.poll() is None
        assert not folder(bench).exists()
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("left", [[], ["spec.json"], ["spec.json.new"]])
def test_a_half_made_folder_is_no_hindrance(bench, left):
    """What a kill -9 of the starter may leave: a folder without, or with nothing but, its first file."""
    folder(bench).mkdir(parents=True)
    for name in left:
        (folder(bench) / name).write_text('{"fingerprint": "x", "port": 20000, "labels": {}}')
    assert bench.runtime.start(bench.serving).state == "running"
    bench.runtime.stop(bench.serving.name)
    assert not folder(bench).exists()


def test_a_log_stays_small_and_its_tail_is_whole(bench):
    lines = 3 * LOG_BYTES // 100
    program = f"import sys\nfor i in range({lines}): sys.stdout.write(f'{{i:099d}}\\n')"
    started_and_not_healthy(bench, "", command=("python", "-c", program))
    assert sum(file.stat().st_size for file in folder(bench).glob("log*")) <= 2 * LOG_BYTES
    assert [int(line) for line in bench.runtime.logs(bench.serving.name, tail=3)] == [
        lines - 3,
        lines - 2,
        lines - 1,
    ]


@pytest.mark.parametrize("name", ["../x", "", "a/b", "x" * 300, "a'b", "ünï", ".hidden"])
def test_a_bad_name_is_refused(bench, name):
    for act in (bench.runtime.stop, bench.runtime.observe, lambda n: bench.runtime.start(bench.spec(name=n))):
        with pytest.raises(LaunchFailed, match="cannot be a process's name"):
            act(name)


def test_without_a_command_or_a_folder_there_is_nothing_to_run(bench, tmp_path):
    with pytest.raises(LaunchFailed, match="no command"):
        bench.runtime.start(bench.spec(command=()))
    with pytest.raises(LaunchFailed, match="not-there"):
        bench.runtime.start(bench.spec(working_directory=tmp_path / "not-there"))
    assert bench.runtime.list({}) == ()


def test_images_are_docker_matters(bench):
    with pytest.raises(ImageNotFound, match="shop:1") as caught:
        bench.runtime.image("shop:1")
    assert "Docker" in caught.value.hint
    bench.runtime.remove_image("shop:1")


def test_a_build_is_the_trees_content_address(bench):
    told: list[str] = []
    spec = BuildSpec(context=bench.serving.working_directory, tag="shop:1")
    first = bench.runtime.build(spec, told.append)
    assert first.id.startswith("sha256:")
    assert told
    assert bench.runtime.build(spec, told.append) == first
    (bench.serving.working_directory / "app.py").write_text("changed")
    assert bench.runtime.build(spec, told.append).id != first.id


def test_an_empty_home_has_no_candidates(tmp_path):
    runtime = ProcessRuntime(home=tmp_path / "none")
    assert runtime.list({}) == ()
    assert runtime.observe("x") is None
    runtime.stop("x")
    assert not (tmp_path / "none").exists()
