"""Reads the log that a candidate process leaves: `log`, and the older half `log.1`. Writes nothing."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

_LOOK_SECONDS = 0.2


def log_lines(directory: Path, *, tail: int, lives: Callable[[], bool] | None = None) -> Iterator[str]:
    """The last `tail` lines, then, when `lives` is given, those to come until it says no.

    A log is followed through its change to a new file. Undecodable bytes become U+FFFD.
    """
    with ExitStack() as open_files:
        past: deque[str] = deque(maxlen=tail)
        if (older := _opened(directory / "log.1", open_files)) is not None:
            past.extend(line.rstrip("\r\n") for line in older)
        current = _opened(directory / "log", open_files)
        unfinished = ""
        for line in current or ():
            past.append(line.rstrip("\r\n"))
            unfinished = "" if line.endswith("\n") else line
        if lives is None:
            yield from past
            return
        if unfinished and past:
            past.pop()
        yield from past
        yield from _to_come(directory / "log", current, unfinished, lives, open_files)


def _to_come(
    log: Path, current: TextIO | None, unfinished: str, lives: Callable[[], bool], open_files: ExitStack
) -> Iterator[str]:
    while True:
        # Asked before reading: what was said until it ended is read after we know that it ended.
        over = not lives()
        current = current or _opened(log, open_files)
        for line in current or ():
            unfinished += line
            if unfinished.endswith("\n"):
                yield unfinished.rstrip("\r\n")
                unfinished = ""
        if current is not None and _was_replaced(current, log):
            current.close()
            current = None
        elif over:
            break
        else:
            time.sleep(_LOOK_SECONDS)
    if unfinished:
        yield unfinished


def _opened(path: Path, open_files: ExitStack) -> TextIO | None:
    with suppress(FileNotFoundError):
        return open_files.enter_context(path.open(encoding="utf-8", errors="replace", newline="\n"))
    return None


def _was_replaced(file: TextIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    return False
