"""The diary's rows in PostgreSQL: each change of a row and its event in one transaction, one lease per preview.

Never knows what the facts mean.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any, cast

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from orchestrator.database import Connection, lock_key, try_advisory_lock
from orchestrator.errors import Busy, NameTaken, OrchestratorError, UnknownPreview
from orchestrator.lifecycle.following import Following
from orchestrator.lifecycle.kept import Kept
from orchestrator.lifecycle.lease import Lease, LeaseLost
from orchestrator.lifecycle.line import Line
from orchestrator.lifecycle.looks import Looks
from orchestrator.lifecycle.promotions import Promotions
from orchestrator.lifecycle.record import Event, Preview
from orchestrator.lifecycle.shares import Shares
from orchestrator.lifecycle.signing import signing_key
from orchestrator.lifecycle.states import TRANSITIONS, State, Wanted
from orchestrator.lifecycle.versions import upgrade
from orchestrator.lifecycle.visits import Visits

_COLUMNS = (
    "id, name, project, wanted, state, facts, error, created_by, created_at, updated_at, expires_at, shadow"
)
_HELD = """
select key from (
    select (l.classid::int8 << 32) | l.objid::int8 as key from pg_catalog.pg_locks l
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
) held where key = any (%s)
"""


class Store:
    """Rows of previews and events.

    Args:
        connection: an autocommit connection to the store's database; kept open for the store's life, since
            leases are session advisory locks (Postgres docs, 13.3.5) on it: a direct connection, not a pooler.
        who: written into every event.
    """

    def __init__(self, connection: Connection, *, who: str) -> None:
        self._connection = connection
        self.who = who
        upgrade(connection)

    @cached_property
    def mark(self) -> str:
        """What tells this store from others; things that are made for its previews carry it."""
        row = self._connection.execute("select mark from preview_control.version").fetchone()
        return str(row[0]) if row else ""

    @property
    def connection(self) -> Connection:
        """The connection, for what lies in the same database beside the diary; leases hang on it."""
        return self._connection

    # reading

    def now(self) -> datetime:
        """The time by the store's clock."""
        row = self._connection.execute("select clock_timestamp()").fetchone()
        return cast("datetime", row[0] if row else None)

    def _one(self, where: str, parameters: tuple[object, ...]) -> Preview | None:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                f"select {_COLUMNS} from preview_control.preview where {where}",  # noqa: S608 - constants of this module
                parameters,
            ).fetchone()
        return _preview(row) if row else None

    def get(self, preview_id: str) -> Preview:
        """The preview with this id, as it is now."""
        found = self._one("id = %s", (preview_id,))
        if found is None:
            raise UnknownPreview(f"there is no preview with id {preview_id}")
        return found

    def find(self, name: str) -> Preview | None:
        """The live (not closed) preview of this name, or None."""
        return self._one("name = %s and state <> 'closed' and not shadow", (name,))

    def shadow_of(self, preview_id: str) -> Preview | None:
        """The live preview that is to take this one's place, or None."""
        return self._one("state <> 'closed' and shadow and facts ->> 'rebases' = %s", (preview_id,))

    def replaced(self, name: str) -> tuple[Preview, ...]:
        """Live previews whose place of this name was taken, and that are not removed yet."""
        return tuple(
            each for each in self.live() if each.shadow and each.name == name and each.wanted is Wanted.CLOSED
        )

    def find_last(self, name: str, *, project: str | None = None) -> Preview | None:
        """The preview of this name that lived last, closed or not; of this project only, unless it is None.

        Only a live preview has its name alone in the store: projects may each have had one of a name.
        """
        return self._one(
            "name = %s and (%s::text is null or project = %s) and not shadow "
            "order by (state <> 'closed') desc, created_at desc limit 1",
            (name, project, project),
        )

    def projects_with(self, name: str) -> frozenset[str]:
        """The keys of the projects that have a preview of this name, or had one."""
        rows = self._connection.execute(
            "select distinct project from preview_control.preview where name = %s and not shadow", (name,)
        ).fetchall()
        return frozenset(project for (project,) in rows)

    def live(self, *, closed: bool = False) -> tuple[Preview, ...]:
        """Every preview that is not closed, oldest first; with ``closed`` the closed ones too."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                f"select {_COLUMNS} from preview_control.preview "  # noqa: S608 - constants of this module
                "where state <> 'closed' or %s order by created_at, id",
                (closed,),
            ).fetchall()
        return tuple(_preview(row) for row in rows)

    def history(
        self, preview_id: str | None = None, *, project: str | None = None
    ) -> tuple[tuple[str, Event], ...]:
        """Events with their preview's name, oldest first; of one preview, of a project's, or of all."""
        rows = self._connection.execute(
            "select p.name, e.at, e.who, e.kind, e.state, e.note, e.milliseconds, e.detail "
            "from preview_control.event e join preview_control.preview p on p.id = e.preview_id "
            "where (%s::text is null or e.preview_id = %s) and (%s::text is null or p.project = %s) order by e.id",
            (preview_id, preview_id, project, project),
        ).fetchall()
        return tuple(
            (
                name,
                Event(
                    at=at, who=who, kind=kind, state=State(state), note=note, milliseconds=ms, detail=detail
                ),
            )
            for name, at, who, kind, state, note, ms, detail in rows
        )

    def kept(self, project: str) -> Kept:
        """What is remembered of a project beyond its previews."""
        return Kept(self._connection, project)

    def following(self) -> Following:
        """The events, for whoever follows them."""
        return Following(self._connection)

    def signing_key(self, purpose: str) -> bytes:
        """See `signing.signing_key`."""
        return signing_key(self._connection, purpose)

    def promotions(self, project: str | None) -> Promotions:
        """The promotions of a project; with None those of all, to read only."""
        return Promotions(self._connection, project, who=lambda: self.who)

    def looks(self) -> Looks:
        """The live previews at a glance."""
        return Looks(self._connection)

    def visits(self) -> Visits:
        """When previews were last asked for."""
        return Visits(self._connection)

    def shares(self) -> Shares:
        """The links by which previews may be seen."""
        return Shares(self._connection)

    def line(self, project: str) -> Line:
        """Who waits for a turn on a project's production."""
        return Line(self._connection, project, who=self.who)

    # writing

    def create(
        self,
        *,
        name: str,
        project: str,
        facts: Mapping[str, Any],
        shadow: bool = False,
        note: str = "preview up",
        expires_at: datetime | None = None,
        admit: Callable[[tuple[Preview, ...]], None] = lambda _live: None,
    ) -> Preview:
        """A new row in ``branching``, wanted ``ready``: the intent, before the first effect.

        Args:
            name: what people call it.
            project: the project's key.
            facts: what is known from the beginning.
            shadow: it stands beside the live preview of that name until `change_places`.
            note: of the event.
            expires_at: see Preview.
            admit: told of every live preview; raises when one more is too many. Two that ask at once take turns.

        Raises:
            NameTaken: a live preview has this name (also when two ask at once).
        """
        preview_id = secrets.token_hex(4)
        try:
            with self._connection.transaction():
                self._connection.execute(
                    "select pg_advisory_xact_lock(%s)", (lock_key("store", "admission"),)
                )
                admit(self.live())
                self._connection.execute(
                    "insert into preview_control.preview "
                    "(id, name, project, wanted, state, facts, created_by, shadow, expires_at) "
                    "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        preview_id,
                        name,
                        project,
                        Wanted.READY.value,
                        State.BRANCHING.value,
                        Jsonb(dict(facts)),
                        self.who,
                        shadow,
                        expires_at,
                    ),
                )
                self._event(preview_id, "requested", State.BRANCHING, note=note)
        except UniqueViolation:
            raise NameTaken(
                f"the name {name!r} is taken by a live preview",
                hint=f"choose another name, or `preview discard {name}` first",
            ) from None
        return self.get(preview_id)

    def want(self, preview_id: str, wanted: Wanted, *, note: str) -> None:
        """Record what a person asks for; needs no lease, so that it reaches a preview that is being worked on."""
        with self._connection.transaction():
            row = self._connection.execute(
                "update preview_control.preview set wanted = %s, updated_at = now() where id = %s returning state",
                (wanted.value, preview_id),
            ).fetchone()
            if row is None:
                raise UnknownPreview(f"there is no preview with id {preview_id}")
            self._event(preview_id, "requested", State(row[0]), note=note)

    def change_places(self, old: Lease, new: Lease, *, note: str) -> None:
        """The shadow is the preview of its name from here on, and the old one is to be removed; one act.

        Raises:
            LeaseLost: another process holds one of the leases now; nothing was written.
        """
        with self._connection.transaction():
            for lease, shadow, wanted in ((old, True, Wanted.CLOSED), (new, False, Wanted.READY)):
                row = self._connection.execute(
                    "update preview_control.preview set shadow = %s, wanted = %s, updated_at = now() "
                    "where id = %s and lease = %s returning state",
                    (shadow, wanted.value, lease.preview_id, lease.token),
                ).fetchone()
                if row is None:
                    raise LeaseLost(
                        f"another process took over preview {lease.preview_id}; this one stops",
                        hint="run the same command again",
                    )
                self._event(lease.preview_id, "replaced" if shadow else "replaces", State(row[0]), note=note)
            self.shares().move(old.preview_id, new.preview_id)

    def live_until(self, preview_id: str, expires_at: datetime | None, *, kind: str, note: str) -> Preview:
        """Record how long a preview lives; needs no lease, so that it reaches one that is being worked on."""
        with self._connection.transaction():
            row = self._connection.execute(
                "update preview_control.preview set expires_at = %s where id = %s returning state",
                (expires_at, preview_id),
            ).fetchone()
            if row is None:
                raise UnknownPreview(f"there is no preview with id {preview_id}")
            self._event(preview_id, kind, State(row[0]), note=note)
        return self.get(preview_id)

    def measured(self, preview_id: str, usage: Mapping[str, Any]) -> None:
        """Keep what a live preview takes and costs; needs no lease and is no event: nothing happened to it."""
        self._connection.execute(
            "update preview_control.preview set facts = facts || %s where id = %s and state <> 'closed'",
            (Jsonb({"usage": dict(usage)}), preview_id),
        )

    def reopen(self, lease: Lease, *, to: State, expires_at: datetime | None, note: str) -> Preview:
        """Make a closed preview live again, wanted ready, in one transaction; it forgets what was kept of it.

        Raises:
            NameTaken: a live preview has its name now.
            LeaseLost: it is not closed any more.
        """
        try:
            with self._connection.transaction():
                row = self._connection.execute(
                    "update preview_control.preview set state = %s, wanted = %s, expires_at = %s, error = null, "
                    "facts = facts - 'kept', updated_at = now() "
                    "where id = %s and lease = %s and state = 'closed' returning name",
                    (to.value, Wanted.READY.value, expires_at, lease.preview_id, lease.token),
                ).fetchone()
                if row is None:
                    raise LeaseLost(f"preview {lease.preview_id} is not closed any more")
                self._event(lease.preview_id, "restored", to, note=note)
        except UniqueViolation:
            raise NameTaken("a live preview has this name now", hint="`preview list` shows it") from None
        return self.get(lease.preview_id)

    def record(
        self,
        lease: Lease,
        *,
        to: State,
        kind: str,
        note: str = "",
        facts: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        milliseconds: float | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Preview:
        """Move a preview and write the event, in one transaction, if the lease is still ours.

        Raises:
            LeaseLost: another process holds the lease now; nothing was written.
        """
        removed = [key for key, value in (facts or {}).items() if value is None]
        kept = {key: value for key, value in (facts or {}).items() if value is not None}
        with self._connection.transaction():
            row = self._connection.execute(
                "select state from preview_control.preview where id = %s and lease = %s for update",
                (lease.preview_id, lease.token),
            ).fetchone()
            if row is None:
                raise LeaseLost(
                    f"another process took over preview {lease.preview_id}; this one stops",
                    hint="`preview show NAME` tells what it is doing",
                )
            before = State(row[0])
            if to is not before and to not in TRANSITIONS[before]:
                raise OrchestratorError(f"BUG: {before} cannot become {to} (preview {lease.preview_id})")
            self._connection.execute(
                "update preview_control.preview set state = %s, facts = (facts - %s::text[]) || %s, error = %s, "
                "updated_at = now() where id = %s",
                (
                    to.value,
                    removed,
                    Jsonb(kept),
                    Jsonb(dict(error)) if error is not None else None,
                    lease.preview_id,
                ),
            )
            self._event(lease.preview_id, kind, to, note=note, milliseconds=milliseconds, detail=detail)
        return self.get(lease.preview_id)

    def _event(
        self,
        preview_id: str,
        kind: str,
        state: State,
        *,
        note: str,
        milliseconds: float | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        self._connection.execute(
            "insert into preview_control.event (preview_id, who, kind, state, note, milliseconds, detail) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            (preview_id, self.who, kind, state.value, note, milliseconds, Jsonb(dict(detail or {}))),
        )

    # leases

    @contextmanager
    def lease(
        self, preview_id: str, *, wait: Callable[[str], bool] = lambda _holder: False
    ) -> Iterator[Lease]:
        """Hold the preview's lease for a block.

        The session advisory lock is the liveness: Postgres frees it when this process dies, however it dies.
        The token in the row is the fence: a holder whose session was cut off cannot write any more.

        Args:
            preview_id: whose lease.
            wait: called with the holder's description each time the lease is not free; it waits a little and
                returns True to try again, or returns False to give up.

        Raises:
            Busy: another process holds it; names the process.
        """
        key = lock_key("preview", preview_id)
        while not try_advisory_lock(self._connection, key):
            holder = self._holder(preview_id)
            if not wait(holder):
                raise Busy(
                    f"preview {self.get(preview_id).name} is being worked on by {holder}",
                    hint="wait for it, or end that process: whatever it did not finish is picked up again",
                )
        token = f"{self.who} pid {os.getpid()} {secrets.token_hex(8)}"
        try:
            self._connection.execute(
                "update preview_control.preview set lease = %s, lease_taken_at = now() where id = %s",
                (token, preview_id),
            )
            yield Lease(preview_id, token)
        finally:
            try:
                self._connection.execute(
                    "update preview_control.preview set lease = null, lease_taken_at = null "
                    "where id = %s and lease = %s",
                    (preview_id, token),
                )
                self._connection.execute("select pg_advisory_unlock(%s)", (key,))
            except psycopg.OperationalError:
                # The session is gone and the lock with it; whatever ended the block says what happened.
                if not self._connection.closed:
                    raise

    def worked_on(self, preview_ids: Iterable[str]) -> frozenset[str]:
        """Those of these previews whose lease somebody holds at this moment."""
        keys = {lock_key("preview", each): each for each in preview_ids}
        if not keys:
            return frozenset()
        rows = self._connection.execute(_HELD, (list(keys),)).fetchall()
        return frozenset(keys[key] for (key,) in rows)

    def _holder(self, preview_id: str) -> str:
        row = self._connection.execute(
            "select lease, lease_taken_at from preview_control.preview where id = %s", (preview_id,)
        ).fetchone()
        if row is None or row[0] is None:
            return "another process"
        taken: datetime = row[1]
        return f"{row[0].rsplit(' ', 1)[0]} since {taken:%H:%M:%S}"


def _preview(row: Mapping[str, Any]) -> Preview:
    return Preview(**{**row, "wanted": Wanted(row["wanted"]), "state": State(row["state"])})
