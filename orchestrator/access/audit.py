"""What was asked of the server, by whom, and whether it was allowed. Only added to: the table refuses the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.access.roles import Caller
from orchestrator.database import Connection
from orchestrator.redaction import clean

_LONGEST = 500
#: What an entry says was asked that is about many requests; its note begins with their number.
_COUNTED = "requests"


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
            (*_caller_columns(caller), *texts),
        )

    def count(self, more: Mapping[tuple[Caller | None, str], int]) -> None:
        """Keep how many more were refused, for an entry about all of them; see `settle`.

        Args:
            more: how many of which caller, or, when nobody is known, from where.
        """
        # In one order, so that two servers that count the same do not wait for each other in a circle.
        rows = sorted(
            (*_caller_columns(caller), clean(source.replace("\0", ""))[:_LONGEST], count)
            for (caller, source), count in more.items()
        )
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into preview_control.refused_more as kept (who, role, token, source, count) "
                "values (%s, %s, %s, %s, %s) on conflict (who, role, token, source) "
                "do update set count = kept.count + excluded.count",
                rows,
            )

    def settle(self, *, older_than_seconds: float) -> None:
        """Make entries of what was counted, by whichever server, since at least so long; each becomes one, once."""
        self._connection.execute(
            "with over as (delete from preview_control.refused_more "
            "where since <= clock_timestamp() - make_interval(secs => %s) returning *) "
            "insert into preview_control.audit (who, role, token, action, object, outcome, note) "
            "select who, role, token, %s, source, 'refused', count || ' more were refused in a short time' "
            "|| case when source = '' and role = '' then ', from several addresses' else '' end from over",
            (older_than_seconds, _COUNTED),
        )

    def refused(self) -> int:
        """How many requests were refused so far, those that were only counted included."""
        row = self._connection.execute(
            "select (select coalesce(sum(case when action = %s then split_part(note, ' ', 1)::bigint else 1 end), 0) "
            "from preview_control.audit where outcome = 'refused') "
            "+ (select coalesce(sum(count), 0) from preview_control.refused_more)",
            (_COUNTED,),
        ).fetchone()
        return int(row[0]) if row else 0

    def read(self, *, before: int | None = None, limit: int = 100) -> tuple[Entry, ...]:
        """The newest entries, newest first; with `before` those that came before that id."""
        rows = self._connection.execute(
            "select id, at, who, role, token, action, object, outcome, note from preview_control.audit "
            "where %s::bigint is null or id < %s order by id desc limit %s",
            (before, before, limit),
        ).fetchall()
        names = ("id", "at", "who", "role", "token", "action", "object", "outcome", "note")
        return tuple(Entry(**dict(zip(names, row, strict=True))) for row in rows)


def _caller_columns(caller: Caller | None) -> tuple[str, str, str]:
    return (caller.who, caller.role.value, caller.token) if caller else ("nobody", "", "")
