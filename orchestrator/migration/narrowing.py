"""Narrowing: what becomes of values that are no value of a column's new type, by a person's answer. Pure: no I/O."""

from orchestrator.migration import types
from orchestrator.schema.names import Key, literal

#: Answers that are words, not expressions.
FAIL, NULL, TRUNCATE = "-", "null", "truncate"


def narrow_id(key: Key) -> str:
    """The id of the question what becomes of a column's values that do not fit its new type."""
    return f"narrow:{key.name}"


def cuttable(after: str) -> bool:
    """Whether a value that is too long can be cut: the new type is a string of limited length."""
    new = types.TypeName.parse(after)
    return new.name in {"character varying", "character"} and bool(new.modifiers) and not new.array


def conversion(before: str, after: str, column: str, answer: str, *, told: str = "") -> str | None:
    """The expression that makes a value of the new type; None where PostgreSQL's assignment cast does it.

    Args:
        before: the type now.
        after: the type wanted.
        column: the column as it is named where the expression stands: ``code``, ``NEW.code``.
        answer: ``-`` (such a value makes the statement fail), ``null``, ``truncate``, or an expression.
        told: that expression with the columns named as they are where it stands.
    """
    plain = types.using(before, after, column)
    if answer == FAIL:
        return plain
    if answer == TRUNCATE:
        return f"{column}::{after}"
    other = "NULL" if answer == NULL else f"{told or answer}::{after}"
    fits = f"pg_catalog.pg_input_is_valid({column}::text, {literal(after).strip()})"
    value = plain or f"{column}::{after}"
    return f"CASE WHEN {fits} THEN {value} ELSE {other} END"
