"""Who waits for a turn on a project's production, in the order in which they came. Never knows what they will do.

A place is a row and a session advisory lock: whoever dies in the line is passed over.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from orchestrator.database import Connection, lock_key

# A session advisory lock as pg_locks shows it (Postgres docs, 54.12: a bigint key is two oids).
_HELD = """
select distinct (l.classid::bigint << 32) | l.objid::bigint from pg_catalog.pg_locks l
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
"""


class Line:
    """The line before one project's production.

    Args:
        connection: an autocommit, direct connection to the store's database; kept open while one waits.
        project: as in the diary's rows.
        who: the person and machine.
    """

    def __init__(self, connection: Connection, project: str, *, who: str) -> None:
        self._connection = connection
        self._project = project
        self._who = who

    @contextmanager
    def place(self, purpose: str) -> Iterator[int]:
        """Stand in the line for a block; yields the place's number.

        Args:
            purpose: what for, in words: ``promote pr-1``.
        """
        with self._connection.transaction():
            row = self._connection.execute(
                "insert into preview_control.promotion_line (project, purpose, who) values (%s, %s, %s) returning id",
                (self._project, purpose, self._who),
            ).fetchone()
            assert row is not None  # noqa: S101 - INSERT ... RETURNING gives one
            number = int(row[0])
            # Before anybody sees the row, or they would take it for one whose owner has died.
            self._connection.execute("select pg_advisory_lock(%s)", (self._key(number),))
        try:
            yield number
        finally:
            try:
                self._connection.execute(
                    "delete from preview_control.promotion_line where id = %s", (number,)
                )
                self._connection.execute("select pg_advisory_unlock(%s)", (self._key(number),))
            except psycopg.OperationalError:
                # The session is gone and the lock with it; whatever ended the block says what happened.
                if not self._connection.closed:
                    raise

    def ahead(self, number: int) -> str:
        """Who came before and still waits (or works), in words; empty when it is this one's turn."""
        rows = self._connection.execute(
            "select id, purpose, who, at from preview_control.promotion_line "
            "where project = %s and id < %s order by id",
            (self._project, number),
        ).fetchall()
        if not rows:
            return ""
        held = {key for (key,) in self._connection.execute(_HELD).fetchall()}
        gone = [row[0] for row in rows if self._key(row[0]) not in held]
        self._connection.execute("delete from preview_control.promotion_line where id = any (%s)", (gone,))
        first = next((row for row in rows if row[0] not in gone), None)
        return f"{first[1]} by {first[2]}, in line since {first[3]:%H:%M:%S}" if first else ""

    def _key(self, number: int) -> int:
        return lock_key("line", self._project, str(number))
