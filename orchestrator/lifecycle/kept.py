"""What outlives previews: JSON values by project, topic and key, beside the diary. Never knows what they mean."""

from collections.abc import Callable, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from orchestrator.database import Connection, lock_key

_TABLE = b"""
create table if not exists preview_control.kept (
    project text not null,
    topic text not null,
    key text not null,
    value jsonb not null,
    primary key (project, topic, key)
)
"""

Values = Mapping[str, Mapping[str, Any]]


class Kept:
    """Values of one project.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
        project: as in the diary's rows.
    """

    def __init__(self, connection: Connection, project: str) -> None:
        self._connection = connection
        self._project = project

    def change(self, topic: str, make: Callable[[Values], Values]) -> Values:
        """Read a topic, and write what is made of it, as one act; two processes take turns.

        Args:
            topic: which values.
            make: from all values by their keys to all that are to stay.

        Returns:
            What stays.
        """
        with self._connection.transaction():
            self._connection.execute(
                "select pg_advisory_xact_lock(%s)", (lock_key("kept", self._project, topic),)
            )
            self._connection.execute(_TABLE)
            rows = self._connection.execute(
                "select key, value from preview_control.kept where project = %s and topic = %s",
                (self._project, topic),
            ).fetchall()
            old: Values = dict(rows)
            new = make(old)
            gone = [key for key in old if key not in new]
            self._connection.execute(
                "delete from preview_control.kept where project = %s and topic = %s and key = any (%s)",
                (self._project, topic, gone),
            )
            changed = [(key, value) for key, value in new.items() if old.get(key) != value]
            with self._connection.cursor() as cursor:
                cursor.executemany(
                    "insert into preview_control.kept (project, topic, key, value) values (%s, %s, %s, %s) "
                    "on conflict (project, topic, key) do update set value = excluded.value",
                    [(self._project, topic, key, Jsonb(dict(value))) for key, value in changed],
                )
        return new
