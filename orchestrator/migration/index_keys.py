"""What a unique index compares, taken out of its definition: keys and condition. Pure: no I/O of any kind."""

import re
from dataclasses import dataclass

from orchestrator.schema.texts import bracketed

_NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
_LEADING = re.compile(rf"{_NAME}(?:\.{_NAME})?")
_COLLATED = re.compile(rf" COLLATE {_NAME}(?:\.{_NAME})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexKeys:
    """The keys of an index.

    Attributes:
        keys: each an SQL expression, with its collation where it names one.
        condition: of a partial index; empty when every row is in it.
        nulls_equal: whether two NULLs are duplicates.
    """

    keys: tuple[str, ...]
    condition: str = ""
    nulls_equal: bool = False


def index_keys(definition: str) -> IndexKeys | None:
    """The keys of an index over a table; None where its text is not understood.

    Args:
        definition: pg_get_indexdef() from the access method on: ``btree (lower(email), id DESC) WHERE (id > 0)``.
    """
    at = definition.find("(")
    if not definition.startswith("btree ") or at < 0:
        return None  # no other method has unique indexes
    inside, rest = bracketed(definition[at:])
    keys = [_key(part) for part in _parts(inside[1:-1])]
    if not keys or any(not key for key in keys):
        return None
    if rest.startswith(" INCLUDE "):
        _, rest = bracketed(rest.removeprefix(" INCLUDE "))
    before, where, condition = rest.partition(" WHERE ")
    return IndexKeys(
        keys=tuple(keys), condition=condition if where else "", nulls_equal="NULLS NOT DISTINCT" in before
    )


def _parts(text: str) -> list[str]:
    """What stands between the commas outside of brackets and strings."""
    found, rest = [""], text
    while rest:
        if rest[0] == "(":
            piece, rest = bracketed(rest)
        elif quoted := re.match(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""", rest):
            piece, rest = quoted[0], rest[quoted.end() :]
        else:
            piece, rest = rest[0], rest[1:]
        if piece == ",":
            found.append("")
        else:
            found[-1] += piece
    return [part.strip() for part in found]


def _key(part: str) -> str:
    """One key without its operator class and order; empty where it is not understood."""
    leading = _LEADING.match(part)
    expression, rest = (leading[0], part[leading.end() :]) if leading else ("", part)
    if rest.startswith("("):  # a function's arguments, or an expression
        brackets, rest = bracketed(rest)
        expression += brackets
    collated = _COLLATED.match(rest)
    return expression + (collated[0] if collated and expression else "")
