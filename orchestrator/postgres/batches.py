"""Batches: a statement that changes every row of a table, block range by block range, each range committed.

Only ``apply`` calls this. It knows nothing of plans. Where it stopped is remembered between two tries only; another
process begins anew, because a statement of this form passes over what it has changed already.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg import errors

from orchestrator.database import Connection
from orchestrator.migration.plan import Statement
from orchestrator.postgres.load import Load
from orchestrator.postgres.trace import StatementTrace

#: How long one batch shall hold its row locks, milliseconds: whoever writes one of these rows waits that long.
TARGET_MS = 30.0

#: A batch that is not done after this long is given up and halved, milliseconds.
_PATIENCE_MS = 80

#: Blocks of a batch: the first, the least (which has no time limit) and the most.
_FIRST, _LEAST, _MOST = 4, 1, 512

#: How often a table is gone through at most: until a pass finds nothing to do, and none was moved under it.
_PASSES = 6


@dataclass(slots=True)
class Place:
    """Where a run over a table stopped; whoever tries again goes on there while the table's file is the same.

    Attributes:
        file: the files of the table and of those below it.
        block: the first block that is not done.
        changed: rows changed in this turn through the table.
    """

    file: list[int | None] = field(default_factory=list)
    block: int = 0
    changed: int = 0


def in_batches(
    connection: Connection,
    index: int,
    statement: Statement,
    progress: Callable[[int, int], None],
    *,
    place: Place | None = None,
    waited: Callable[[], float] = lambda: 0.0,
    pause: Callable[[float], None] = time.sleep,
) -> StatementTrace:
    """Run a statement over all blocks of its table until it finds nothing to do.

    Args:
        connection: in autocommit mode.
        index: the statement's place in its plan.
        statement: with ``by_blocks``.
        progress: told (blocks done, blocks in all) after each batch.
        place: where an earlier try stopped; kept up to date.
        waited: the longest that others have waited because of it so far, milliseconds.
        pause: sleeps that many seconds.

    Raises:
        psycopg.errors.LockNotAvailable: somebody holds a row for longer than the statement's lock_timeout.
        psycopg.errors.ObjectNotInPrerequisiteState: the table was moved again and again.
        psycopg.Error: whatever else the server said; batches before it are committed.
    """
    started = time.perf_counter()
    batches, rows, longest, settled = 0, 0, 0.0, False
    place, load = place or Place(), Load(waited)
    for _ in range(_PASSES):
        file, blocks = _extent(connection, statement.by_blocks)
        if place.file != file:
            place.file, place.block, place.changed = file, 0, 0
        width = _FIRST
        while place.block < blocks:
            upto = min(place.block + width, blocks)
            before = time.perf_counter()
            done = _one(connection, statement, place.block, upto, limited=width > _LEAST)
            took = (time.perf_counter() - before) * 1000
            if done is None:
                width = max(width // 4, _LEAST)
                continue
            batches, longest = batches + 1, max(longest, took)
            place.block, place.changed = upto, place.changed + done
            width = int(min(max(width * min(TARGET_MS / max(took, 0.1), 2), _LEAST), _MOST))
            progress(place.block, blocks)
            if done and (seconds := load.pause(connection, took)):
                width = max(width // 2, _LEAST)
                pause(seconds)
        changed, place.block, place.changed = place.changed, 0, 0
        rows += changed
        # A row that its writer changed meanwhile may have moved behind us: only a pass without work is the end.
        settled = _extent(connection, statement.by_blocks)[0] == file
        if settled and not changed:
            break
    if not settled:
        raise errors.ObjectNotInPrerequisiteState(
            f"{statement.by_blocks} was moved (VACUUM FULL, CLUSTER) while its rows were changed in batches"
        )
    return StatementTrace(
        index=index,
        milliseconds=round((time.perf_counter() - started) * 1000, 3),
        locks=((statement.by_blocks, "RowExclusiveLock"),),
        notices=(f"{rows:,} rows in {batches:,} batches, the longest {longest:.0f} ms",),
        batches=batches,
        longest_ms=round(longest, 3),
    )


#: The table and what is below it: a range of blocks is taken from all of them at once.
_EXTENT = """
with recursive tree as (
    select %s::regclass::oid as oid
    union select i.inhrelid from pg_catalog.pg_inherits i join tree on i.inhparent = tree.oid
)
select pg_catalog.array_agg(pg_catalog.pg_relation_filenode(oid)::int8 order by oid),
       coalesce(pg_catalog.max(pg_catalog.pg_relation_size(oid)), 0)::int8
       / pg_catalog.current_setting('block_size')::int8
from tree
"""


def _extent(connection: Connection, table: str) -> tuple[list[int | None], int]:
    """The files, which are others after VACUUM FULL or CLUSTER, and the blocks of the longest."""
    row = connection.execute(_EXTENT, (table,)).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return row[0], row[1]


def _one(connection: Connection, statement: Statement, first: int, upto: int, *, limited: bool) -> int | None:
    """One batch; how many rows it changed, or None when it took too long and was given up."""
    text = f"{statement.sql} AND ctid >= '({first},0)'::tid AND ctid < '({upto},0)'::tid"
    try:
        with connection.transaction():
            if limited:  # for this transaction only: no other statement shall run into it
                connection.execute(
                    "select pg_catalog.set_config('statement_timeout', %s, true)", (f"{_PATIENCE_MS}ms",)
                )
            return connection.execute(text.encode()).rowcount
    except errors.QueryCanceled:
        if limited:
            return None
        raise
