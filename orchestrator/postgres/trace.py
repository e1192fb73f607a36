"""Trace: what a statement really locked, rewrote and took, read from the server right after it. Only reads."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.errors import Diagnostic

from orchestrator.database import Connection
from orchestrator.errors import OrchestratorError
from orchestrator.postgres.sampler import LockSampler

#: What DEBUG1 messages of PostgreSQL's ALTER TABLE and index code begin with (tablecmds.c, index.c).
_TELLING = (
    "rewriting table",
    "verifying table",
    "validating foreign key",
    "building index",
    "existing constraints on",
)

_RELATIONS = """
select c.oid::int8, pg_catalog.quote_ident(n.nspname::text) || '.' || pg_catalog.quote_ident(c.relname::text),
       c.relfilenode::int8
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm', 'v', 'S') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""
_READ = """
select l.relation::int8,
       (pg_catalog.pg_stat_get_xact_tuples_returned(l.relation)
        + pg_catalog.pg_stat_get_xact_tuples_fetched(l.relation))::int8
from pg_catalog.pg_locks l
where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted and l.relation >= 16384
group by l.relation
"""
_WAL = "select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::int8"
_LOCKS = """
select l.relation::int8, l.mode, c.relfilenode::int8
from pg_catalog.pg_locks l left join pg_catalog.pg_class c on c.oid = l.relation
where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted and l.relation >= 16384
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTrace:
    """What one statement did.

    Attributes:
        index: its place in the plan, from 0.
        milliseconds: from sending it to its end, waiting for locks included.
        locks: (relation, mode as pg_locks has it) that it added on relations that were there before its
            transaction; of a statement outside of transactions what a second session saw while it ran, which
            is nothing when it was too quick.
        rewritten: tables whose file is another one now.
        notices: what the server said about scans, rewrites and builds, and its warnings.
        batches: into how many transactions it was split, or how often it was repeated; 0 when it ran once.
        longest_ms: the longest of these, milliseconds.
        rows_read: (table, rows) that it read, where it ran in a transaction (pg_stat_get_xact_tuples_returned).
        wal_bytes: WAL that was written meanwhile, by anybody, bytes; None where the server does not tell.
        temp_bytes: temporary files that its transaction wrote, bytes, counted at the transaction's last statement;
            sessions of others in the same database count too (pg_stat_database).
        tag: the server's word for what it did: ``UPDATE``, ``CREATE INDEX``.
        rows: how many rows it changed or read; -1 where the server does not say.
        waited_ms: the longest that anybody waited because of it, over all tries, milliseconds.
        waiters: how many sessions waited because of it.
    """

    index: int
    milliseconds: float
    locks: tuple[tuple[str, str], ...] = ()
    rewritten: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    batches: int = 0
    longest_ms: float = 0.0
    rows_read: tuple[tuple[str, int], ...] = ()
    wal_bytes: int | None = None
    temp_bytes: int = 0
    tag: str = ""
    rows: int = -1
    waited_ms: float = 0.0
    waiters: int = 0

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
            "rows_read": [list(each) for each in self.rows_read],
            "wal_bytes": self.wal_bytes,
            "temp_bytes": self.temp_bytes,
            "tag": self.tag,
            "rows": self.rows,
            "waited_ms": self.waited_ms,
            "waiters": self.waiters,
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
            rows_read=tuple((table, rows) for table, rows in value.get("rows_read", ())),
            wal_bytes=value.get("wal_bytes"),
            temp_bytes=value.get("temp_bytes", 0),
            tag=value.get("tag", ""),
            rows=value.get("rows", -1),
            waited_ms=value.get("waited_ms", 0.0),
            waiters=value.get("waiters", 0),
        )


def temp_bytes(connection: Connection) -> int | None:
    """Bytes of temporary files of this database so far; asked outside of a transaction, or it tells old figures."""
    try:
        connection.execute("select pg_catalog.pg_stat_force_next_flush()")
        row = connection.execute(
            "select temp_bytes from pg_catalog.pg_stat_database where datname = current_database()"
        ).fetchone()
    except psycopg.Error:
        return None  # a figure is not worth a doubt about what was committed: whoever needs the connection will see
    return int(row[0]) if row else None


@dataclass(slots=True)
class Tracer:
    """Watches one connection through one group of statements.

    Attributes:
        connection: what runs the statements.
        watch: opens a second session, for statements outside of transactions; None looks at no lock of theirs.
        knows_wal: whether to ask how much WAL was written; found out, when it is not said.
    """

    connection: Connection
    watch: Callable[[], Connection] | None = None
    knows_wal: bool = True
    names: dict[int, str] = field(default_factory=dict)
    files: dict[int, int] = field(default_factory=dict)
    held: set[tuple[int, str]] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)
    read: dict[int, int] = field(default_factory=dict)

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

    def look(self) -> None:
        """Look once, so that the session knows how when it matters."""
        self._locked()
        self._read()

    def run(self, index: int, sql: str, *, in_transaction: bool) -> StatementTrace:
        """Run one statement and look at what it did."""
        self.notices.clear()
        wal = self._wal()
        sampler = None if in_transaction else self._sampler()
        with sampler or nullcontext():
            started = time.perf_counter()
            cursor = self.connection.execute(sql.encode())
            took = (time.perf_counter() - started) * 1000
        heard = tuple(dict.fromkeys(self.notices))
        written = self._wal()
        locks, rewritten = self._locked() if in_transaction else (self._sampled(sampler), [])
        return StatementTrace(
            index=index,
            milliseconds=round(took, 3),
            locks=tuple(sorted(locks)),
            rewritten=tuple(sorted(set(rewritten))),
            notices=heard,
            rows_read=tuple(sorted(self._read())) if in_transaction else (),
            wal_bytes=max(0, written - wal) if wal is not None and written is not None else None,
            tag=(cursor.statusmessage or "").rstrip(" 0123456789"),
            rows=cursor.rowcount,
        )

    def _locked(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Locks that this statement added to its transaction's, and tables that have another file now."""
        locks: list[tuple[str, str]] = []
        rewritten: list[str] = []
        for oid, mode, file in self.connection.execute(_LOCKS).fetchall():
            if oid not in self.names:
                continue  # made in this very transaction: nobody else can wait for it
            if (oid, mode) not in self.held:
                locks.append((self.names[oid], mode))
                self.held.add((oid, mode))
            # What was dropped has no file, and its lock all the same.
            if file is not None and file != self.files[oid]:
                rewritten.append(self.names[oid])
                self.files[oid] = file
        return locks, rewritten

    def _sampler(self) -> LockSampler | None:
        """A second session that watches; none where there is no room for one: the statement matters more."""
        with suppress(psycopg.Error, OrchestratorError):
            watcher = self.watch() if self.watch is not None else self.connection
            if watcher is not self.connection:
                return LockSampler(watcher, self.connection.info.backend_pid)
        return None

    def _sampled(self, sampler: LockSampler | None) -> list[tuple[str, str]]:
        seen = sampler.seen if sampler is not None else set()
        return [(self.names[oid], mode) for oid, mode in seen if oid in self.names]

    def _read(self) -> list[tuple[str, int]]:
        """Rows read since the last look, by table."""
        found = []
        for oid, rows in self.connection.execute(_READ).fetchall():
            more = rows - self.read.get(oid, 0)
            self.read[oid] = rows
            if more > 0 and oid in self.names:
                found.append((self.names[oid], more))
        return found

    def _wal(self) -> int | None:
        """Where the WAL is, bytes; None on a server that has none of its own (a standby)."""
        if self.knows_wal is False:
            return None
        try:
            with self.connection.transaction():
                row = self.connection.execute(_WAL).fetchone()
        except psycopg.Error:
            if self.connection.broken or self.connection.closed:
                raise
            self.knows_wal = False
            return None
        return int(row[0]) if row else None
