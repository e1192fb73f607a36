"""When previews were last asked for, in the store. Never knows who asked, nor what for."""

from collections.abc import Mapping
from datetime import datetime

from orchestrator.database import Connection


class Visits:
    """The store's visits.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, asked: Mapping[str, datetime]) -> None:
        """Remember times by preview id; an earlier one than is known, or of a preview that is gone, changes nothing."""
        self._connection.execute(
            "insert into preview_control.visit (preview_id, asked_at) "
            "select id, at from unnest(%s::text[], %s::timestamptz[]) as new (id, at) "
            "where exists (select from preview_control.preview where preview.id = new.id) "
            "on conflict (preview_id) do update set asked_at = greatest(visit.asked_at, excluded.asked_at)",
            (list(asked), list(asked.values())),
        )

    def last(self) -> Mapping[str, datetime]:
        """The last time of each preview that was ever asked for."""
        return dict(
            self._connection.execute("select preview_id, asked_at from preview_control.visit").fetchall()
        )
