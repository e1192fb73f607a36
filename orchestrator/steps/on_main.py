"""The door to main for whatever changes it: one at a time, told who has the turn, every statement recorded.

Touches main's PostgreSQL and the promotion's history.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from orchestrator.database import COLD_SECONDS, Connection, advisory_lock, connect, lock_key
from orchestrator.errors import DatabaseUnreachable, OrchestratorError, PromotionUnderWay
from orchestrator.lifecycle import Promotions
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.at_once import AtOnce
from orchestrator.postgres.care import Care
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.trace import StatementTrace
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject
from orchestrator.steps.recording import Recording

_HOLDER = """
select a.pid, a.application_name, a.backend_start
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and ((l.classid::bigint << 32) | l.objid::bigint) = %s
"""
# The same in the other databases of main, each of which has a turn of its own.
_ELSEWHERE = """
select a.pid, a.application_name, a.backend_start, d.datname
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
join pg_catalog.pg_database d on d.oid = l.database
join unnest(%s::text[], %s::bigint[]) turn (name, key) on turn.name = d.datname
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and ((l.classid::bigint << 32) | l.objid::bigint) = turn.key
order by a.backend_start limit 1
"""

#: How long the turn of one who was killed is waited for, and how often it is looked for.
_FORERUNNER_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class OnMain:
    """The turn on main, and plans applied there while one has it.

    Attributes:
        key: of the advisory lock that is the turn.

    Args:
        project: where.
        promotions: whose history tells who has the turn, and is told every statement.
        lock_attempts: how often statements are tried when a lock is not granted in time.
        care: how long others may wait because of us, and whom a statement may send away.
    """

    def __init__(
        self,
        project: NeonProject,
        promotions: Promotions,
        *,
        lock_attempts: int,
        care: Care = Care(),  # noqa: B008 - a frozen value
    ) -> None:
        self._project = project
        self._promotions = promotions
        self._lock_attempts = lock_attempts
        self._care = care
        self.key = lock_key("promotion", project.id, project.database)

    @contextmanager
    def turn(self, promotion_id: str, purpose: str) -> Iterator[Connection]:
        """Have main for a block; nobody else promotes or reverts meanwhile, from whichever machine.

        The lock is the session's: PostgreSQL frees it when this process is gone.

        Args:
            promotion_id: what it is for, in the history.
            purpose: what it is for, in words: ``promote pr-1``.

        Yields:
            The connection that holds the turn; statements of a plan go through `apply`.

        Raises:
            PromotionUnderWay: somebody else has it; says who, since when, and at which statement.
        """
        with self._project.connect_main(purpose) as main:
            self._outlive(main, promotion_id)
            with advisory_lock(main, self.key) as granted:
                if not granted:
                    raise PromotionUnderWay(
                        f"production is being changed by the {self._holder(main) or 'promotion that just ended'}",
                        hint="try again when it is done, or wait for it: add --wait",
                    )
                self._promotions.record(promotion_id, "locked", detail={"pid": main.info.backend_pid})
                yield main

    def _outlive(self, main: Connection, promotion_id: str) -> None:
        """Wait for the session of whoever did this very thing before us and was killed.

        Nobody else does it while we do: it is dead, and PostgreSQL learns that when the statement ends that runs there.

        Raises:
            PromotionUnderWay: it still runs after a while; says where, and how it is ended.
        """
        until = time.monotonic() + _FORERUNNER_SECONDS
        while (pid := self._forerunner(main, promotion_id)) is not None:
            if time.monotonic() > until:
                raise PromotionUnderWay(
                    f"whoever did this before was killed, and server process {pid} on production does not know it yet: "
                    "it will when its statement ends",
                    hint="try again then, or add --wait; on production "
                    f"`select pg_terminate_backend({pid})` ends it now",
                )
            time.sleep(_LOOK_SECONDS)

    def _forerunner(self, main: Connection, promotion_id: str) -> int | None:
        """The server process that has the turn for this very promotion or revert; None: nobody's, or another's."""
        row = main.execute(_HOLDER, (self.key,)).fetchone()
        known = self._promotions.running(row[0]) if row is not None else None
        return row[0] if row is not None and known is not None and known.id == promotion_id else None

    def holder(self) -> str:
        """Who has the turn now, in words; empty when nobody has."""
        with (
            translating("looking who promotes"),
            self._project.connect_reading(self._project.main.id, "look who promotes") as main,
        ):
            return self._holder(main)

    def _holder(self, main: Connection) -> str:
        row = main.execute(_HOLDER, (self.key,)).fetchone()
        return self._in_words(*row) if row is not None else ""

    def elsewhere(self) -> str:
        """Who has the turn of another database of main now, in words; empty when nobody has."""
        with (
            translating("looking who promotes"),
            self._project.connect_reading(self._project.main.id, "look who promotes") as main,
        ):
            return self._elsewhere(main)

    def _elsewhere(self, main: Connection) -> str:
        names = [each for each in self._project.databases() if each != self._project.database]
        keys = [lock_key("promotion", self._project.id, each) for each in names]
        row = main.execute(_ELSEWHERE, (names, keys)).fetchone()
        if row is None:
            return ""
        *holder, database = row
        return f"{self._in_words(*holder)}, in database {database} of the same main"

    def assert_alone(self, main: Connection) -> None:
        """Refuse while somebody changes another database of main: what is to be done ends every session there.

        Raises:
            PromotionUnderWay: somebody does; says who, and in which.
        """
        if taken := self._elsewhere(main):
            raise PromotionUnderWay(
                f"production is being changed by the {taken}",
                hint="try again when it is done, or wait for it: add --wait",
            )

    def _in_words(self, pid: int, application: str, since: datetime | None) -> str:
        purpose, _, place = application.removeprefix("preview: ").rpartition(" ")
        known = self._promotions.running(pid)
        if known is None:
            # Begun with another diary, on another machine: its session is all that tells.
            # Since when, the server tells nobody whose role is another one.
            began = f", since {since:%H:%M:%S}" if since is not None else ""
            return f"session {application!r}, server process {pid}{began}"
        text = f"{known.kind} of {known.preview_name} by {known.who} since {known.at:%H:%M:%S}"
        number, _, total = place.partition("/")
        told = (known.last("applying") or {}).get("statements", [])
        if purpose and number.isdigit() and total.isdigit():
            text += f", at statement {number} of {total}"
            text += f": {told[int(number) - 1]}" if 0 < int(number) <= len(told) == int(total) else ""
        return text

    def apply(
        self,
        promotion_id: str,
        main: Connection,
        plan: Plan,
        *,
        purpose: str,
        detail: Callable[[str], None],
        expected: Mapping[str, float] | None = None,
    ) -> tuple[StatementTrace, ...]:
        """Apply; when that fails, take back our helpers from main: a half-made one may refuse the app's writes.

        `expected` says how long statements took in the rehearsal, milliseconds, by their SQL.
        """

        recording = self._recording(promotion_id, main, plan, purpose, detail)
        try:
            traces = apply(
                lambda: self._project.connect_main(purpose),
                plan,
                observer=recording,
                attempts=self._lock_attempts,
                promotion=promotion_id,
                care=replace(self._care, expected=expected or {}),
            )
        except (OrchestratorError, KeyboardInterrupt):
            detail("taking back what is half-made")
            with suppress(OrchestratorError):
                now = inspect(main)
                cleaning = make_plan(now, now).plan
                if cleaning is not None and all(statement.repair for statement in cleaning.statements):
                    apply(lambda: self._project.connect_main(purpose), cleaning, attempts=self._lock_attempts)
            raise
        recording.flush()
        return traces

    def at_once(
        self,
        promotion_id: str,
        main: Connection,
        plan: Plan,
        *,
        purpose: str,
        detail: Callable[[str], None],
        uri: str,
    ) -> tuple[AtOnce, Callable[[], None]]:
        """Make ready what must not wait, once: visitors do while it runs. Needs nothing tidied when it fails.

        Args:
            promotion_id, main, plan, purpose, detail: as for `apply`.
            uri: main's, with the password in it.

        Returns:
            What is ready, and what writes it into the history, for when it is done and nobody waits any more.
        """
        recording = self._recording(promotion_id, main, plan, purpose, detail)
        ready = AtOnce(connect(uri, purpose=purpose, patience_seconds=COLD_SECONDS), plan, observer=recording)
        ready.ready()
        return ready, recording.flush

    def _recording(
        self, promotion_id: str, main: Connection, plan: Plan, purpose: str, detail: Callable[[str], None]
    ) -> Recording:
        def write(statement: dict[str, Any], milliseconds: float) -> None:
            self._promotions.record(
                promotion_id, "statement", note=statement["why"], detail=statement, milliseconds=milliseconds
            )

        return Recording(plan, detail, write=write, mark=lambda place: _say_where(main, f"{purpose} {place}"))

    def uri(self) -> str:
        """Where main is, with the password in it."""
        return self._project.uri(self._project.main.id).reveal()

    @property
    def attempts(self) -> int:
        """How often what somebody is in the way of is tried."""
        return self._lock_attempts


def _say_where(main: Connection, where: str) -> None:
    """Write how far we are where others who wait can read it; and notice a turn that is lost.

    Raises:
        DatabaseUnreachable: the session that had the turn is gone, and so is the turn.
    """
    try:
        main.execute(
            "select pg_catalog.set_config('application_name', %s, false)", (f"preview: {where}"[:63],)
        )
    except psycopg.Error:
        raise DatabaseUnreachable(
            "the session that holds the turn on main was cut off; nothing more is done without it",
            hint="run the same command again: it looks at what is there and does only the rest",
        ) from None
