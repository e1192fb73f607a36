"""The diary's events for whoever follows them from outside: live pages, words to others. Only reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from orchestrator.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An event with what it is about.

    Attributes:
        id: rises with time; two that are written at once may become visible in either order.
        at: UTC.
        project, preview_id, name, created_by: the preview's.
        who, kind, state, note, detail: the event's; see `lifecycle.Event`.
        promoted: whether the preview is on production.
        shadow: whether another is the preview of this name; see `lifecycle.Preview`.
    """

    id: int
    at: datetime
    project: str
    preview_id: str
    name: str
    created_by: str
    who: str
    kind: str
    state: str
    note: str
    detail: Mapping[str, Any]
    promoted: bool = False
    shadow: bool = False


class Following:
    """Events by their number.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def last(self, preview_id: str | None = None) -> int:
        """The number of the newest event, of one preview or of all; 0 when there is none."""
        row = self._connection.execute(
            "select coalesce(max(id), 0) from preview_control.event where %s::text is null or preview_id = %s",
            (preview_id, preview_id),
        ).fetchone()
        return int(row[0]) if row else 0

    def after(self, number: int, *, most: int = 500) -> tuple[Followed, ...]:
        """Events with a higher number, oldest first."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "select e.id, e.at, p.project, p.id as preview_id, p.name, p.created_by, "
                "e.who, e.kind, e.state, e.note, e.detail, p.facts ? 'promotion' as promoted, p.shadow "
                "from preview_control.event e join preview_control.preview p on p.id = e.preview_id "
                "where e.id > %s order by e.id limit %s",
                (number, most),
            ).fetchall()
        return tuple(Followed(**row) for row in rows)
