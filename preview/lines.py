"""Puts a stream of bytes together into lines, holding at most one bounded piece of text. Pure: opens nothing."""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

LONGEST_PIECE = 64 * 1024
"""Characters. A longer line is given in pieces of this size, so that no app can make us hold megabytes."""


def _utf8() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A line, or a part of one that is longer than LONGEST_PIECE.

    Attributes:
        text: without the line's end; undecodable bytes are U+FFFD.
        goes_on: whether it goes on with the line of the piece before.
    """

    text: str
    goes_on: bool = False


@dataclass(slots=True, kw_only=True)
class Lines:
    """What was fed and is no whole line yet."""

    _inside: bool = False
    _decoder: codecs.IncrementalDecoder = field(default_factory=_utf8)
    _rest: str = ""

    def feed(self, some: bytes) -> list[Piece]:
        """Take the next bytes, cut anywhere; returns the lines that are complete now."""
        pieces: list[Piece] = []
        *complete, rest = (self._rest + self._decoder.decode(some)).split("\n")
        for line in complete:
            pieces += self._cut(line)
            # An end right after a whole piece is that line's end, not an empty line.
            if self._rest_of(line) or not self._inside:
                pieces.append(Piece(text=self._rest_of(line).rstrip("\r"), goes_on=self._inside))
            self._inside = False
        pieces += self._cut(rest)
        self._rest = self._rest_of(rest)
        return pieces

    def end(self) -> list[Piece]:
        """The unfinished last line, if there is one."""
        left, inside = self._rest + self._decoder.decode(b"", final=True), self._inside
        self._rest, self._inside = "", False
        return [Piece(text=left.rstrip("\r"), goes_on=inside)] if left else []

    def _cut(self, line: str) -> Iterator[Piece]:
        for at in range(0, len(line) - len(self._rest_of(line)), LONGEST_PIECE):
            yield Piece(text=line[at : at + LONGEST_PIECE], goes_on=self._inside)
            self._inside = True

    @staticmethod
    def _rest_of(line: str) -> str:
        return line[len(line) - len(line) % LONGEST_PIECE :]


def pieces_of(stream: Iterable[bytes]) -> Iterator[Piece]:
    """All lines of a stream that comes in blocks cut anywhere."""
    lines = Lines()
    for some in stream:
        yield from lines.feed(some)
    yield from lines.end()
