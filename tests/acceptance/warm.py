"""`preview` from an interpreter that has imported the product already: a fork in place of a start.

A start reads some 800 modules, most of what a short command takes. Run as a program this file is that interpreter: it
takes one request after another from its socket, and ends with it. `run` asks; what runs is a process of its own with
its words, folder, environment and descriptors, as `subprocess.run` gives them.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

#: Whether the system has what this needs; macOS has not, and starts every command anew.
POSSIBLE = hasattr(os, "pidfd_open")
_LONGEST_REQUEST = 1 << 20


def run(words: tuple[str, ...], *, cwd: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What `python -m orchestrator WORDS` says, without a terminal, and how it ends."""
    with ExitStack() as stack:
        ends = [os.pipe() for _ in range(3)]
        reading = [stack.enter_context(os.fdopen(read, "rb")) for read, _ in ends]
        with closing(Descriptors([os.open(os.devnull, os.O_RDONLY), *(write for _, write in ends)])) as given:
            request = json.dumps({"words": words, "cwd": str(cwd), "env": env}).encode()
            socket.send_fds(_interpreter(), [request], given.numbers)
        said = [b"", b""]

        def collect(number: int) -> None:
            said[number] = reading[number].read()

        errors = threading.Thread(target=collect, args=(1,), daemon=True)
        errors.start()
        pid = int(reading[2].readline())
        try:
            collect(0)
            errors.join()
            code = int(reading[2].readline())
        except BaseException:  # a test that takes too long is interrupted here
            os.kill(pid, signal.SIGKILL)
            raise
    out, err = (each.decode().replace("\r\n", "\n") for each in said)
    return subprocess.CompletedProcess(words, code, out, err)


class Descriptors:
    """Open files by their numbers, closed together."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def close(self) -> None:
        for each in self.numbers:
            os.close(each)


@cache
def _interpreter() -> socket.socket:
    """The way to this process's own; it ends when that is closed."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, its):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_REQUEST)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(its.fileno())],
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> None:
    running: dict[
        int, tuple[int, int]
    ] = {}  # what tells of its end, and where to say so, by what the kernel calls it
    waiting = select.poll()
    waiting.register(requests, select.POLLIN)
    while True:
        for ready, _ in waiting.poll():
            if ready != requests.fileno():
                waiting.unregister(ready)
                pid, tell = running.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _write(tell, f"{code}\n")
                os.close(tell)
                os.close(ready)
                continue
            request, given, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 4)
            if not request:
                return
            pid = os.fork()
            if not pid:
                requests.close()
                _become(json.loads(request), given)
            *standard, tell = given
            for each in standard:
                os.close(each)
            _write(tell, f"{pid}\n")
            watched = os.pidfd_open(pid)
            running[watched] = (pid, tell)
            waiting.register(watched, select.POLLIN)


def _write(where: int, text: str) -> None:
    with suppress(BrokenPipeError):  # who asked is gone
        os.write(where, text.encode())


def _become(request: dict[str, Any], given: list[int]) -> None:
    """Be the command; ends as an interpreter does."""
    code: Any = 1
    try:
        for number, each in enumerate(given[:3]):
            os.dup2(each, number)
        for each in given:
            os.close(each)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        encoding = sys.stdout.encoding
        sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
        sys.stderr = os.fdopen(
            2, "w", encoding=encoding, errors="backslashreplace", closefd=False, buffering=1
        )
        sys.argv = [
            str(Path(importlib.import_module("orchestrator").__path__[0]) / "__main__.py"),
            *request["words"],
        ]
        from orchestrator.cli.app import main

        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
            if code is not None and not isinstance(code, int):
                print(code, file=sys.stderr)
                code = 1
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - the fork must end here, whatever happened
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code or 0)


if __name__ == "__main__":
    for name in ("neon_client", "neon_embedded", "preview", "orchestrator"):
        package = importlib.import_module(name)
        for each in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not each.name.endswith("__main__"):
                importlib.import_module(each.name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as way:
        _serve(way)
