"""A promotion's heart in a process of its own, which may be killed: what remains is planned, applied, proved.

    python -m tests.orchestrator.postgres.promoting URI GOAL APPROVED ANSWERS [before:N | after:N]

GOAL is a snapshot, APPROVED a plan, ANSWERS an object, all JSON files. A line is written for each thing that happens.
"""

import json
import os
import signal
import sys
from pathlib import Path

from orchestrator.database import Connection, advisory_lock, connect, lock_key
from orchestrator.errors import OrchestratorError
from orchestrator.migration import part_of
from orchestrator.migration.keeping import keeping_of
from orchestrator.migration.online import as_in
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.care import Care
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.trace import StatementTrace
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference


class Telling:
    """Says what happens, and dies where it is told to."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def _here(self, place: str) -> None:
        print(place, flush=True)
        if place == self.fault:
            os.kill(os.getpid(), signal.SIGKILL)

    def started(self, index: int, statement: Statement) -> None:
        self._here(f"before:{index}")

    def finished(self, index: int, statement: Statement, trace: StatementTrace) -> None:
        self._here(f"after:{index}")

    def batch(self, index: int, statement: Statement, rows: int) -> None: ...

    def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
        print(f"far:{index}", flush=True)

    def waiting(self, index: int, statement: Statement, reason: str) -> None:
        print(f"waiting:{index} {reason}", flush=True)

    def held_up(self, index: int, statement: Statement, reason: str) -> None:
        print(f"held up:{index} {reason}", flush=True)


def run(uri: str, goal: Snapshot, approved: Plan, answers: dict[str, str], fault: str) -> None:
    def connection() -> Connection:
        return connect(uri, purpose="promote")

    with connection() as main, advisory_lock(main, lock_key("promotion")) as granted:
        if not granted:
            raise SystemExit("another promotion is under way")
        planned = make_plan(
            inspect(main), goal, answers=answers, policy=as_in(approved), keeping=keeping_of(approved)
        )
        if planned.plan is None or part_of(planned.plan, approved):
            raise SystemExit(
                f"main has moved: {planned.questions or part_of(planned.plan, approved)}"  # type: ignore[arg-type]
            )
        try:
            apply(connection, planned.plan, observer=Telling(fault), care=Care(), promotion="p1")
        except KeyboardInterrupt:
            now = inspect(main)
            cleaning = make_plan(now, now).plan
            if cleaning is not None and all(each.repair for each in cleaning.statements):
                apply(connection, cleaning)
            print("interrupted", flush=True)
            raise SystemExit(130) from None
        left = describe_difference(inspect(main), goal)
        if left:
            raise SystemExit(f"main still differs: {left}")


if __name__ == "__main__":
    _, uri_, goal_, approved_, answers_, *fault_ = sys.argv
    try:
        run(
            uri_,
            Snapshot.from_json(json.loads(Path(goal_).read_text())),
            Plan.from_json(json.loads(Path(approved_).read_text())),
            json.loads(Path(answers_).read_text()),
            fault_[0] if fault_ else "",
        )
    except OrchestratorError as error_:
        raise SystemExit(f"{type(error_).__name__}: {error_.message} {error_.detail}") from None
