"""The parent of one candidate process: starts it, keeps its log small, writes down how it ended. Standard library only.

Run as a program, `supervise.py DIRECTORY WORKING_DIRECTORY LOCK_FD -- COMMAND...`, it detaches from whoever started
it, so that a candidate outlives the command that started it and is never anybody's zombie. It writes into DIRECTORY:

    running.json   who runs: {"supervisor": [pid, birth], "app": [pid, birth]}
    exit.json      how the app ended: {"code": N} (negative: the signal)
    log, log.1     what it said, at most LOG_BYTES each

It holds no secret of its own; the app's variables are passed on by inheritance.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

LOG_BYTES = 5 * 1024 * 1024
LOOK_SECONDS = 1.0
"""How often the supervisor looks whether it can still be found."""
GRACE_SECONDS = 5.0
"""How long an app that nobody can find any more may take to end by itself."""

_LEFT_TO_THE_APP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)


def birth(pid: int) -> str | None:
    """What tells this process from a later one with the same number; None when there is no such live process.

    On Linux the boot's id and the start in clock ticks, elsewhere what `ps` prints. A zombie counts as gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        shown = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout.split(maxsplit=1)
        return None if len(shown) < 2 or shown[0].startswith("Z") else shown[1].strip()
    # The command's name stands in parentheses and may hold anything, also parentheses and spaces.
    after = stat.rpartition(")")[2].split()
    return None if after[0] in "ZX" else f"{boot}/{after[19]}"


def write_atomically(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the whole of it or nothing; for this user's eyes only."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file)
    new.replace(path)


def _detach() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)


def _copy(source: int, log: Path) -> None:
    """Write what the app says to its log until it closes its end; one older log is kept."""
    size = log.stat().st_size if log.exists() else 0
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while piece := os.read(source, 65536):
        if size + len(piece) > LOG_BYTES:
            with suppress(OSError):
                with suppress(FileNotFoundError):  # it was replaced before, and a new one could not be made
                    log.replace(log.with_name("log.1"))
                newer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.close(descriptor)
                descriptor, size = newer, 0
        # A full disk or a folder that is gone must not end the copying: an app whose words nobody takes stands still.
        with suppress(OSError):
            size += os.write(descriptor, piece)
    os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Detach, start the app, follow it to its end."""
    directory, working_directory, lock = Path(arguments[0]), arguments[1], int(arguments[2])
    command = arguments[4:]
    # We were given it across an exec; the app must not get it, or nobody else could start anything.
    os.set_inheritable(lock, False)
    _detach()
    # A stop is for the app; we stay to write down how it ended.
    for number in _LEFT_TO_THE_APP:
        signal.signal(number, signal.SIG_IGN)
    wake = _wake_at_a_childs_end()
    reading, writing = os.pipe()
    app, gate, failing = _fork_app(command, working_directory, writing)
    try:
        os.close(writing)
        ours = {"supervisor": [os.getpid(), birth(os.getpid())], "app": [app, birth(app)]}
        write_atomically(directory / "running.json", ours)
        # Only now may it begin: whatever ends us before, no app runs that nobody can find.
        os.write(gate, b"1")
        os.close(gate)
        if why := os.read(failing, 4096).decode(errors="replace"):
            os.waitpid(app, 0)
            write_atomically(directory / "exit.json", {"code": 127, "why": why})
            return
        # From here on a second `start` sees what runs: it may look.
        os.close(lock)
        copying = threading.Thread(target=_copy, args=(reading, directory / "log"), daemon=True)
        copying.start()
        code = _follow(app, wake, directory / "running.json", ours)
    finally:
        # What the app itself left behind in its group would keep the port.
        _signal_group(app, signal.SIGKILL)
    # Whoever left the group may still hold the other end; the last words of all others are there by then.
    copying.join(timeout=1.0)
    with suppress(OSError):  # the folder may be gone, or the disk full: nobody will know how it ended
        write_atomically(directory / "exit.json", {"code": code})


def _wake_at_a_childs_end() -> int:
    """A descriptor that can be read when a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # Any handler will do: with the default one nobody is woken.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return reading


def _fork_app(command: list[str], working_directory: str, output: int) -> tuple[int, int, int]:
    """Fork the app's process, which waits at a gate before it becomes the app.

    Returns:
        Its number; where a byte opens the gate (it ends by itself when we end before that); where to read why it
        could not become the app (nothing: it could).
    """
    opened, gate = os.pipe()
    failing, failed = os.pipe()
    app = os.fork()
    if app:
        os.close(opened)
        os.close(failed)
        return app, gate, failing
    try:
        os.close(gate)
        os.setsid()
        for number in (*_LEFT_TO_THE_APP, *_IGNORED_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        if not os.read(opened, 1):
            os._exit(127)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, standard in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, standard)
        os.chdir(working_directory)
        # The environment is ours; every other descriptor closes by itself.
        os.execvp(command[0], command)  # noqa: S606 - the app's command is what we are for
    except OSError as error:
        os.write(failed, f"{error.strerror}: {error.filename or command[0]}".encode())
    finally:
        os._exit(127)


def _follow(app: int, wake: int, record: Path, ours: object) -> int:
    """Wait for the app's end; returns its exit code, negative for a signal.

    When the record that finds us is gone or another's (somebody deleted the folder), nobody could ever stop the app:
    it is ended, politely first.
    """
    lost_at: float | None = None
    while True:
        ended, status = os.waitpid(app, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        now = time.monotonic()
        if lost_at is None and _lost(record, ours):
            lost_at = now
            _signal_group(app, signal.SIGTERM)
        elif lost_at is not None and now - lost_at > GRACE_SECONDS:
            _signal_group(app, signal.SIGKILL)
        select.select([wake], [], [], LOOK_SECONDS)
        with suppress(BlockingIOError):
            os.read(wake, 4096)


def _lost(record: Path, ours: object) -> bool:
    try:
        return bool(json.loads(record.read_text(encoding="utf-8")) != ours)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False  # a disk that fails for a while is no reason to end anybody


def _signal_group(app: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(app, number)


if __name__ == "__main__":
    main(sys.argv[1:])
