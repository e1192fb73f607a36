"""Previews at a glance, for whoever looks many times a second: what is cheap to read. Changes nothing."""

from dataclasses import dataclass

from orchestrator.database import Connection
from orchestrator.lifecycle.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A live preview in a few words.

    Attributes:
        id: of the preview.
        name: its name.
        state: reached.
        url: of its app on this machine, or None.
        sleeping: whether its app is stopped until somebody asks.
        error: what went wrong last, if anything.
    """

    id: str
    name: str
    state: State
    url: str | None
    sleeping: bool
    error: str | None


class Looks:
    """Looks at the store's live previews.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def version(self) -> str:
        """Another value whenever a live preview came, changed or went."""
        row = self._connection.execute(
            "select coalesce(md5(string_agg(id || updated_at::text, ',' order by id)), '') "
            "from preview_control.preview where state <> 'closed' and not shadow"
        ).fetchone()
        return str(row[0]) if row else ""

    def all(self) -> tuple[Glance, ...]:
        """Every live preview. Unpacks all facts, which are large: ask for the version first."""
        rows = self._connection.execute(
            "select id, name, state, facts ->> 'url', facts ->> 'sleeping_since', error ->> 'message' "
            "from preview_control.preview where state <> 'closed' and not shadow order by created_at, id"
        ).fetchall()
        return tuple(
            Glance(
                id=preview_id,
                name=name,
                state=State(state),
                url=url,
                sleeping=since is not None,
                error=error,
            )
            for preview_id, name, state, url, since, error in rows
        )
