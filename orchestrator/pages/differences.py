"""Schemas side by side: what differs as rows of two cells, with the words that changed marked. Pure: values only."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: So many equal lines stay around what changed; more are folded into one row.
_AROUND = 3
#: Lines of a block are paired by likeness up to this many pairs; beyond it the old ones come before the new ones.
_MOST_PAIRS = 2_500
_ALIKE = 0.5
_WORD = re.compile(r"\w+|\s+|[^\w\s]")

#: Text, and whether it changed.
Segment = tuple[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Two lines beside each other.

    Attributes:
        change: ``same``, ``changed``, ``removed``, ``added`` or ``folded``.
        before, after: segments of each side; None where there is no line.
        folded: how many equal lines this row stands for.
    """

    change: str
    before: tuple[Segment, ...] | None = None
    after: tuple[Segment, ...] | None = None
    folded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """One object on both sides.

    Attributes:
        subject: kind and name.
        change: ``added``, ``dropped`` or ``changed``.
        rows: see Row.
        removed, added: how many lines.
        left_out: lines that the diary does not keep.
    """

    subject: str
    change: str
    rows: tuple[Row, ...]
    removed: int
    added: int
    left_out: int


def side_by_side(value: Mapping[str, Any] | None) -> tuple[Sides, ...]:
    """A preview's ``differences`` (see `orchestrator/schema/shown.py`) as rows; none where there are none."""
    return tuple(_sides(each) for each in (value or {}).get("objects", ()))


def _sides(value: Mapping[str, Any]) -> Sides:
    rows = tuple(rows_of(value["before"], value["after"]))
    return Sides(
        subject=value["subject"],
        change=value["change"],
        rows=tuple(_folded(rows)),
        removed=sum(row.change in ("removed", "changed") for row in rows),
        added=sum(row.change in ("added", "changed") for row in rows),
        left_out=value["left_out"],
    )


def rows_of(before: Sequence[str], after: Sequence[str]) -> Iterator[Row]:
    """Every line of both sides, once, in order."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            for line in before[i:j]:
                yield Row(change="same", before=((line, False),), after=((line, False),))
        else:
            yield from _block(before[i:j], after[k:m])


def _block(old: Sequence[str], new: Sequence[str]) -> Iterator[Row]:
    """Lines that were replaced: each beside the first later one that is like it; what is like none stands alone."""
    unpaired = 0
    few = len(old) * len(new) <= _MOST_PAIRS
    for line in old:
        like = next((n for n in range(unpaired, len(new)) if few and _alike(line, new[n])), None)
        if like is None:
            yield Row(change="removed", before=((line, True),))
            continue
        yield from (Row(change="added", after=((each, True),)) for each in new[unpaired:like])
        yield Row(change="changed", before=_marked(line, new[like]), after=_marked(new[like], line))
        unpaired = like + 1
    yield from (Row(change="added", after=((each, True),)) for each in new[unpaired:])


def _alike(one: str, other: str) -> bool:
    matcher = difflib.SequenceMatcher(None, _WORD.findall(one), _WORD.findall(other), autojunk=False)
    return matcher.real_quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE


def _marked(line: str, other: str) -> tuple[Segment, ...]:
    """The line in segments: those that the other does not have are marked."""
    words, others = _WORD.findall(line), _WORD.findall(other)
    segments: list[Segment] = []
    for tag, i, j, _, _ in difflib.SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        if i < j:
            segments.append(("".join(words[i:j]), tag != "equal"))
    return tuple(segments)


def _folded(rows: Sequence[Row]) -> Iterable[Row]:
    """Long runs of equal lines as one row; the first line, which names the object, always stays."""
    near = {0}
    for number, row in enumerate(rows):
        if row.change != "same":
            near.update(range(number - _AROUND, number + _AROUND + 1))
    run = 0
    for number, row in enumerate(rows):
        if number not in near:
            run += 1
            continue
        if run:
            yield Row(change="folded", folded=run)
            run = 0
        yield row
    if run:
        yield Row(change="folded", folded=run)
