"""Volatile: whether a default gives each row its own value. Pure: no I/O of any kind."""

import re

#: Functions in a default that give one value to all rows of a statement: no rewrite (pg_proc.provolatile).
_STABLE = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "current_setting", "current_schema"}
)


def is_volatile(expression: str) -> bool:
    """Whether a default gives each row its own value, so that adding it writes every row.

    Functions that nobody knows count as volatile: the plan then warns of a rewrite that may not happen,
    and the rehearsal's trace tells.
    """
    bare = re.sub(r"'(?:[^']|'')*'", "''", expression)
    called = {name.split(".")[-1].strip('"').lower() for name in re.findall(r'([\w."]+)\(', bare)}
    return bool(called - _STABLE - {"", "numeric", "varchar", "char", "bit", "timestamp", "time", "interval"})
