"""Reads a build's answer stream, BuildKit's and the legacy builder's, into lines. Pure: touches no engine.

BuildKit's log comes as `moby.buildkit.trace`: base64 of a protobuf message, of which we need five fields
(StatusResponse{1: Vertex, 3: VertexLog}, Vertex{1: digest, 3: name, 5: started, 7: error},
VertexLog{1: vertex, 4: msg}). That is a screen of code; a protobuf library and generated classes are not.
"""

import base64
import binascii
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from preview.excerpt import TAIL_LINES, last_heads
from preview.lines import LONGEST_PIECE, Lines, Piece

_NOISE = "Removing intermediate container"


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message as (number, content); others are passed over.

    Raises:
        ValueError: the bytes are no protobuf message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        elif kind == 2:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field reaches beyond its message")
            yield number, message[at : at + size]
            at += size
        else:
            raise ValueError(f"unknown wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("a number reaches beyond its message")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


@dataclass(slots=True, kw_only=True)
class BuildLog:
    """What a build has said so far: feed it every object of the answer, in order.

    Attributes:
        image_id: `sha256:...`, once the build named it.
        error: the builder's own error sentence; None as long as it goes well.
        failed_step: the step that failed, as the Dockerfile writes it; empty when unknown.
    """

    image_id: str | None = None
    error: str | None = None
    failed_step: str = ""
    _names: dict[bytes, str] = field(default_factory=dict)
    _lines: dict[bytes, deque[str]] = field(default_factory=dict)
    _failed: bytes | None = None
    _all: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    _stream_lines: Lines = field(default_factory=Lines)
    _unfinished: dict[bytes, Lines] = field(default_factory=dict)

    def feed(self, entry: Mapping[str, Any]) -> list[str]:
        """Take one decoded JSON object of the answer; returns the lines that it says to a person."""
        if "error" in entry or "errorDetail" in entry:
            detail = entry.get("errorDetail") or {}
            self.error = str(detail.get("message") or entry.get("error") or "unknown error").strip()
        aux = entry.get("aux")
        if entry.get("id") == "moby.buildkit.trace" and isinstance(aux, str):
            said = self._trace(aux)
        else:
            if isinstance(aux, Mapping) and "ID" in aux:
                self.image_id = str(aux["ID"])
            said = self._stream(self._stream_lines.feed(str(entry.get("stream") or "").encode()))
        return said

    def end(self) -> list[str]:
        """The answer is over: the last lines, whose end never came."""
        said = self._stream(self._stream_lines.end())
        for vertex, lines in self._unfinished.items():
            said += self._keep(vertex, lines.end())
        return said

    def tail(self) -> tuple[str, ...]:
        """The failing step's last lines; where none is known to have failed, the build's last lines.

        Of a line longer than LONGEST_PIECE only its beginning.
        """
        if self._failed is not None:
            return tuple(self._lines.get(self._failed, ()))
        return tuple(self._all)

    def _stream(self, pieces: list[Piece]) -> list[str]:
        # The legacy builder cuts its stream anywhere; a line is told when its end has come.
        pieces = [piece for piece in pieces if not piece.text.startswith(_NOISE)]
        for piece in pieces:
            if piece.text.startswith("Step "):
                self.failed_step = piece.text.partition(" : ")[2].rstrip()
        return self._keep(None, pieces)

    def _keep(self, vertex: bytes | None, pieces: list[Piece]) -> list[str]:
        """Remember these lines for the tail; returns them as a person hears them."""
        pieces = [piece for piece in pieces if piece.text.strip()]
        heads = [_stripped(head) for head in last_heads(pieces)]
        self._all.extend(heads)
        if vertex is not None:
            self._lines.setdefault(vertex, deque(maxlen=TAIL_LINES)).extend(heads)
        return [piece.text.rstrip() for piece in pieces]

    def _trace(self, aux: str) -> list[str]:
        said: list[str] = []
        try:
            for number, content in fields(base64.b64decode(aux)):
                if number == 1:
                    said += self._vertex(dict(fields(content)))
                elif number == 3:
                    said += self._vertex_log(dict(fields(content)))
        except (ValueError, binascii.Error):
            # A newer BuildKit may say it differently. The log is a courtesy: the build itself goes on.
            return said
        return said

    def _vertex(self, vertex: Mapping[int, bytes]) -> list[str]:
        digest, name = vertex.get(1, b""), vertex.get(3, b"").decode(errors="replace")
        if 7 in vertex and vertex[7] and b"context canceled" not in vertex[7]:
            self._failed, self.failed_step = digest, name
        if 5 not in vertex or digest in self._names or name.startswith("[internal]"):
            return []
        self._names[digest] = name
        self._all.append(name)
        return [name]

    def _vertex_log(self, log: Mapping[int, bytes]) -> list[str]:
        # BuildKit cuts what a step says anywhere, too. Both of a step's streams are one here, as on a terminal.
        vertex = log.get(1, b"")
        lines = self._unfinished.setdefault(vertex, Lines())
        return self._keep(vertex, lines.feed(log.get(4, b"")))


def _stripped(head: str) -> str:
    # The length is what tells that a line was cut.
    return head if len(head) >= LONGEST_PIECE else head.rstrip()
