"""Names as SQL writes them, taken apart so that ``"public".orders`` and ``public.orders`` are one. Pure: no I/O."""

import re

from orchestrator.migration.plan import Plan

_PART = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')


def parts_of(name: str) -> tuple[str, ...]:
    """A qualified name's parts as they are stored: quotes removed, what was not quoted in lower case."""
    return tuple(
        quoted.replace('""', '"') if match.startswith('"') else plain.lower()
        for match, quoted, plain in (
            (found[0], found[1] or "", found[2] or "") for found in _PART.finditer(name)
        )
    )


def same_name(one: str, other: str) -> bool:
    """Whether two qualified names mean the same object."""
    return parts_of(one) == parts_of(other)


def joined(parts: tuple[str, ...]) -> str:
    """A qualified name with every part quoted: always safe to give to ``to_regclass``."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


_NAME = r'((?:"(?:[^"]|"")*"|[^\s."]+)(?:\.(?:"(?:[^"]|"")*"|[^\s."]+))?)'
_RENAME = re.compile(rf"ALTER TABLE (?:ONLY )?{_NAME} (RENAME TO|SET SCHEMA) {_NAME}", re.IGNORECASE)
_UPDATE = re.compile(rf"UPDATE (?:ONLY )?{_NAME}\s", re.IGNORECASE)


def name_after(table: str, plan: Plan) -> tuple[str, ...]:
    """What a table is called after the plan; read from its statements, which our own generator wrote."""
    parts = parts_of(table)
    for statement in plan.statements:
        match = _RENAME.fullmatch(statement.sql.strip())
        if match and parts_of(match[1]) == parts:
            new = parts_of(match[3])[-1]
            parts = (*parts[:-1], new) if match[2].upper() == "RENAME TO" else (new, parts[-1])
    return parts


def updated_tables(plan: Plan) -> set[tuple[str, ...]]:
    """The tables whose rows the plan itself updates: fill values, and what statements say of themselves."""
    written = {parts_of(table) for statement in plan.statements for table in statement.writes}
    return written | {
        parts_of(match[1]) for statement in plan.statements if (match := _UPDATE.match(statement.sql.strip()))
    }


_RELABEL = re.compile(rf"ALTER TYPE {_NAME} RENAME VALUE ", re.IGNORECASE)


def relabelled_types(plan: Plan) -> set[str]:
    """The types whose labels the plan renames, by their last name: every value of them reads differently then."""
    found = (_RELABEL.match(statement.sql.strip()) for statement in plan.statements)
    return {parts_of(match[1])[-1] for match in found if match}


def touched_tables(plan: Plan) -> set[tuple[str, ...]]:
    """The tables that some statement of the plan locks, writes or renames; by the names of before and after."""
    named = {
        parts_of(table)
        for statement in plan.statements
        for table in (
            *statement.lock_on,
            *statement.writes,
            *((statement.by_blocks,) if statement.by_blocks else ()),
        )
    }
    return named | updated_tables(plan)
