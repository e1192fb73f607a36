"""The parent of one command that runs once: ends it, and all that it started, when our own parent is gone.

Run as a program, `lifeline.py [--as=UID:GID] -- COMMAND...`; standard input is the line: when it is closed, by the end
of whoever holds the other end or on purpose, the command ends. Standard library only. Exits with the command's code,
128 and the signal's number, or CANNOT_RUN after one line that begins with WHY.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

CANNOT_RUN = 127
WHY = "lifeline: "
GRACE_SECONDS = 5.0


def _end_group(pid: int, *, gently: bool) -> None:
    """End the command's whole process group."""
    with suppress(ProcessLookupError, PermissionError):
        if gently:
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < deadline:
                os.killpg(pid, 0)
                time.sleep(0.05)
        os.killpg(pid, signal.SIGKILL)


def _identity(options: list[str]) -> dict[str, Any]:
    """How to start the command as somebody else, when that is asked for."""
    if not options:
        return {}
    uid, gid = options[0].removeprefix("--as=").split(":")
    return {"user": int(uid), "group": int(gid), "extra_groups": []}


def main(arguments: list[str]) -> int:
    """Run the command, follow it to its end."""
    begin = arguments.index("--")
    words = arguments[begin + 1 :]
    try:
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, start_new_session=True, **_identity(arguments[:begin])
        )
    except OSError as error:
        sys.stdout.write(f"{WHY}{error.strerror}: {words[0]}\n")
        return CANNOT_RUN

    def hold() -> None:
        while os.read(0, 1024):
            pass
        _end_group(child.pid, gently=True)

    threading.Thread(target=hold, daemon=True).start()
    code = child.wait()
    # What it left in the background would hold our output open, and work on a database that is nobody's any more.
    _end_group(child.pid, gently=False)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    result = main(sys.argv[1:])
    sys.stdout.flush()
    # Not sys.exit: the thread still waits at the line.
    os._exit(result)
