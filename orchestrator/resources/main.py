"""Kinds of things in main: helper objects of a promotion that stopped, and what one set aside. Touches nothing else."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from orchestrator.database import Connection, advisory_lock, lock_key
from orchestrator.errors import Refused
from orchestrator.lifecycle import Preview
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.kept import kept, purge
from orchestrator.resources.thing import Kind, Thing
from orchestrator.steps.border import translating


class _InMain(Kind):
    """Things in main; carry no owner, because a promotion outlives its preview."""

    lasts = True

    @contextmanager
    def _alone(self, purpose: str) -> Iterator[Connection]:
        project = self._world.project
        key = lock_key("promotion", project.id, project.database)
        with (
            translating(f"looking at {project.main.name}"),
            project.connect_main(purpose) as main,
            advisory_lock(main, key) as granted,
        ):
            if not granted:
                raise Refused("a promotion is under way", hint="look again when it is done")
            yield main


class HelperObject(_InMain):
    """See says."""

    name = "helper object"
    says = "in main, under a reserved name: a constraint, index or table of a promotion that stopped"

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find; they carry no owner, for a promotion cleans what any forerunner left.

        Raises:
            Refused: a promotion is under way, and they may be its own.
        """
        if preview is not None:
            return
        with self._alone("look for what is left") as main:
            for each in inspect(main).leftovers:
                yield Thing(
                    kind=self.name,
                    name=str(each.key),
                    key=str(each.key),
                    owner=None,
                    note="" if each.valid else "half made",
                )

    def remove(self, thing: Thing) -> None:
        """See Kind.remove; all go at once, by the plan with which every promotion begins."""
        del thing
        with self._alone("take away what is left") as main:
            now = inspect(main)
            plan = make_plan(now, now).plan
            if plan is not None and all(statement.repair for statement in plan.statements):
                apply(lambda: self._world.project.connect_main("take away what is left"), plan)


class SoftDrop(_InMain):
    """See says."""

    name = "soft drop"
    says = "in main, set aside by a promotion instead of dropped"

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        if preview is not None:
            return
        with self._alone("look for what is set aside") as main:
            for each in kept(main):
                yield Thing(
                    kind=self.name,
                    name=".".join(each.was),
                    key=each.name,
                    owner=None,
                    created_at=datetime.fromisoformat(each.at),
                    size_bytes=each.bytes or None,
                    until=datetime.fromisoformat(each.until),
                )

    def remove(self, thing: Thing) -> None:
        """See Kind.remove; what somebody holds a lock on stays until the next time."""
        del thing
        with self._alone("purge what was set aside") as main:
            purge(main)
