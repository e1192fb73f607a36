"""A schema as pg_dump writes it, as entries that can be compared: other eyes than our own. Pure: no I/O of any kind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.schema.names import KEPT_PREFIX
from orchestrator.schema.settled import settled, settled_routine

_HEAD = re.compile(
    r"^--\n-- Name: (?P<name>.*?); Type: (?P<type>[A-Z ]+); Schema: (?P<schema>.*?); Owner: ?.*?\n--\n",
    re.MULTILINE,
)
_END = "\n--\n-- PostgreSQL database dump complete\n--"
#: What is said between entries and belongs to none: settings of the session that restores, and the shell's guard.
#: Also pg_dump's remark where schema public was dropped and made again, as who resets a development database does.
_SESSION = re.compile(
    r"^(SET (default_tablespace|default_table_access_method) = .*;|\\(un)?restrict .*"
    r"|-- \*not\* (creating|dropping) schema, .*|\s*)$"
)
_OPTIONS = re.compile(r"\bWITH \(([^()']*(?:'[^']*'[^()']*)*)\)")
#: A name of a not-null constraint (PostgreSQL 18), which follows no rename of its column; nothing refers to it.
_NOT_NULL = re.compile(r' CONSTRAINT (?:[^\W\d]\w*|"(?:[^"]|"")*") NOT NULL')
_ROUTINES = frozenset({"FUNCTION", "PROCEDURE"})
#: Entries that say several things of one object in no order of importance.
_UNORDERED = frozenset({"COMMENT", "ACL", "DEFAULT ACL", "TABLE", "FOREIGN TABLE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A schema as pg_dump saw it.

    Attributes:
        entries: text by type and name; empty where it was not looked at.
        server: the server's major version.
        reason: why pg_dump did not look; empty: it did.
    """

    entries: Mapping[str, str] = field(default_factory=dict)
    server: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """An entry by which two dumps differ.

    Attributes:
        entry: type and name, e.g. ``TABLE public.orders``.
        have: its text in the first dump; empty: it is not there.
        want: its text in the second.
    """

    entry: str
    have: str
    want: str


def entries(text: str) -> Mapping[str, str]:
    """What ``pg_dump --schema-only`` wrote, by type and name; the same for the same schema, however it came about.

    Left out: session settings, pg_dump's own remarks, the order of a table's columns and of entries, the order of
    storage parameters, names of not-null constraints, columns that were set aside, and forms of an expression that
    PostgreSQL takes for one.
    """
    text = text.split(_END, maxsplit=1)[0] + "\n"
    marks = list(_HEAD.finditer(text))
    found: dict[str, list[str]] = {}
    for at, mark in enumerate(marks):
        body = text[mark.end() : marks[at + 1].start() if at + 1 < len(marks) else len(text)]
        if KEPT_PREFIX in mark["name"]:
            continue
        where = "" if mark["schema"] == "-" else f"{mark['schema']}."
        normal = _normal(mark["type"], body)
        if normal:
            found.setdefault(f"{mark['type']} {where}{mark['name']}", []).append(normal)
    return {entry: "\n".join(sorted(texts)) for entry, texts in sorted(found.items())}


def _normal(kind: str, body: str) -> str:
    lines = [line.rstrip() for line in body.split("\n")]
    if kind in _ROUTINES:
        # Every line of a body counts, empty ones too.
        while lines and _SESSION.match(lines[-1]):
            lines.pop()
        return settled_routine("\n".join(lines).strip("\n"))
    lines = [_OPTIONS.sub(_sorted_options, line) for line in lines if not _SESSION.match(line)]
    lines = [line for line in lines if KEPT_PREFIX not in line]
    if kind in _UNORDERED:
        lines = sorted(_NOT_NULL.sub(" NOT NULL", line.rstrip(",")) for line in lines)
    return settled("\n".join(lines))


def _sorted_options(match: re.Match[str]) -> str:
    return f"WITH ({', '.join(sorted(each.strip() for each in match[1].split(',')))})"


def unlike(have: Mapping[str, str], want: Mapping[str, str]) -> tuple[Unlike, ...]:
    """The entries by which two dumps differ, sorted; empty: pg_dump sees one and the same schema."""
    return tuple(
        Unlike(entry=entry, have=have.get(entry, ""), want=want.get(entry, ""))
        for entry in sorted(have.keys() | want.keys())
        if have.get(entry) != want.get(entry)
    )
