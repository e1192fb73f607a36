"""Soft drops: what is kept aside, under which name, and the statements that bring it back. Pure: no I/O of any kind.

A table that is dropped moves to a schema of its own, a column gets a reserved name; both are out of every snapshot
until they are purged. Decision 0023 says what can be kept and what cannot.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Keeps, Plan, Statement
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import KEPT_PREFIX, Key, dotted, quote

#: Where it is written down, in main itself; the schema is no part of any snapshot.
RECORD = "preview_internal.kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How drops are done.

    Attributes:
        days: how long what is dropped is kept aside; 0: it is dropped at once.
    """

    days: int = 0

    def __bool__(self) -> bool:
        return self.days > 0


def keeping_of(plan: Plan) -> Keeping:
    """As an earlier plan did it, whatever the settings say by now."""
    return Keeping(days=max((each.keeps.days for each in plan.statements if each.keeps), default=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One thing that is kept aside, as main's own record of it and its catalogue say.

    Attributes:
        name: its reserved name: a schema's or a column's.
        was: schema, table and for a column its name, as it was called.
        table: schema and name of the table, or of the column's table, as it is called now.
        at: when it was set aside, ISO 8601.
        until: when it may be purged, ISO 8601.
        promotion: by which promotion; empty where nobody said.
        by: the session that did it.
        bytes: the size of a table with its indexes; of a column 0.
        oid: the table's number: a copy of it has a column of the same reserved name, which is another matter.
    """

    name: str
    was: tuple[str, ...]
    table: tuple[str, ...]
    at: str = ""
    until: str = ""
    promotion: str = ""
    by: str = ""
    bytes: int = 0
    oid: int = 0

    @property
    def is_column(self) -> bool:
        """Whether it is a column."""
        return len(self.was) > 2

    @property
    def home(self) -> tuple[str, ...]:
        """What it is called once it is back: a column goes to its table, whatever that is called by now."""
        return (*self.table, self.was[-1]) if self.is_column else self.was

    @property
    def key(self) -> Key:
        """Its key once it is back."""
        return Key("column" if self.is_column else "table", self.home)

    def to_json(self) -> dict[str, Any]:
        """All attributes by name but the number, and ``kind``."""
        return {
            "kind": "column" if self.is_column else "table",
            "name": self.name,
            "was": dotted(*self.was),
            "table": dotted(*self.table),
            "at": self.at,
            "until": self.until,
            "promotion": self.promotion,
            "by": self.by,
            "bytes": self.bytes,
        }


def kept_name(key: Key, taken: Iterable[str]) -> str:
    """The reserved name for what is called so now; the first that is free where it was dropped before."""
    used = frozenset(taken)
    turn = 0
    while True:
        content = "\x1f".join((key.kind, *key.path, str(turn)))
        name = f"{KEPT_PREFIX}{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        if name not in used:
            return name
        turn += 1


def in_the_way(kept: Iterable[Kept], now: Snapshot) -> Mapping[str, str]:
    """What cannot get its name back, with the reason, by reserved name: something else has that name by now."""
    found: dict[str, str] = {}
    for each in kept:
        if each.key in now.objects or any(
            Key(kind, each.home) in now.objects for kind in ("view", "materialized view", "foreign table")
            if not each.is_column
        ):  # fmt: skip
            found[each.name] = f"{each.key} was made again since"
    return found


def bring_back(kept: Iterable[Kept], now: Snapshot) -> tuple[Statement, ...]:
    """Statements that give things their names back, each thing in a transaction of its own; tables come first.

    Their keys, indexes on columns, defaults and grants come with the rest of the way back, which is a plan as any
    other (``inspect(..., returning=...)`` says what there is after these). What is ``in_the_way`` is left out.
    """
    left_out = in_the_way(kept := tuple(kept), now)
    statements: list[Statement] = []
    schemas = {key.path[0] for key in now.of_kind("schema")}
    for group, each in enumerate(sorted(kept, key=lambda x: (x.is_column, x.name))):
        if each.name in left_out:
            continue
        if each.is_column:
            table = dotted(*each.table)
            statements.append(
                Statement(
                    sql=f"ALTER TABLE {table} RENAME COLUMN {each.name} TO {quote(each.was[-1])}",
                    why=f"{each.key} comes back with its values",
                    lock=LockMode.ACCESS_EXCLUSIVE,
                    lock_on=(table,),
                    statement_timeout_ms=30_000,
                    forgets=each.name,
                    group=group,
                )
            )
            continue
        home = each.was[0]
        if home not in schemas:
            schemas.add(home)
            statements.append(
                Statement(sql=f"CREATE SCHEMA {quote(home)}", why=f"{each.key} was in it", group=group)
            )
        statements += [
            Statement(
                sql=f"ALTER TABLE {dotted(*each.table)} SET SCHEMA {quote(home)}",
                why=f"{each.key} comes back with its rows",
                group=group,
            ),
            Statement(
                sql=f"DROP SCHEMA {each.name}",
                why="nothing is left in there",
                forgets=each.name,
                group=group,
            ),
        ]
    return tuple(statements)


__all__ = ["Keeping", "Keeps", "Kept", "bring_back", "in_the_way", "keeping_of", "kept_name"]
