"""Settled texts: what PostgreSQL deparses, as it reads after a dump and a restore. Pure: no I/O of any kind.

PostgreSQL's deparser is no fixpoint: ``status IN ('a', 'b')`` over a varchar column is kept as a cast of the whole
array, shown as ``(ARRAY['a'::character varying, 'b'::character varying])::text[]``. Read again, the parser casts each
element instead. Both say the same, so a restored database must not look different from the one it was dumped from.
"""

import re

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|.""", re.DOTALL)
_OPENS, _CLOSES = "([", ")]"
#: ``::character varying[]``, ``::numeric(8,2)[]``, ``::public."My Type"[]`` and what follows no more.
_CAST = re.compile(
    r'::((?:[^\W\d][\w ]*|"(?:[^"]|"")+")(?:\.(?:[^\W\d]\w*|"(?:[^"]|"")+"))?(?:\([\d,]+\))?)\[\]'
)
#: Where the body of a function begins that is kept as it was written.
_BODY = re.compile(r"^ ?AS (?=[$'])", re.MULTILINE)


def settled(text: str) -> str:
    """The text as PostgreSQL would show it after one more round through its parser.

    Args:
        text: an expression or statement by ``pg_get_*def``, ``pg_get_expr`` or pg_dump; strings in it are left alone.
    """
    if "ARRAY[" not in text and "( VALUES (" not in text:
        return text
    tokens = _TOKEN.findall(text)
    out: list[str] = []
    at = 0
    while at < len(tokens):
        found = _cast_array(tokens, at)
        if found is not None:
            at, rewritten = found
            out.append(rewritten)
            continue
        out.append(tokens[at])
        at += 1
    return _values("".join(out)) if "( VALUES (" in text else "".join(out)


def settled_routine(text: str) -> str:
    """As settled, for CREATE FUNCTION: a body that is kept as text stays as it was written."""
    body = _BODY.search(text)
    return settled(text) if body is None else settled(text[: body.start()]) + text[body.start() :]


def _values(text: str) -> str:
    """A blank that depends on how deep VALUES stands."""
    return "".join(
        part if part.startswith(("'", '"')) else part.replace("( VALUES (", "(VALUES (")
        for part in re.split(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")""", text)
    )


def _cast_array(tokens: list[str], at: int) -> tuple[int, str] | None:
    """``(ARRAY[a, b])::t[]`` at a place, with the cast on each element; where it ends."""
    bare = _word(tokens, at, "ARRAY[")
    wrapped = tokens[at] == "(" and _word(tokens, at + 1, "ARRAY[")
    if not (bare or wrapped) or (bare and at and (tokens[at - 1].isalnum() or tokens[at - 1] == "_")):
        return None
    first = at + len("ARRAY[") + (1 if wrapped else 0)
    elements, end = _elements(tokens, first)
    if wrapped:
        if end >= len(tokens) or tokens[end] != ")":
            return None
        end += 1
    cast = _CAST.match("".join(tokens[end : end + 200]))
    if cast is None or not elements or any(each.startswith("ARRAY[") for each in elements):
        return None
    form = f"({{}})::{cast[1]}" if wrapped else f"{{}}::{cast[1]}"
    listed = ", ".join(form.replace("{}", settled(each), 1) for each in elements)
    return end + len(_TOKEN.findall(cast[0])), f"ARRAY[{listed}]"


def _word(tokens: list[str], at: int, word: str) -> bool:
    return tokens[at : at + len(word)] == list(word)


def _elements(tokens: list[str], at: int) -> tuple[list[str], int]:
    """The elements up to the bracket that closes, and the place after it."""
    elements: list[str] = []
    depth, begun = 0, at
    while at < len(tokens):
        mark = tokens[at]
        if mark in _OPENS:
            depth += 1
        elif mark in _CLOSES:
            if not depth:
                last = "".join(tokens[begun:at]).strip()
                return [*elements, last] if last else elements, at + 1
            depth -= 1
        elif mark == "," and not depth:
            elements.append("".join(tokens[begun:at]).strip())
            begun = at + 1
        at += 1
    return [], at
