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
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

LOG_BYTES = 5 * 1024 * 1024


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
            os.close(descriptor)
            log.replace(log.with_name("log.1"))
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            size = 0
        # A full disk must not end the app: what cannot be written is lost.
        try:
            os.write(descriptor, piece)
        except OSError:
            continue
        size += len(piece)
    os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Detach, start the app, follow it to its end."""
    directory, working_directory, lock = Path(arguments[0]), arguments[1], int(arguments[2])
    command = arguments[4:]
    _detach()
    # A stop is for the app; we stay to write down how it ended.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reading, writing = os.pipe()
    try:
        app = subprocess.Popen(
            command,
            cwd=working_directory,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            restore_signals=True,
            preexec_fn=_default_signals,  # noqa: PLW1509 - no thread runs yet
        )
    except OSError as error:
        write_atomically(directory / "exit.json", {"code": 127, "why": f"{error.strerror}: {error.filename}"})
        return
    os.close(writing)
    ours = [os.getpid(), birth(os.getpid())]
    write_atomically(directory / "running.json", {"supervisor": ours, "app": [app.pid, birth(app.pid)]})
    # From here on a second `start` sees what runs: it may look.
    os.close(lock)
    copying = threading.Thread(target=_copy, args=(reading, directory / "log"), daemon=True)
    copying.start()
    code = app.wait()
    # What the app itself left behind in its group would keep the port.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(app.pid, signal.SIGKILL)
    # Whoever left the group may still hold the other end; the last words of all others are there by then.
    copying.join(timeout=1.0)
    write_atomically(directory / "exit.json", {"code": code})


def _default_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main(sys.argv[1:])
