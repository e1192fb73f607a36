"""The server's rows in SQLite: add, read, change, remove. Knows no process and no API."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

from neon_embedded.errors import HomeUnusable
from neon_embedded.rows import Row, now

R = TypeVar("R", bound=Row)

_KEPT_OPERATIONS: Final = 10_000

#: What each version of the file added; its number is in ``user_version``. Never change one: append.
_STEPS: Final = (
    """
create table projects (
    id text primary key, name text not null, pg_version integer not null, state text not null,
    history_retention_seconds integer not null, settings text not null, created_at text not null,
    updated_at text not null) strict;
create table branches (
    id text primary key, project_id text not null references projects on delete cascade, name text not null,
    parent_id text, parent_lsn text, is_default integer not null, protected integer not null, state text not null,
    annotations text not null, expires_at text, created_at text not null, updated_at text not null,
    unique (project_id, name)) strict;
create table endpoints (
    id text primary key, project_id text not null, branch_id text not null unique references branches on delete cascade,
    port integer not null unique, state text not null, settings text not null,
    suspend_timeout_seconds integer not null, min_cu real not null, max_cu real not null, disabled integer not null,
    created_at text not null, updated_at text not null) strict;
create table roles (
    branch_id text not null references branches on delete cascade, name text not null, password text not null,
    no_login integer not null, created_at text not null, updated_at text not null,
    primary key (branch_id, name)) strict;
create table databases (
    id integer primary key, branch_id text not null references branches on delete cascade, name text not null,
    owner_name text not null, created_at text not null, updated_at text not null, unique (branch_id, name)) strict;
create table operations (
    id text primary key, project_id text not null, action text not null, status text not null, branch_id text,
    endpoint_id text, error text, created_at text not null, updated_at text not null) strict;
create index on_project on operations (project_id);
""",
    """
alter table branches add column timeline text not null default '';
update branches set timeline = id;
alter table branches add column init_source text not null default 'parent-data';
alter table branches add column parent_timestamp text;
alter table branches add column last_reset_at text;
alter table branches add column restored_from text;
alter table branches add column restored_as text;
alter table branches add column restore_status text;
alter table branches add column backup_schedule text not null default '{}';
create table bases (
    id text primary key, timeline text not null, start_lsn text not null, stop_lsn text not null,
    taken_at text not null, created_at text not null, updated_at text not null) strict;
create index on_timeline on bases (timeline);
create table snapshots (
    id text primary key, project_id text not null references projects on delete cascade, name text not null,
    state text not null, source_branch_id text, lsn text, timestamp text, expires_at text, manual integer not null,
    full_size integer, created_at text not null, updated_at text not null) strict;
""",
    """
alter table endpoints add column tls_port integer not null default 0;
""",
    """
alter table branches add column spares integer;
create table spares (
    id text primary key, project_id text not null, timeline text not null, port integer not null,
    source_port integer not null, boot text not null, state text not null, created_at text not null,
    updated_at text not null) strict;
""",
    """
alter table branches add column awake_seconds real not null default 0;
""",
)
_VERSION: Final = len(_STEPS)


class Store:
    """The rows. One connection, one statement at a time; a transaction holds the others off.

    Column names come from the row classes only, values are always bound.
    """

    def __init__(self, path: Path) -> None:
        """Open or create. Raises HomeUnusable."""
        path.touch(mode=0o600)
        self._lock: Final = threading.RLock()
        try:
            self._connection: Final = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=30
            )
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = full")
            self._connection.execute("pragma foreign_keys = on")
            (version,) = self._connection.execute("pragma user_version").fetchone()
            for number, step in enumerate(_STEPS[version:], version + 1):
                self._connection.executescript(f"begin; {step} pragma user_version = {number}; commit;")
        except sqlite3.Error as error:
            raise HomeUnusable(
                f"{path} cannot be opened: {error}", hint="is it the disk, or another program?"
            ) from None
        if version > _VERSION:
            raise HomeUnusable(
                f"{path} was written by a newer version ({version}, this one knows {_VERSION})",
                hint="use the newer version of neon_embedded, or another PREVIEW_HOME",
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; may be nested, the outermost counts."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def add(self, *rows: Row) -> None:
        """Insert rows, all or none."""
        with self.transaction():
            for row in rows:
                values = {each.name: _to_sql(getattr(row, each.name)) for each in fields(row)}  # type: ignore[arg-type]
                self._run(f"insert into {row.table} ({', '.join(values)}) values ({_marks(values)})", values)  # noqa: S608

    def one(self, kind: type[R], **where: Any) -> R | None:
        """The row with these values, or None."""
        return next(iter(self.all(kind, **where)), None)

    def all(self, kind: type[R], **where: Any) -> list[R]:
        """The rows with these values, oldest first."""
        found = self._run(f"select * from {kind.table}{_where(where)} order by rowid", where)  # noqa: S608
        return [_from_sql(kind, row) for row in found]

    def change(self, kind: type[Row], key: dict[str, Any], **values: Any) -> None:
        """Set values in the rows with ``key``, and their ``updated_at``."""
        given = {f"new_{name}": _to_sql(value) for name, value in {"updated_at": now(), **values}.items()}
        sets = ", ".join(f"{name.removeprefix('new_')} = :{name}" for name in given)
        self._run(f"update {kind.table} set {sets}{_where(key)}", {**given, **key})  # noqa: S608

    def remove(self, kind: type[Row], **where: Any) -> None:
        """Delete the rows with these values, and what hangs on them."""
        self._run(f"delete from {kind.table}{_where(where)}", where)  # noqa: S608

    def next_database_id(self) -> int:
        """An id for a new database row."""
        (((highest),),) = self._run("select coalesce(max(id), 0) from databases", {})
        return int(highest) + 1

    def forget_old_operations(self) -> None:
        """Keep the newest operations only."""
        self._run(
            "delete from operations where rowid <= (select max(rowid) from operations) - :kept",
            {"kept": _KEPT_OPERATIONS},
        )

    def _run(self, sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            cursor = self._connection.execute(sql, values)
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
            return (
                rows
                if not sql.startswith("select *")
                else [tuple(zip(names, row, strict=True)) for row in rows]
            )


def _where(values: dict[str, Any]) -> str:
    return f" where {' and '.join(f'{name} is :{name}' for name in values)}" if values else ""


def _marks(values: dict[str, Any]) -> str:
    return ", ".join(f":{name}" for name in values)


def _to_sql(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def _from_sql(kind: type[R], row: tuple[Any, ...]) -> R:
    kinds = {each.name: str(each.type) for each in fields(kind)}  # type: ignore[arg-type]
    values = dict(row)
    for name, value in values.items():
        if kinds[name].startswith("dict"):
            values[name] = json.loads(value)
        elif kinds[name] in {"bool", "<class 'bool'>"}:
            values[name] = bool(value)
    return kind(**values)
