"""promoting -> promoted: the approved plan, on main. Touches main's PostgreSQL; the only step that may.

The branch is the goal: what remains is diff(main, branch), asked anew on every run, so that *fresh*, *resumed*
and *moved* are one rule (DESIGN, section 4).
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from orchestrator.database import Connection, advisory_lock, lock_key
from orchestrator.errors import MainMoved, OrchestratorError, PlanDoesNotConverge, Refused
from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.migration import part_of
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.steps.border import translating
from orchestrator.steps.migrate import Telling, plan_with_traces, table_names
from orchestrator.steps.project import NeonProject


class PromoteStep:
    """Applies what remains of the approved plan to main and proves that nothing remains after it."""

    def __init__(self, project: NeonProject, *, lock_attempts: int) -> None:
        self._project = project
        self._lock_attempts = lock_attempts

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Promote.

        Raises:
            Refused: another promotion runs; nothing was changed.
            MainMoved: main or the branch is not what was approved; nothing was changed.
            ApplyError: a statement failed; running again continues with what remains.
        """
        project, facts = self._project, preview.facts
        key = lock_key("promotion", project.id, project.database)
        with (
            translating(f"promoting {preview.name} to {project.main.name}"),
            project.connect_main(f"promote {preview.name}") as main,
            advisory_lock(main, key) as granted,
        ):
            if not granted:
                raise Refused(
                    f"another promotion of project {project.id} is under way ({_holder(main, key)})",
                    hint="try again when it is done",
                )
            detail("comparing main with the approved plan")
            goal = self._goal(preview)
            approved = Plan.from_json(facts["plan"])
            before = inspect(main)
            remaining = self._remaining(preview, before, goal, approved)
            point = _restore_point(main)
            detail(f"applying {len(remaining.statements)} of {len(approved.statements)} statements")
            try:
                traces = apply(
                    lambda: project.connect_main(f"promote {preview.name}"),
                    remaining,
                    observer=Telling(remaining, detail),
                    attempts=self._lock_attempts,
                )
            except OrchestratorError as error:
                # Whether main is half-way decides what a person may do next: looked at, not assumed. When main
                # cannot be looked at, half-way is the safe assumption.
                with suppress(OrchestratorError):
                    error.nothing_done = inspect(main).fingerprint() == preview.facts["base"]
                raise
            detail("proving that main is the goal")
            after = inspect(main)
            left = describe_difference(after, goal)
            if left:
                raise PlanDoesNotConverge(
                    f"main still differs from the branch: {left[0]}",
                    detail="\n".join(left),
                    hint="`preview promote` again shows what remains",
                )
            _analyze(main, remaining, after)
        done = len(remaining.statements)
        return Advance(
            to=State.PROMOTED,
            note=f"{done} statement{'s' * (done != 1)} on {project.main.name}; main equals the branch",
            facts={
                "promotion": {
                    "plan_digest": approved.digest,
                    "applied": plan_with_traces(remaining, traces),
                    "main_before": before.fingerprint(),
                    "main_after": after.fingerprint(),
                    "restore_to": point,
                }
            },
        )

    def _goal(self, preview: Preview) -> Snapshot:
        """The branch's snapshot, which must still be what was rehearsed and approved."""
        with self._project.connect_reading(preview.facts["branch"]["id"], "compare with main") as connection:
            goal = inspect(connection)
        if goal.fingerprint() != preview.facts["reached"]:
            raise MainMoved(
                f"branch {preview.facts['branch']['name']} was changed after its rehearsal",
                hint=f"`preview up {preview.name} --fresh` rehearses again",
            )
        return goal

    def _remaining(self, preview: Preview, main: Snapshot, goal: Snapshot, approved: Plan) -> Plan:
        """diff(main, branch), which must be a part of what was approved."""
        planned = make_plan(main, goal, answers=preview.facts.get("answers", {}))
        if planned.plan is None:
            raise MainMoved(
                f"main has moved since {preview.name} was rehearsed: the comparison now asks "
                + ", ".join(question.id for question in planned.questions),
                hint=f"`preview up {preview.name} --fresh` rehearses again on main as it is now",
            )
        foreign = part_of(planned.plan, approved)
        if foreign:
            raise MainMoved(
                f"main has moved since {preview.name} was rehearsed: {len(foreign)} statement"
                f"{'s' * (len(foreign) != 1)} that nobody approved would be needed",
                detail="\n".join(foreign),
                hint=f"`preview up {preview.name} --fresh` rehearses again on main as it is now",
            )
        return planned.plan


def _restore_point(main: Connection) -> dict[str, Any]:
    """Where main was before the first statement: what a point-in-time restore would be given."""
    row = main.execute("select pg_current_wal_flush_lsn()::text, clock_timestamp()").fetchone()
    return {"lsn": row[0], "at": row[1].isoformat()} if row else {}


def _holder(connection: Connection, key: int) -> str:
    """Who holds a session advisory lock, from pg_locks (Postgres docs, 54.12: a bigint key is two oids)."""
    row = connection.execute(
        "select a.pid, a.application_name, a.backend_start from pg_locks l join pg_stat_activity a using (pid) "
        "where l.locktype = 'advisory' and l.granted and l.objsubid = 1 "
        "and ((l.classid::bigint << 32) | l.objid::bigint) = %s",
        (key,),
    ).fetchone()
    return f"{row[1]}, server process {row[0]}, since {row[2]:%H:%M:%S}" if row else "holder unknown"


def _analyze(main: Connection, plan: Plan, after: Snapshot) -> None:
    """Fresh statistics for what was touched: a rewritten column or a new index has none (Postgres docs, ANALYZE)."""
    touched = {table for statement in plan.statements for table in statement.lock_on}
    for table in sorted(touched & set(table_names(after))):
        main.execute(f"analyze (skip_locked) {table}".encode())
