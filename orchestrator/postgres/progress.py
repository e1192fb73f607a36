"""Progress: how far a statement is, as the server's progress views tell, in thousandths. Only reads.

Validations and rewrites have no such view: there the rehearsal's time is the measure.
"""

from typing import Any

from orchestrator.database import Connection

#: How much of the whole each phase of CREATE INDEX is, in order, in thousandths (Postgres docs, 28.4.4). Where it waits
#: for others it stands still.
_INDEX = (
    ("initializing", 0, 0),
    ("waiting for writers before build", 0, 0),
    ("building index: scanning table", 0, 450),
    ("building index: sorting live tuples", 450, 500),
    ("building index: loading tuples in tree", 500, 600),
    ("building index", 0, 600),
    ("waiting for writers before validation", 600, 600),
    ("index validation: scanning index", 600, 700),
    ("index validation: sorting tuples", 700, 720),
    ("index validation: scanning table", 720, 990),
    ("waiting for old snapshots", 990, 990),
    ("waiting for readers before marking dead", 990, 990),
    ("waiting for readers before dropping", 990, 990),
)
_VIEWS = """
select 'index', phase, blocks_done, blocks_total, tuples_done, tuples_total
from pg_catalog.pg_stat_progress_create_index where pid = %(pid)s
union all select 'copy', '', bytes_processed, bytes_total, 0, 0
from pg_catalog.pg_stat_progress_copy where pid = %(pid)s
union all select 'cluster', phase, heap_blks_scanned, heap_blks_total, 0, 0
from pg_catalog.pg_stat_progress_cluster where pid = %(pid)s
union all select 'vacuum', phase, heap_blks_scanned, heap_blks_total, 0, 0
from pg_catalog.pg_stat_progress_vacuum where pid = %(pid)s
union all select 'analyze', phase, sample_blks_scanned, sample_blks_total, 0, 0
from pg_catalog.pg_stat_progress_analyze where pid = %(pid)s
"""


def progress_of(connection: Connection, pid: int) -> int | None:
    """How far the backend's command is, 0 to 1000; None where the server does not say."""
    row = connection.execute(_VIEWS, {"pid": pid}).fetchone()
    return thousandths(row) if row else None


def thousandths(row: tuple[Any, ...]) -> int | None:
    """The same, from a row: (view, phase, blocks done, blocks in all, tuples done, tuples in all)."""
    view, phase, done, total, tuples, tuples_total = row
    part = _part(done, total)
    if view != "index":
        return None if part is None else int(1000 * part)
    for name, low, high in _INDEX:
        if str(phase).startswith(name):
            if part is None or "sorting" in name or "loading" in name:
                part = _part(tuples, tuples_total)
            return low + int((high - low) * (part or 0.0))
    return None


def _part(done: int | None, total: int | None) -> float | None:
    return min(1.0, (done or 0) / total) if total else None


def by_time(elapsed_ms: float, expected_ms: float) -> int:
    """How far a statement is that took so long in the rehearsal; it is never said to be done."""
    return int(min(990.0, 1000 * elapsed_ms / max(expected_ms, 1.0)))
