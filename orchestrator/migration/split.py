"""Split: a file of SQL into its statements, by PostgreSQL's lexical rules alone. Pure: no I/O of any kind.

It finds where a statement ends, as psql does; what a statement means is the server's to say.
"""

import re
from dataclasses import dataclass

#: What may hold a semicolon that ends nothing (PostgreSQL docs, 4.1), longest first where two begin alike.
_TOKEN = re.compile(
    r"""
      (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escaped>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<string>'(?:[^']|'')*(?:'|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>(?<![\w$])\$(?P<tag>[^\W\d]\w*)?\$)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<open>[(\[])
    | (?P<close>[)\]])
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One statement of a file.

    Attributes:
        sql: its text without the semicolon, comments inside kept.
        line: the line of the file on which it begins, from 1.
        words: its first words in upper case, at most three, comments left out.
    """

    sql: str
    line: int
    words: tuple[str, ...]


def split(text: str) -> tuple[Piece, ...]:
    """The statements of a text, in order; what is only comments and white space is none."""
    pieces: list[Piece] = []
    depth, body = 0, 0
    words: list[str] = []
    real = False  # whether anything but comments and white space was seen of it
    at = 0
    first = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if not text[at].isspace() and not real:
                real, first = True, at
            at += 1
            continue
        kind = match.lastgroup if match.lastgroup != "tag" else "dollar"
        at = match.end()
        if kind in {"line", "block"}:
            at = _after_block(text, at) if kind == "block" else at
            continue
        if kind == "end" and not depth and not body:
            if real:
                pieces.append(_piece(text, first, match.start(), words))
            words, real = [], False
            continue
        if not real:
            real, first = True, match.start()
        if kind == "dollar":
            closing = text.find(match.group(0), at)
            at = len(text) if closing < 0 else closing + len(match.group(0))
        elif kind in {"open", "close"}:
            depth = max(0, depth + (1 if kind == "open" else -1))
        elif kind == "word":
            word = match.group(0).upper()
            body = _body(word, words, body)
            words.append(word)
    if real:
        pieces.append(_piece(text, first, len(text), words))
    return tuple(pieces)


def _after_block(text: str, at: int) -> int:
    """Where a comment ends that has just begun; PostgreSQL nests them."""
    open_ = 1
    while open_:
        match = _BLOCK.search(text, at)
        if match is None:
            return len(text)
        open_ += 1 if match.group(0) == "/*" else -1
        at = match.end()
    return at


def _body(word: str, words: list[str], body: int) -> int:
    """How deep in BEGIN ATOMIC ... END we are: the one place where a statement holds others without quotes."""
    if body == 0:
        atomic = word == "ATOMIC" and words[-1:] == ["BEGIN"] and words[:1] == ["CREATE"]
        return 1 if atomic else 0
    return body + (1 if word == "CASE" else -1 if word == "END" else 0)


def _piece(text: str, first: int, end: int, words: list[str]) -> Piece:
    return Piece(sql=text[first:end].rstrip(), line=text.count("\n", 0, first) + 1, words=tuple(words[:3]))
