"""A command that runs once, as a local process: follow it to its end, tell its lines, leave nothing behind.

Holds what following a container (container_task.py) shares with it. Knows nothing of candidates, health and ports.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from preview import lifeline
from preview.errors import LaunchFailed, TaskFailed
from preview.excerpt import TAIL_LINES, tail_of
from preview.lines import Piece, pieces_of
from preview.spec import TaskSpec

_END_SECONDS = 10.0
_LOOK_SECONDS = 0.02
#: In a task's folder: locked by its lifeline, thus for as long as anything of the command lives.
_HELD = "held"


@contextmanager
def only_one(directory: Path) -> Iterator[int]:
    """A folder for one command, removed at the end; the descriptor is for run_process, as `held`.

    When we are killed the command is ended, but that takes it a moment: who comes next waits for it here, so that two
    never work on one database.

    Raises:
        LaunchFailed: a forerunner does not end.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / _HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _END_SECONDS
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise LaunchFailed(
                    f"the command of {directory.name} that an earlier run began does not end",
                    hint="end it by hand",
                )
            time.sleep(_LOOK_SECONDS)
        try:
            yield descriptor
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def run_process(
    spec: TaskSpec, environment: Mapping[str, str], say: Callable[[str], None], *, held: int
) -> None:
    """Run it as a local process; see Runtime.run. It and what it started end with us, even when we are killed.

    Args:
        spec: what to run.
        environment: all variables, those inherited from us included; only the spec's own are secrets.
        say: gets each line.
        held: from only_one; stays open while anything of the command lives.

    Raises:
        LaunchFailed: its folder or program is not there.
        TaskFailed: it ended badly, or not in time.
    """
    if spec.working_directory is None or not spec.working_directory.is_dir():
        raise LaunchFailed(f"{spec.name} cannot run in {spec.working_directory}: there is no such folder")
    program, *arguments = spec.command
    if program in ("python", "python3"):
        program = sys.executable
    # Programs beside our own Python are found last, so that a virtual environment that is not activated will do.
    path = os.pathsep.join([environment.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", lifeline.__file__, "--", program, *arguments],
            cwd=spec.working_directory,
            env={**environment, "PATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(held,),
        )
    except (OSError, ValueError) as error:
        # `from None`: the error's own text would show the argument list.
        raise LaunchFailed(f"{spec.name} cannot be started ({type(error).__name__})") from None
    if process.stdin is None or process.stdout is None:  # pragma: no cover - both are pipes
        raise AssertionError("no pipes")
    line, said = process.stdin, process.stdout
    try:
        with ended_after(spec.timeout_seconds, line.close) as late:
            tail = told(pieces_of(_blocks(said.fileno())), spec.environment, say)
            code = process.wait()
    finally:
        # Letting go of the line ends what still runs.
        with suppress(OSError):
            line.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_SECONDS)
        said.close()
    if code == lifeline.CANNOT_RUN and tail and tail[-1].startswith(lifeline.WHY):
        raise LaunchFailed(
            f"{spec.name}'s command cannot be run: {tail[-1].removeprefix(lifeline.WHY)}",
            hint="see the settings' command",
        )
    judge(spec, code, tail, late=late.is_set())


def judge(spec: TaskSpec, code: int, tail: tuple[str, ...], *, late: bool, killed: str = "") -> None:
    """Raise unless it ended well.

    Raises:
        TaskFailed: says how it ended.
    """
    if late:
        status = f"did not end within {spec.timeout_seconds:g} s and was ended"
    elif code == 0:
        return
    else:
        status = killed or f"exited with code {code}"
    raise TaskFailed(
        f"{spec.name} {status}", status=status, hint="its last lines are in the log's tail", log_tail=tail
    )


def told(
    pieces: Iterable[Piece], environment: Mapping[str, str], say: Callable[[str], None]
) -> tuple[str, ...]:
    """Say every line without secrets; returns the last ones. How a very long line goes on is left out."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    for piece in pieces:
        if not piece.goes_on:
            (line,) = tail_of([piece.text], environment)
            tail.append(line)
            say(line)
    return tail_of(tail, environment)


def _blocks(descriptor: int) -> Iterator[bytes]:
    while some := os.read(descriptor, 65536):
        yield some


@contextmanager
def ended_after(seconds: float, end: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `end` when the block takes longer; the event says whether it did."""
    late = threading.Event()

    def over() -> None:
        late.set()
        with suppress(OSError):
            end()

    timer = threading.Timer(seconds, over)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
