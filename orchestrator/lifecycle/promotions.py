"""Promotions and reverts in PostgreSQL, only ever appended to. Never knows what plans, Neon or images are.

A promotion is a row that does not change and events that tell what happened; its state is read from them.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from orchestrator.database import Connection
from orchestrator.errors import UnknownPromotion
from orchestrator.lifecycle.record import Happened

_COLUMNS = "id, number, project, preview_id, preview_name, kind, reverts, who, at, facts"
#: Which kinds of events move a promotion, and to what; others only tell.
_STATES = {
    "begun": "running",
    "resumed": "running",
    "done": "done",
    "failed": "failed",
    "refused": "refused",
    "superseded": "superseded",
}
#: What the preview's own story tells of a revert: production is changed, though the preview is long gone.
_TOLD = {"done": "reverted", "failed": "revert failed"}
#: Kinds whose last event's detail is an attribute of the promotion.
_PARTS = ("restore_point", "proof", "release", "kept_aside")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionEvent(Happened):
    """Something that happened in a promotion.

    Attributes:
        kind: ``begun``, ``restore_point``, ``applying``, ``statement``, ``waiting``, ``applied``, ``proof``,
            ``release``, ``kept_aside``, ``done``, ``failed``, ``refused``, ``resumed``, ``superseded``, ...
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One promotion, or one revert of a promotion, with what happened in it.

    Attributes:
        id: eight hexadecimal characters; names of what it leaves behind are derived from it.
        number: rises with time.
        project: which Neon project, as ``where/project-id``.
        preview_id, preview_name: what was promoted.
        kind: ``promotion`` or ``revert``.
        reverts: the id of the promotion that a revert takes back.
        who: who asked for it.
        at: when it began, UTC.
        facts: what it was begun with, JSON: approval, plan, answers, image.
        events: what happened, oldest first.
    """

    id: str
    number: int
    project: str
    preview_id: str
    preview_name: str
    kind: str
    reverts: str | None
    who: str
    at: datetime
    facts: Mapping[str, Any]
    events: tuple[PromotionEvent, ...] = field(default=(), repr=False)

    @property
    def slug(self) -> str:
        """The derived part of every name: ``NAME-PREVIEWID-PROMOTIONID``."""
        return f"{self.preview_name}-{self.preview_id}-{self.id}"

    @property
    def state(self) -> str:
        """``running``, ``done``, ``failed``, ``refused`` (nothing was done) or ``superseded`` (by a rebase)."""
        return next((_STATES[each.kind] for each in reversed(self.events) if each.kind in _STATES), "running")

    @property
    def ended_at(self) -> datetime | None:
        """When it came to rest; None while it runs."""
        last = next((each for each in reversed(self.events) if each.kind in _STATES), None)
        return last.at if last is not None and self.state != "running" else None

    def last(self, kind: str) -> Mapping[str, Any] | None:
        """What the last event of a kind tells, or None."""
        return next((each.detail for each in reversed(self.events) if each.kind == kind), None)

    @property
    def touched(self) -> bool:
        """Whether a statement of it may have reached main."""
        return any(each.kind == "applying" for each in self.events)

    @property
    def database(self) -> str | None:
        """The database that it changed; None where nobody wrote that down, or it changed none."""
        found = (self.last("applying") or {}).get("database")
        return str(found) if found else None

    @property
    def ended(self) -> bool:
        """Whether it came to its end, whatever was said of it later."""
        return any(each.kind == "done" for each in self.events)

    @property
    def plan(self) -> Mapping[str, Any]:
        """The approved plan, JSON, as it was rehearsed."""
        return dict(self.facts.get("plan") or {})

    @property
    def statements(self) -> tuple[Mapping[str, Any], ...]:
        """Each statement that ran, with its times, tries and locks."""
        return tuple(each.detail for each in self.events if each.kind == "statement")

    def to_json(self) -> dict[str, Any]:
        """Everything but the snapshots that it carries for the way back."""
        return {
            "id": self.id,
            "number": self.number,
            "project": self.project,
            "preview": self.preview_name,
            "preview_id": self.preview_id,
            "database": self.database,
            "kind": self.kind,
            "reverts": self.reverts,
            "state": self.state,
            "who": self.who,
            "asked_by": self.facts.get("asked_by"),
            "at": self.at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            **{name: self.facts.get(name) for name in ("approval", "plan", "answers", "image", "report")},
            "statements": [dict(each) for each in self.statements],
            **{part: self.last(part) for part in _PARTS},
            "losses": list(self.facts.get("losses") or ()),
            "events": [each.to_json() for each in self.events],
        }


class Promotions:
    """The promotions of one project.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
        project: as in the diary's rows; None: of all projects, to read only.
        who: says who is written into every event: who asked for a worker's job is known only after this is made.
    """

    def __init__(self, connection: Connection, project: str | None, *, who: Callable[[], str]) -> None:
        self._connection = connection
        self._project = project
        self._who = who

    # reading

    def get(self, promotion_id: str) -> Promotion:
        """The promotion with this id.

        Raises:
            UnknownPromotion: the project has none.
        """
        found = self._where("id = %s", (promotion_id,))
        if not found:
            latest = [each.id for each in self.all()[-5:]]
            raise UnknownPromotion(
                f"there is no promotion {promotion_id!r}",
                hint=f"the latest: {', '.join(latest)}" if latest else "nothing was promoted yet",
            )
        return found[0]

    def all(self) -> tuple[Promotion, ...]:
        """Every promotion and revert, oldest first."""
        return self._where("true", ())

    def of_preview(self, preview_id: str) -> tuple[Promotion, ...]:
        """The promotions of a preview, and their reverts, oldest first."""
        return self._where("preview_id = %s", (preview_id,))

    def running(self, pid: int) -> Promotion | None:
        """The one that has main by a session with this server process, as far as this diary knows; or None."""
        found = self._where(
            "id = (select promotion_id from preview_control.promotion_event "
            "where kind = 'locked' and (detail ->> 'pid')::bigint = %s order by id desc limit 1)",
            (pid,),
        )
        return found[0] if found and found[0].state == "running" else None

    def revert_of(self, promotion_id: str) -> Promotion | None:
        """The last revert of a promotion that touched main or still runs, or None; not one that it went on after."""
        found = self._where("reverts = %s", (promotion_id,))
        gone = ("refused", "superseded")
        return next((each for each in reversed(found) if each.state not in gone), None)

    def last(self, promotion_id: str) -> int:
        """The number of the newest event of a promotion and of what took it back; 0 when there is none."""
        row = self._connection.execute(
            "select coalesce(max(e.id), 0) from preview_control.promotion_event e "
            "join preview_control.promotion p on p.id = e.promotion_id where %s in (p.id, p.reverts)",
            (promotion_id,),
        ).fetchone()
        return int(row[0]) if row else 0

    def carried(self, promotion_id: str, name: str) -> Mapping[str, Any] | None:
        """A value that was carried along, or None."""
        row = self._connection.execute(
            "select value from preview_control.promotion_carried where promotion_id = %s and name = %s",
            (promotion_id, name),
        ).fetchone()
        return row[0] if row else None

    def _where(self, condition: str, parameters: tuple[object, ...]) -> tuple[Promotion, ...]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                f"select {_COLUMNS} from preview_control.promotion "  # noqa: S608 - constants of this module
                f"where (%s::text is null or project = %s) and {condition} order by number",
                (self._project, self._project, *parameters),
            ).fetchall()
            events = cursor.execute(
                "select promotion_id, at, who, kind, note, milliseconds, detail "
                "from preview_control.promotion_event where promotion_id = any (%s) order by id",
                ([row["id"] for row in rows],),
            ).fetchall()
        found: dict[str, list[PromotionEvent]] = {row["id"]: [] for row in rows}
        for event in events:
            found[event.pop("promotion_id")].append(PromotionEvent(**event))
        return tuple(Promotion(**row, events=tuple(found[row["id"]])) for row in rows)

    # writing

    def begin(
        self,
        *,
        preview_id: str,
        preview_name: str,
        facts: Mapping[str, Any],
        reverts: str | None = None,
        note: str = "",
    ) -> Promotion:
        """A new promotion, or the revert of one: the intent, before the first effect."""
        promotion_id = secrets.token_hex(4)
        with self._connection.transaction():
            self._connection.execute(
                "insert into preview_control.promotion "
                "(id, project, preview_id, preview_name, kind, reverts, who, facts) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    promotion_id,
                    self._project,
                    preview_id,
                    preview_name,
                    "revert" if reverts else "promotion",
                    reverts,
                    self._who(),
                    Jsonb(dict(facts)),
                ),
            )
            self.record(promotion_id, "begun", note=note)
        return self.get(promotion_id)

    def record(
        self,
        promotion_id: str,
        kind: str,
        *,
        note: str = "",
        detail: Mapping[str, Any] | None = None,
        milliseconds: float | None = None,
    ) -> None:
        """Append what happened; never changes what was told before."""
        with self._connection.transaction():
            self._connection.execute(
                "insert into preview_control.promotion_event (promotion_id, who, kind, note, milliseconds, detail) "
                "values (%s, %s, %s, %s, %s, %s)",
                (promotion_id, self._who(), kind, note, milliseconds, Jsonb(dict(detail or {}))),
            )
            if kind in _TOLD:
                self._connection.execute(
                    "insert into preview_control.event (preview_id, who, kind, state, note) "
                    "select p.id, %s, %s, p.state, %s from preview_control.promotion r "
                    "join preview_control.preview p on p.id = r.preview_id where r.id = %s and r.kind = 'revert'",
                    (self._who(), _TOLD[kind], note or f"by revert {promotion_id}", promotion_id),
                )

    def together(self) -> AbstractContextManager[object]:
        """A block whose writes to the diary are one act."""
        return self._connection.transaction()

    def carry(self, promotion_id: str, name: str, value: Mapping[str, Any]) -> None:
        """Keep what the way back needs; what is there already stays as it is."""
        self._connection.execute(
            "insert into preview_control.promotion_carried (promotion_id, name, value) values (%s, %s, %s) "
            "on conflict do nothing",
            (promotion_id, name, Jsonb(dict(value))),
        )
