"""Refusals: what the server said about a statement, as our error, without any row's values. No I/O."""

import re

import psycopg

from orchestrator.database import ROWS_HIDDEN, hides_rows
from orchestrator.errors import StatementFailed
from orchestrator.migration.plan import Statement

#: By SQLSTATE (Postgres docs, appendix A): what to do next.
_HINTS = {
    "23502": "some rows have no value for this column: fill them, or answer the fill question",
    "23503": "some rows point at rows that do not exist: add these, or correct the rows",
    "23505": "some rows are equal where they must differ: correct them",
    "23514": "some rows break the check: correct them",
    "23P01": "some rows conflict with each other: correct them",
    "22P02": "some values cannot be read as the new type: correct them",
    "22003": "some values are too large for the new type: correct them",
    "22001": "some values are too long for the new type: shorten them",
    "57014": "it ran into its time limit: try again when the table is not busy",
    "42501": "the role must own the object, or be a member of the role that does",
    "53100": "the disk is full: make room and run the same command again",
    "2BP01": "something that the plan does not know of stands on this object",
}


_NO_EXTENSION = (
    "main's server does not have it: install there what the goal has, or use what pg_available_extension_versions"
    " shows there on the goal too"
)


#: What only a superuser may make (Postgres docs, the CREATE page of each); Neon lets its own role make event triggers.
_SUPERUSER = (
    "CREATE ACCESS METHOD ",
    "CREATE EVENT TRIGGER ",
    "CREATE FOREIGN DATA WRAPPER ",
    "CREATE LANGUAGE ",
    "CREATE OPERATOR CLASS ",
    "CREATE OPERATOR FAMILY ",
    "ALTER OPERATOR FAMILY ",
    "CREATE PUBLICATION ",
    "CREATE TEXT SEARCH PARSER ",
    "CREATE TEXT SEARCH TEMPLATE ",
    "CREATE TRUSTED LANGUAGE ",
)
_NO_SUPERUSER = (
    "only a superuser may do this (on Neon a few kinds are open to its own role): let an extension bring it,"
    " or take it out of the goal"
)


def translated(error: psycopg.Error, *, index: int, total: int, statement: Statement) -> StatementFailed:
    """A StatementFailed that names the statement, the SQLSTATE, the object and what to do."""
    diag = error.diag
    code = error.sqlstate or "no SQLSTATE"
    where = ".".join(each for each in (diag.schema_name, diag.table_name, diag.column_name) if each)
    on = f" on {where or ', '.join(statement.lock_on)}" if where or statement.lock_on else ""
    rule = f" (constraint {diag.constraint_name})" if diag.constraint_name else ""
    said = harmless(diag.message_primary or "", code) + _place(diag.statement_position, statement)
    detail = (
        f" - {' '.join((diag.message_detail or '').split())}"
        if diag.message_detail and _shows_no_values(code)
        else ""
    )
    extension = statement.sql.startswith(("CREATE EXTENSION ", "ALTER EXTENSION ")) and code in {
        "0A000",
        "22023",
    }
    hint = (
        (_NO_EXTENSION if extension else None)
        or (ROWS_HIDDEN if hides_rows(error) else None)
        or (_NO_SUPERUSER if code == "42501" and statement.sql.startswith(_SUPERUSER) else None)
        or _HINTS.get(code)
        or (diag.message_hint or "")
        or "nothing of this statement's group was done; correct the cause and run the same command again"
    )
    return StatementFailed(
        f"statement {index + 1} of {total} failed{on}{rule} with {code}: {said}{detail} [{statement.why}]",
        hint=hint,
    )


def _place(position: str | None, statement: Statement) -> str:
    """Where in a person's own file the server stumbled: ``, at fill.sql:12:7``; empty for generated statements."""
    if not statement.source:
        return ""
    if not position or not position.isdigit():
        return f", at {statement.source}:{statement.line}"
    before = statement.sql[: int(position) - 1]
    line = statement.line + before.count("\n")
    column = len(before) - (before.rfind("\n") + 1) + 1
    return f", at {statement.source}:{line}" + (
        f":{column}" if before.count("\n") else f" (character {column} of it)"
    )


def harmless(message: str, code: str) -> str:
    """The server's message; of errors about values without the value that it repeats at its end."""
    one_line = " ".join(message.split())
    if code.startswith(("22", "23")):
        return re.sub(r': ".*"$', "", one_line)
    return one_line


def _shows_no_values(code: str) -> bool:
    """Details of these classes speak of objects: dependencies (2B), syntax and names (42), resources (53, 55)."""
    return code[:2] in {"2B", "42", "53", "55", "0A"}
