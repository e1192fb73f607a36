"""Trace: what a statement really locked, rewrote and took, read from the server right after it. Only reads."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from psycopg.errors import Diagnostic

from orchestrator.database import Connection

#: What DEBUG1 messages of PostgreSQL's ALTER TABLE and index code begin with (tablecmds.c, index.c).
_TELLING = (
    "rewriting table",
    "verifying table",
    "validating foreign key",
    "building index",
    "existing constraints on",
)

_RELATIONS = """
select c.oid::int8, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relfilenode::int8
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm', 'v', 'S') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""
_LOCKS = """
select l.relation::int8, l.mode, c.relfilenode::int8
from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted and l.relation >= 16384
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTrace:
    """What one statement did.

    Attributes:
        index: its place in the plan, from 0.
        milliseconds: from sending it to its end, waiting for locks included.
        locks: (relation, mode as pg_locks has it) that it added on relations that were there before its
            transaction; empty for statements outside of transactions, which leave no lock to look at.
        rewritten: tables whose file is another one now.
        notices: what the server said about scans, rewrites and builds, and its warnings.
        batches: into how many transactions it was split; 0 when it was not.
        longest_ms: the longest of these, milliseconds.
    """

    index: int
    milliseconds: float
    locks: tuple[tuple[str, str], ...] = ()
    rewritten: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    batches: int = 0
    longest_ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return {
            "index": self.index,
            "milliseconds": self.milliseconds,
            "locks": [list(each) for each in self.locks],
            "rewritten": list(self.rewritten),
            "notices": list(self.notices),
            "batches": self.batches,
            "longest_ms": self.longest_ms,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "StatementTrace":
        """The reverse of to_json."""
        return cls(
            index=value["index"],
            milliseconds=value["milliseconds"],
            locks=tuple((relation, mode) for relation, mode in value["locks"]),
            rewritten=tuple(value["rewritten"]),
            notices=tuple(value["notices"]),
            batches=value.get("batches", 0),
            longest_ms=value.get("longest_ms", 0.0),
        )


@dataclass(slots=True)
class Tracer:
    """Watches one connection through one group of statements."""

    connection: Connection
    names: dict[int, str] = field(default_factory=dict)
    files: dict[int, int] = field(default_factory=dict)
    held: set[tuple[int, str]] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        for oid, name, file in self.connection.execute(_RELATIONS).fetchall():
            self.names[oid] = name
            self.files[oid] = file
        self.connection.add_notice_handler(self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.connection.remove_notice_handler(self._heard)

    def _heard(self, said: Diagnostic) -> None:
        text = said.message_primary or ""
        if said.severity_nonlocalized in {"NOTICE", "WARNING"} or text.startswith(_TELLING):
            self.notices.append(text)

    def run(self, index: int, sql: str, *, in_transaction: bool) -> StatementTrace:
        """Run one statement and look at what it did."""
        self.notices.clear()
        started = time.perf_counter()
        self.connection.execute(sql.encode())
        took = (time.perf_counter() - started) * 1000
        locks: list[tuple[str, str]] = []
        rewritten: list[str] = []
        heard = tuple(dict.fromkeys(self.notices))
        if in_transaction:
            for oid, mode, file in self.connection.execute(_LOCKS).fetchall():
                if oid not in self.names:
                    continue  # made in this very transaction: nobody else can wait for it
                if (oid, mode) not in self.held:
                    locks.append((self.names[oid], mode))
                    self.held.add((oid, mode))
                if file != self.files[oid]:
                    rewritten.append(self.names[oid])
                    self.files[oid] = file
        return StatementTrace(
            index=index,
            milliseconds=round(took, 3),
            locks=tuple(sorted(locks)),
            rewritten=tuple(sorted(set(rewritten))),
            notices=heard,
        )
