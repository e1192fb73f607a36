"""A promotion's heart in a process of its own, which may be killed: what remains is planned, applied, proved.

    python -m tests.orchestrator.postgres.promoting GOAL APPROVED ANSWERS

GOAL is a snapshot, APPROVED a plan, ANSWERS an object, all JSON files. For each line of JSON that it reads,
`[URI, FAULT, FILE]`, it forks: the child promotes there and writes a line into FILE for each thing that happens; FAULT
is `before:N`, `after:N` or nothing. It says the child's number, and when that has ended, its exit status: negative when
it was killed.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

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


def child(promote: Callable[[], None], file: str) -> NoReturn:
    """The forked process: its words go into the file, its end is its own."""
    words = os.open(file, os.O_WRONLY)
    os.dup2(words, 1)
    os.dup2(words, 2)
    status = 1
    try:
        promote()
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, flush=True)
        status = end.code if isinstance(end.code, int) else 1
    except OrchestratorError as error:
        print(f"{type(error).__name__}: {error.message} {error.detail}", flush=True)
    except BaseException:  # noqa: BLE001 - a child that returned would read its mother's orders
        traceback.print_exc()
    finally:
        os._exit(status)


def main(goal: str, approved: str, answers: str) -> None:
    snapshot = Snapshot.from_json(json.loads(Path(goal).read_text()))
    plan = Plan.from_json(json.loads(Path(approved).read_text()))
    given = json.loads(Path(answers).read_text())
    for line in iter(sys.stdin.readline, ""):
        uri, fault, file = json.loads(line)
        number = os.fork()
        if not number:
            child(lambda: run(uri, snapshot, plan, given, fault), file)  # noqa: B023 - called at once
        print(number, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
