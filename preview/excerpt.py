"""Makes what an app or a build said fit for an error: short, without control characters, without secrets. Pure.

Errors are stored, sent as JSON and shown on terminals; an app that prints megabytes or escape sequences, or its own
connection string, must reach none of them.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping

from preview.lines import LONGEST_PIECE, Piece
from preview.spec import redact, secrets_of

TAIL_LINES = 40
LONGEST_LINE = 500
"""Characters of one line in an error."""
LONGEST_TAIL = 16 * 1024
"""Bytes of all lines in an error together; the oldest give way."""
CUT = " [... cut]"
_OMITTED = "[... earlier lines left out]"

# ECMA-48: control strings (window titles and the like), control sequences, other escapes; then single controls.
# Also what turns the direction of text round, and Unicode's own line ends.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_BREAKS = re.compile(r"[\n\r\v\f\x85\u2028\u2029]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text without escape sequences and control characters; tabs stay, a line's end becomes a space."""
    return _CONTROLS.sub("", _BREAKS.sub(" ", _ESCAPES.sub("", text)))


def last_heads(pieces: Iterable[Piece], count: int = TAIL_LINES) -> tuple[str, ...]:
    """The beginnings of the last lines; how a line goes on after LONGEST_PIECE is left out."""
    return tuple(deque((piece.text for piece in pieces if not piece.goes_on), maxlen=count))


def tail_of(heads: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The lines as an error may carry them, oldest first.

    Args:
        heads: the lines' beginnings, as `last_heads` gives them.
        environment: whose values are hidden, see `redact`.
    """
    hidden = _hidden(environment)
    kept: deque[str] = deque()
    room = LONGEST_TAIL
    for head in reversed(tuple(heads)):
        line = _fit(head, hidden)
        room -= len(line.encode(errors="replace")) + 1
        if room < 0:
            kept.appendleft(_OMITTED)
            break
        kept.appendleft(line)
    return tuple(kept)


def phrase(text: str, environment: Mapping[str, str]) -> str:
    """Foreign words as a message may carry them: one line, short, without the environment's values."""
    return _fit(text[:LONGEST_PIECE], _hidden(environment)).strip()


def _hidden(environment: Mapping[str, str]) -> dict[str, str]:
    # Lines are made plain before they are searched, or an escape sequence inside of a secret would hide it from us.
    both = {**environment, **{f"plain {name}": _plain_lines(value) for name, value in environment.items()}}
    return {name: value for name, value in both.items() if value}


def _plain_lines(value: str) -> str:
    return "\n".join(plain(line) for line in value.splitlines())


def _fit(head: str, environment: Mapping[str, str]) -> str:
    was_cut = len(head) >= LONGEST_PIECE
    (line,) = redact([plain(head)], environment)
    if was_cut:
        line = _without_half_a_secret(line, environment)
    if len(line) > LONGEST_LINE:
        return line[:LONGEST_LINE] + CUT
    return line + CUT if was_cut else line


def _without_half_a_secret(line: str, environment: Mapping[str, str]) -> str:
    """The line less the beginning of a secret at its very end, where it was cut before it was searched."""
    longest = max(
        (
            length
            for secret in secrets_of(environment)
            for length in range(1, min(len(secret), len(line) + 1))
            if line.endswith(secret[:length])
        ),
        default=0,
    )
    return line[: len(line) - longest]
