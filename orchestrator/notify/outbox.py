"""What is to be said and to whom, in the store: once for each thing and target, until it was taken. Sends nothing."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from orchestrator.database import Connection, lock_key
from orchestrator.lifecycle import Store
from orchestrator.notify.words import Message, expiring, message

#: Events that are written at once may become visible in either order: so many are looked at again.
_SLACK = 500
#: Who begins to follow hears of what happened so shortly before.
_BEFORE = timedelta(minutes=10)
#: Whoever took a message and died is believed dead after so long.
_TAKEN = timedelta(minutes=2)
MOST_ATTEMPTS = 15
_LONGEST_PAUSE = 3600
KEPT_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message on its way to a target.

    Attributes:
        id: rises with time.
        key: see Message.
        target: the target's name in the settings.
        what, name: the message's.
        body: as it is sent.
        state: ``waiting``, ``sent`` or ``given up``.
        attempts: how often it was tried.
        next_at: when it is tried again.
        why: what went wrong the last time.
        created_at, sent_at: UTC.
    """

    id: int
    key: str
    target: str
    what: str
    name: str
    body: Mapping[str, Any]
    state: str
    attempts: int
    next_at: datetime
    why: str
    created_at: datetime
    sent_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """All attributes by name but the body; times in RFC 3339."""
        return {
            "id": self.id,
            "target": self.target,
            "what": self.what,
            "preview": self.name,
            "state": self.state,
            "attempts": self.attempts,
            "why": self.why,
            "created_at": self.created_at.isoformat(),
            "next_at": self.next_at.isoformat() if self.state == "waiting" else None,
            "sent_at": self.sent_at.isoformat() if self.sent_at else None,
        }


class Outbox:
    """The letters of one project.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
        project: as in the diary's rows.
    """

    def __init__(self, connection: Connection, project: str) -> None:
        self._connection = connection
        self._project = project

    def collect(
        self,
        store: Store,
        targets: Mapping[str, tuple[str, frozenset[str]]],
        *,
        hours: float,
        pages: str | None,
    ) -> int:
        """Write a letter for everything that happened since the last look; how many are new.

        Args:
            store: the diary.
            targets: by name: ``webhook`` or ``chat``, and of what it is told.
            hours: how long before its end a preview is said to end.
            pages: where the dashboard is, or None.
        """
        with self._connection.transaction():
            self._connection.execute("select pg_advisory_xact_lock(%s)", (lock_key("notify", self._project),))
            self._connection.execute(
                "insert into preview_control.letter_cursor (project, event_id, since) "
                "values (%s, 0, now() - %s) on conflict do nothing",
                (self._project, _BEFORE),
            )
            row = self._connection.execute(
                "select event_id, since from preview_control.letter_cursor where project = %s",
                (self._project,),
            ).fetchone()
            seen, since = (int(row[0]), row[1]) if row else (0, None)
            events = store.following().after(max(0, seen - _SLACK), most=5000)
            found = [
                said
                for event in events
                if event.project == self._project and (since is None or event.at >= since)
                if (said := message(event)) is not None
            ]
            found += self._expiring(store, hours)
            added = sum(self._add(said, targets, pages) for said in found)
            self._connection.execute(
                "update preview_control.letter_cursor set event_id = greatest(event_id, %s) where project = %s",
                (max((event.id for event in events), default=0), self._project),
            )
            self._connection.execute(
                "delete from preview_control.letter where state <> 'waiting' "
                "and created_at < now() - make_interval(days => %s)",
                (KEPT_DAYS,),
            )
        return added

    def _expiring(self, store: Store, hours: float) -> Iterable[Message]:
        for preview in store.live():
            if preview.project != self._project or preview.expires_at is None:
                continue
            left = (preview.expires_at - datetime.now(preview.expires_at.tzinfo)).total_seconds()
            said = expiring(preview)
            if said is not None and 0 < left <= hours * 3600:
                yield said

    def _add(
        self, said: Message, targets: Mapping[str, tuple[str, frozenset[str]]], pages: str | None
    ) -> int:
        added = 0
        for target, (kind, wanted) in targets.items():
            if said.what in wanted:
                added += self._connection.execute(
                    "insert into preview_control.letter (project, key, target, what, name, body) "
                    "values (%s, %s, %s, %s, %s, %s) on conflict (project, target, key) do nothing",
                    (self._project, said.key, target, said.what, said.name, Jsonb(said.body(kind, pages))),
                ).rowcount
        return added

    def take(self, *, but: Collection[str] = ()) -> Letter | None:
        """The next letter that is due, for this process; None: none is.

        Whoever takes it and dies gives it back by that: at least once, and the key tells who gets it twice.

        Args:
            but: targets whose letters wait.
        """
        found = self._rows(
            "update preview_control.letter set attempts = attempts + 1, "
            "next_at = now() + %s where id = ("
            "select id from preview_control.letter where project = %s and state = 'waiting' and next_at <= now() "
            "and target <> all (%s) order by next_at, id limit 1 for update skip locked) returning *",
            (_TAKEN, self._project, list(but)),
        )
        return found[0] if found else None

    def sent(self, letter: Letter) -> None:
        """It was taken."""
        self._connection.execute(
            "update preview_control.letter set state = 'sent', sent_at = now(), why = '' where id = %s",
            (letter.id,),
        )

    def not_sent(self, letter: Letter, why: str, *, again: bool) -> None:
        """It was not; later, with growing pauses, or never."""
        pause = min(_LONGEST_PAUSE, 2 ** min(letter.attempts, 12))
        on = again and letter.attempts < MOST_ATTEMPTS
        self._connection.execute(
            "update preview_control.letter set state = %s, why = %s, "
            "next_at = now() + make_interval(secs => %s * (0.75 + random() / 2)) where id = %s",
            ("waiting" if on else "given up", why[:500], pause, letter.id),
        )

    def all(self, *, most: int = 100) -> tuple[Letter, ...]:
        """The newest letters, newest first."""
        return self._rows(
            "select * from preview_control.letter where project = %s order by id desc limit %s",
            (self._project, most),
        )

    def again(self) -> int:
        """Try those once more that were given up; how many."""
        return self._connection.execute(
            "update preview_control.letter set state = 'waiting', attempts = 0, next_at = now() "
            "where project = %s and state = 'given up'",
            (self._project,),
        ).rowcount

    def _rows(self, query: str, parameters: tuple[object, ...]) -> tuple[Letter, ...]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query.encode(), parameters).fetchall()
        return tuple(Letter(**{name: row[name] for name in Letter.__dataclass_fields__}) for row in rows)
