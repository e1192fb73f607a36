"""SQL texts as PostgreSQL deparses them: tokens, brackets, renamed identifiers. Pure: no I/O of any kind."""

import re
from collections.abc import Mapping

_TOKEN = re.compile(
    r"""
    (?P<string>'(?:[^']|'')*')
  | (?P<name>"(?:[^"]|"")*"|[^\W\d][\w$]*)
  | (?P<rest>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def with_renamed(text: str, names: Mapping[str, str]) -> str:
    """An expression over one table's columns with its columns renamed.

    Strings, types (after ``::``) and function names (before a bracket) are left alone. The result is only
    a guess: it may be compared with a deparsed text, and when it is not equal, the object is rebuilt.

    Args:
        text: a deparsed expression.
        names: old to new name, both quoted as SQL.
    """
    if not names:
        return text
    out: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        follows = text[match.end() : match.end() + 1]
        precedes = text[max(match.start() - 2, 0) : match.start()]
        if match.lastgroup == "name" and token in names and follows != "(" and precedes != "::":
            token = names[token]
        out.append(token)
    return "".join(out)


def identifiers(text: str) -> frozenset[str]:
    """Every name in a text, unquoted; strings are looked into as well (they may be a function's body)."""
    found = re.findall(r'"(?:[^"]|"")*"|[^\W\d][\w$]*', text)
    return frozenset(
        each[1:-1].replace('""', '"') if each.startswith('"') else each.lower() for each in found
    )


def bracketed(text: str) -> tuple[str, str]:
    """A text that starts with a bracket, split after the matching one: ``("(a, b)", " INCLUDE (c)")``."""
    depth = 0
    for match in _TOKEN.finditer(text):
        depth += {"(": 1, ")": -1}.get(match.group(), 0)
        if depth == 0:
            return text[: match.end()], text[match.end() :]
    return text, ""
