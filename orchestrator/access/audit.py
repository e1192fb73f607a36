"""What was asked of the server, by whom, and whether it was allowed. Only added to: the table refuses the rest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.access.roles import Caller
from orchestrator.database import Connection
from orchestrator.redaction import clean

_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was asked.

    Attributes:
        id: grows with time.
        at: UTC.
        who, role, token: the caller; ``nobody`` when no token of ours was shown.
        action: what was asked: a verb, ``token create``, ``METHOD /path``.
        object: of what, for example a preview's name.
        outcome: ``allowed``, ``refused``, ``failed``.
        note: why not, or with what.
    """

    id: int
    at: datetime
    who: str
    role: str
    token: str
    action: str
    object: str
    outcome: str
    note: str

    def to_json(self) -> dict[str, Any]:
        """All attributes by name; ``at`` in RFC 3339."""
        names = ("id", "who", "role", "token", "action", "object", "outcome", "note")
        return {**{name: getattr(self, name) for name in names}, "at": self.at.isoformat()}


class Audit:
    """The store's audit.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(
        self, caller: Caller | None, action: str, *, on: str = "", outcome: str, note: str = ""
    ) -> None:
        """Add an entry; texts are cut to a bearable length, and what looks like a secret is hidden."""
        texts = [clean(text.replace("\0", ""))[:_LONGEST] for text in (action, on, outcome, note)]
        self._connection.execute(
            "insert into preview_control.audit (who, role, token, action, object, outcome, note) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            (
                *((caller.who, caller.role.value, caller.token) if caller else ("nobody", "", "")),
                *texts,
            ),
        )

    def read(self, *, before: int | None = None, limit: int = 100) -> tuple[Entry, ...]:
        """The newest entries, newest first; with `before` those that came before that id."""
        rows = self._connection.execute(
            "select id, at, who, role, token, action, object, outcome, note from preview_control.audit "
            "where %s::bigint is null or id < %s order by id desc limit %s",
            (before, before, limit),
        ).fetchall()
        names = ("id", "at", "who", "role", "token", "action", "object", "outcome", "note")
        return tuple(Entry(**dict(zip(names, row, strict=True))) for row in rows)
