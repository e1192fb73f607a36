"""Jobs and what they say, in the store. Runs nothing."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from orchestrator.access import Caller, Role
from orchestrator.database import Connection
from orchestrator.errors import UnknownJob

_COLUMNS = (
    "id, project, act, preview_name, preview_id, arguments, who, role, token, state, attempts, result, error, "
    "created_at, began_at, ended_at"
)
#: How long a job and its lines are kept after its end.
KEPT_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that was asked for.

    Attributes:
        id: sixteen hexadecimal characters.
        project: as in the diary's rows.
        act: which act; see orchestrator.acts.
        preview_name: of which preview.
        preview_id: the row that it turned out to be about; None before it began.
        arguments: JSON.
        who, role, token: the caller.
        state: ``waiting``, ``running``, ``done``, ``failed``.
        attempts: how often a worker began it; more than once when a worker died in it.
        result: the preview's row at the end, JSON; None until then.
        error: the error, as the API shows errors; None when there is none.
        created_at, began_at, ended_at: UTC.
    """

    id: str
    project: str
    act: str
    preview_name: str
    preview_id: str | None
    arguments: Mapping[str, Any]
    who: str
    role: Role
    token: str
    state: str
    attempts: int
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    created_at: datetime
    began_at: datetime | None
    ended_at: datetime | None

    @property
    def caller(self) -> Caller:
        """Who asked."""
        return Caller(who=self.who, role=self.role, token=self.token)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens in it."""
        return self.ended_at is not None

    def to_json(self) -> dict[str, Any]:
        """What everybody may know; ``result`` is left to whoever shows it."""
        times = {
            name: at.isoformat() if (at := getattr(self, name)) else None
            for name in ("created_at", "began_at", "ended_at")
        }
        return {
            "id": self.id,
            "act": self.act,
            "preview": self.preview_name,
            "who": self.who,
            "state": self.state,
            "attempts": self.attempts,
            "error": self.error,
            **times,
        }


class Book:
    """The store's jobs.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        *,
        project: str,
        act: str,
        name: str,
        arguments: Mapping[str, Any],
        caller: Caller,
        request: str | None = None,
    ) -> tuple[Job, bool]:
        """A new job; or the one that the same request made before, or that asks for the same and has not ended.

        Returns:
            The job, and whether it is new.
        """
        same = self._rows(
            "project = %s and who = %s and act = %s and preview_name = %s and arguments = %s and ended_at is null "
            "order by created_at limit 1",
            (project, caller.who, act, name, Jsonb(dict(arguments))),
        )
        if same:
            return same[0], False
        job_id = secrets.token_hex(8)
        row = self._connection.execute(
            "insert into preview_control.job (id, project, act, preview_name, arguments, who, role, token, request) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (who, request) do nothing returning id",
            (
                job_id,
                project,
                act,
                name,
                Jsonb(dict(arguments)),
                caller.who,
                caller.role.value,
                caller.token,
                request,
            ),
        ).fetchone()
        if row is not None:
            return self.get(job_id), True
        return self._one("who = %s and request = %s", (caller.who, request)), False

    def get(self, job_id: str) -> Job:
        """The job with this id.

        Raises:
            UnknownJob: there is none, or it is forgotten already.
        """
        return self._one("id = %s", (job_id.replace("\0", ""),))

    def of_project(self, project: str, *, limit: int = 50) -> tuple[Job, ...]:
        """The newest jobs of a project, newest first."""
        return self._rows("project = %s order by created_at desc, id limit %s", (project, limit))

    def latest(self, project: str, name: str) -> Job | None:
        """The newest job about a preview of this name, or None."""
        found = self._rows(
            "project = %s and preview_name = %s order by created_at desc, id limit 1", (project, name)
        )
        return found[0] if found else None

    def begin(self, job_id: str) -> Job | None:
        """Take a job up, or take it up again; None when it has ended."""
        row = self._connection.execute(
            "update preview_control.job set state = 'running', attempts = attempts + 1, "
            "began_at = coalesce(began_at, now()) where id = %s and ended_at is null returning id",
            (job_id,),
        ).fetchone()
        return self.get(job_id) if row else None

    def about(self, job_id: str, preview_id: str) -> None:
        """Remember which row a job is about."""
        self._connection.execute(
            "update preview_control.job set preview_id = %s where id = %s and preview_id is null",
            (preview_id, job_id),
        )

    def end(
        self, job_id: str, *, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
    ) -> None:
        """Write down how it ended; the first end counts."""
        self._connection.execute(
            "update preview_control.job set state = %s, result = %s, error = %s, ended_at = now() "
            "where id = %s and ended_at is null",
            (
                "failed" if error is not None else "done",
                Jsonb(dict(result)) if result is not None else None,
                Jsonb(dict(error)) if error is not None else None,
                job_id,
            ),
        )

    def say(self, job_id: str, line: Mapping[str, Any]) -> None:
        """Add a line."""
        self._connection.execute(
            "insert into preview_control.job_line (job_id, line) values (%s, %s)", (job_id, Jsonb(dict(line)))
        )

    def lines(
        self, job_id: str, *, after: int = 0, limit: int = 500
    ) -> tuple[tuple[int, dict[str, Any]], ...]:
        """Lines behind a number, with their own numbers, in order."""
        return tuple(
            self._connection.execute(
                "select id, line from preview_control.job_line where job_id = %s and id > %s order by id limit %s",
                (job_id, after, limit),
            ).fetchall()
        )

    def lost(self, project: str) -> tuple[Job, ...]:
        """Jobs that have not ended, and that no queue knows: whoever was to run them died at a bad moment."""
        return self._rows(
            "project = %s and ended_at is null and created_at < now() - interval '2 seconds' and not exists ("
            "select from preview_jobs.procrastinate_jobs q where q.status in ('todo', 'doing') "
            "and q.args ->> 'job_id' = preview_control.job.id) order by created_at",
            (project,),
        )

    def busy(self, project: str) -> frozenset[str]:
        """The names of previews that a job is about which has not ended."""
        rows = self._connection.execute(
            "select preview_name from preview_control.job where project = %s and ended_at is null", (project,)
        ).fetchall()
        return frozenset(name for (name,) in rows)

    def forget(self) -> None:
        """Remove what ended long ago."""
        self._connection.execute(
            "delete from preview_control.job where ended_at < now() - make_interval(days => %s)", (KEPT_DAYS,)
        )

    def _one(self, where: str, parameters: tuple[object, ...]) -> Job:
        found = self._rows(where, parameters)
        if not found:
            raise UnknownJob("there is no such job", hint=f"jobs are kept for {KEPT_DAYS} days")
        return found[0]

    def _rows(self, where: str, parameters: tuple[object, ...]) -> tuple[Job, ...]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                f"select {_COLUMNS} from preview_control.job where {where}".encode(),  # noqa: S608 - constants of this module
                parameters,
            ).fetchall()
        return tuple(Job(**{**row, "role": Role(row["role"])}) for row in rows)
