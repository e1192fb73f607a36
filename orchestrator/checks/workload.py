"""Workload files: queries of a person's own, with parameters, read from text. Pure: no I/O; runs.py executes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.errors import SettingsError

_HEADER = re.compile(r"--\s*(name|param)\s*:\s*(.*?)\s*$", re.IGNORECASE)
_PARAM = re.compile(r"([A-Za-z_]\w*)\s*=\s*(\S.*)")
# Texts, identifiers and comments taken whole; then casts (`::`) before names of parameters (`:id`).
_TOKENS = re.compile(
    r"(?P<quoted>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|/\*.*?\*/|--[^\n]*)"
    r"|(?P<cast>::)|:(?P<name>[A-Za-z_]\w*)|(?P<percent>%)",
    re.DOTALL,
)
HOW = "write `-- name: recent orders`, then `-- param: id = select id from orders limit 20`, then one query with :id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One query that is measured.

    Attributes:
        name: what people call it.
        file: where it stands, relative to preview.toml.
        sql: with ``%(name)s`` for every parameter, as psycopg takes it.
        parameters: the query that gives each parameter's values; the values of all are taken side by side.
    """

    name: str
    file: str
    sql: str
    parameters: Mapping[str, str]


def read_workload(file: str, content: str) -> tuple[Item, ...]:
    """The queries of one file; each begins at ``-- name:``, a file without any is one query, named like itself.

    Raises:
        SettingsError: a header cannot be read, a query is missing, or a parameter has no header; names the line.
    """
    items: list[Item] = []
    names: set[str] = set()
    for number, name, parameters, lines in _parts(file, content):
        text = "\n".join(lines).strip().rstrip(";").rstrip()
        where = f"{file}, line {number}"
        if not _without_comments(text):
            raise SettingsError(f"{where}: {name!r} has no query", hint=HOW)
        if name in names:
            raise SettingsError(f"{where}: {name!r} is there twice", hint="give each query a name of its own")
        names.add(name)
        wanted = {found["name"] for found in _TOKENS.finditer(text) if found["name"]}
        if missing := sorted(wanted - set(parameters)):
            raise SettingsError(f"{where}: nothing says what :{missing[0]} is in {name!r}", hint=HOW)
        sql = _TOKENS.sub(_as_driver, text)
        used = {key: value for key, value in parameters.items() if key in wanted}
        items.append(Item(name=name, file=file, sql=sql, parameters=used))
    return tuple(items)


def _parts(file: str, content: str) -> list[tuple[int, str, dict[str, str], list[str]]]:
    parts: list[tuple[int, str, dict[str, str], list[str]]] = []
    lines = content.splitlines()
    if not any((match := _HEADER.match(line)) and match[1].lower() == "name" for line in lines):
        lines.insert(0, f"-- name: {file.rsplit('/', 1)[-1].removesuffix('.sql')}")
        first = 0
    else:
        first = 1
    for number, line in enumerate(lines, first):
        match = _HEADER.match(line)
        if match and match[1].lower() == "name":
            if not match[2]:
                raise SettingsError(f"{file}, line {number}: a query's name is empty", hint=HOW)
            parts.append((max(number, 1), match[2], {}, []))
        elif match and parts:
            given = _PARAM.fullmatch(match[2])
            if given is None:
                raise SettingsError(f"{file}, line {number}: this is no parameter: {match[2]!r}", hint=HOW)
            parts[-1][2][given[1]] = given[2].rstrip(";")
        elif parts:
            parts[-1][3].append(line)
        elif _without_comments(line):
            raise SettingsError(f"{file}, line {number}: a query before the first `-- name:`", hint=HOW)
    return parts


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", " ", text, flags=re.DOTALL).strip()


def _as_driver(found: "re.Match[str]") -> str:
    if found["name"]:
        return f"%({found['name']})s"
    return found[0].replace("%", "%%")
