"""Reads the log that a candidate process leaves: `log`, and the older half `log.1`. Writes nothing, holds little."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from preview.lines import Lines, Piece

_LOOK_SECONDS = 0.2
_BLOCK = 64 * 1024


def log_lines(directory: Path, *, tail: int, lives: Callable[[], bool] | None = None) -> Iterator[str]:
    """The last `tail` lines, then, when `lives` is given, those to come until it says no.

    A log is followed through its change to a new file. Undecodable bytes become U+FFFD; a line that is longer than
    `LONGEST_PIECE` comes in pieces.
    """
    for piece in log_pieces(directory, tail=tail, lives=lives):
        yield piece.text


def log_pieces(directory: Path, *, tail: int, lives: Callable[[], bool] | None = None) -> Iterator[Piece]:
    """As `log_lines`, with every piece's place in its line.

    Where the tail reaches back to the beginning of the older half, its first line may have begun even earlier: it
    counts as the going-on of a line.
    """
    with ExitStack() as open_files:
        current = _opened(directory / "log", open_files)
        older = _opened(directory / "log.1", open_files)
        if older is not None and current is not None and _same(older, current):
            older = None  # it became the older half just between our two looks
        files = [file for file in (older, current) if file is not None]
        begun_earlier = _go_to_tail(files, tail) and older is not None
        lines = Lines()
        if tail == 0 and lives is None:
            return
        for file in files:
            for piece in _rest_of(file, lines):
                yield replace(piece, goes_on=piece.goes_on or begun_earlier)
                begun_earlier = False
        if lives is not None:
            yield from _to_come(directory / "log", current, lines, lives, open_files)
        yield from lines.end()


def _to_come(
    log: Path, current: BinaryIO | None, lines: Lines, lives: Callable[[], bool], open_files: ExitStack
) -> Iterator[Piece]:
    while True:
        # Asked before reading: what was said until it ended is read after we know that it ended.
        over = not lives()
        current = current or _opened(log, open_files)
        if current is not None:
            yield from _rest_of(current, lines)
        if current is not None and _was_replaced(current, log):
            current.close()
            current = None
        elif over:
            return
        else:
            time.sleep(_LOOK_SECONDS)


def _rest_of(file: BinaryIO, lines: Lines) -> Iterator[Piece]:
    while some := file.read(_BLOCK):
        yield from lines.feed(some)


def _go_to_tail(files: list[BinaryIO], tail: int) -> bool:
    """Put each file where its part of the last `tail` lines begins; whether that is the very beginning.

    The files are read backwards, in blocks, as if they were one. A line without its end is a line, too.
    """
    ends_to_pass: int | None = None
    for number in range(len(files) - 1, -1, -1):
        at = files[number].seek(0, os.SEEK_END)
        while at > 0:
            size = min(at, _BLOCK)
            at = files[number].seek(at - size)
            block = files[number].read(size)
            if ends_to_pass is None:
                ends_to_pass = max(tail + block.endswith(b"\n"), 1)
            end = len(block)
            while (end := block.rfind(b"\n", 0, end)) >= 0:
                ends_to_pass -= 1
                if ends_to_pass == 0:
                    for earlier in files[:number]:
                        earlier.seek(0, os.SEEK_END)
                    files[number].seek(at + end + 1)
                    return False
        files[number].seek(0)
    return True


def _opened(path: Path, open_files: ExitStack) -> BinaryIO | None:
    with suppress(FileNotFoundError):
        return open_files.enter_context(path.open("rb"))
    return None


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))


def _was_replaced(file: BinaryIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    return False
