"""The way back, tried: the reverse plan applied on a throw-away branch of the preview's branch. Touches Neon."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from neon_client.models import Branch
from orchestrator.checks.looking import ask, looking, not_looked_at, reason
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection
from orchestrator.errors import OrchestratorError, StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.migration.plan import Plan
from orchestrator.migration.reverse import Loss, Reverse
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.privileges import Compare
from orchestrator.steps.backstop import throwaway_end
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject, way_back_name

CHECK = "revert"


class MovedOn(Exception):
    """Main is not what the branch began with."""


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """Proves reverse plans.

    Attributes:
        project: where.
        prove: whether they are tried at all (``migration.prove_reverse``).
    """

    project: NeonProject
    prove: bool = True

    def rehearse(
        self, facts: Mapping[str, Any], say: Callable[[str], None], ending: "Ending | None" = None
    ) -> tuple[Finding, ...]:
        """Try what a rehearsal left: its way back, which leads to the schema that main had and has.

        Args:
            facts: the preview's, with what ``facts_of`` made of its way back.
            say: told what is being done.
            ending: how another thread ends it.
        """
        reverse, short = _of(facts)

        def base() -> Snapshot:
            with (
                translating("looking at main"),
                self.project.connect_reading(self.project.main.id, "inspect main") as main,
            ):
                found = inspect(main)
            if found.fingerprint() != facts["base"]:
                raise MovedOn
            return found

        return self.try_out(facts["branch"]["id"], reverse, base, say, short=short, ending=ending)

    def try_out(
        self,
        branch_id: str,
        reverse: Reverse,
        base: Callable[[], Snapshot],
        detail: Callable[[str], None],
        *,
        short: Plan | None = None,
        ending: "Ending | None" = None,
    ) -> tuple[Finding, ...]:
        """Apply the reverse plan on a branch of the branch, look whether it is the base again, and delete it.

        A way back that does not work stops no preview: it is a finding that says why.

        Args:
            branch_id: the preview's branch, migrated.
            reverse: the way back, its losses counted.
            base: gives what must be there again; asked for once the branch is made, which takes longest.
            detail: told what is being done.
            short: the same way without batches, where it has some: what is tried, because nobody works there.
            ending: how another thread ends it.
        """
        if reverse.plan is None:
            message = (
                f"there is no reverse plan: {reverse.refused}; only a restore point would bring main back"
            )
            return (Finding(check=CHECK, severity=Severity.ATTENTION, subject="plan", message=message),)
        lost = _lost(reverse)
        if not self.prove:
            return (not_looked_at(CHECK, "plan", "migration.prove_reverse is off"), *lost)
        try:
            tried = replace(reverse, plan=short or reverse.plan)
            left = self._applied(branch_id, tried, base, detail, ending or Ending())
        except MovedOn:
            why = "main's schema has changed since the branch was made: `preview up` rehearses anew"
            return (not_looked_at(CHECK, "plan", why), *lost)
        except OrchestratorError as error:
            message = f"the reverse plan fails: {error.message}; only a restore point would bring main back"
            return (Finding(check=CHECK, severity=Severity.ATTENTION, subject="plan", message=message), *lost)
        if left:
            message = f"the reverse plan leaves {len(left)} difference{'s' * (len(left) != 1)}: {left[0]}"
            return (Finding(check=CHECK, severity=Severity.ATTENTION, subject="plan", message=message), *lost)
        count = len(reverse.plan.statements)
        lead = "1 statement leads" if count == 1 else f"{count} statements lead"
        how = " (what runs in batches there in one statement)" if short else ""
        message = f"{lead} back: tried on a branch of the branch{how}, nothing differs"
        return (Finding(check=CHECK, severity=Severity.OK, subject="plan", message=message), *lost)

    def _tidied(self, branch_id: str) -> Branch:
        """The preview's branch, without what an earlier trial left below it."""
        project = self.project
        with translating("looking for an earlier trial of the way back"):
            parent = project.neon.branch(project.id, branch_id)
            left = project.branch_of(parent, way_back_name(parent.name))
            if left is not None:
                project.neon.delete_branch(project.id, left.id)
        return parent

    def _applied(
        self,
        branch_id: str,
        reverse: Reverse,
        base: Callable[[], Snapshot],
        detail: Callable[[str], None],
        ending: "Ending",
    ) -> Sequence[str]:
        project, neon = self.project, self.project.neon
        assert reverse.plan is not None  # noqa: S101 - the caller looked
        detail("making a branch of the branch for the way back")
        with translating("making a branch for the way back"):
            parent = self._tidied(branch_id)
            name = way_back_name(parent.name)
            branch = neon.create_branch(
                project.id,
                name=name,
                parent_id=parent.id,
                annotations={"preview-way-back": parent.name},
                expires_at=throwaway_end(),
            ).branch
        try:
            wanted = base()
            detail("trying the way back on a branch of the branch")
            apply(
                lambda: ending.holding(project.connect_disposable(branch.id, "try the way back")),
                reverse.plan,
            )
            with (
                translating("looking at the way back"),
                project.connect_reading(branch.id, "inspect the way back") as connection,
            ):
                return describe_difference(inspect(connection), wanted, compare=reverse.compare)
        finally:
            with translating(f"deleting branch {name}"):
                neon.delete_branch(project.id, branch.id)


@dataclass
class Ending:
    """Ends a trial from another thread: what runs is cancelled, and nothing more is begun."""

    _over: threading.Event = field(default_factory=threading.Event)
    _held: list[Connection] = field(default_factory=list)

    def holding(self, connection: Connection) -> Connection:
        """A connection that is cancelled at the end."""
        self._held.append(connection)
        if self._over.is_set():
            connection.close()
            raise StepFailed("the trial of the way back was given up")
        return connection

    def end(self) -> None:
        """Now."""
        self._over.set()
        for each in [*self._held]:
            with suppress(psycopg.Error):
                each.cancel_safe(timeout=5.0)


@dataclass
class WayBackLook:
    """A trial beside the other checks."""

    way_back: WayBack
    preview: Preview
    ending: Ending = field(default_factory=Ending)

    def look(self, say: Callable[[str], None]) -> tuple[Finding, ...]:
        """Try it."""
        return self.way_back.rehearse(self.preview.facts, say, self.ending)

    def stop(self) -> None:
        """End it soon, from another thread."""
        self.ending.end()


def facts_of(reverse: Reverse, short: Plan | None) -> dict[str, Any]:
    """What a preview's facts hold of its way back until it is tried, beside ``reverse``.

    Args:
        reverse: the way back.
        short: the same without batches.
    """
    return {"short": short.to_json() if short else None, "compare": reverse.compare.value}


def _of(facts: Mapping[str, Any]) -> tuple[Reverse, Plan | None]:
    told, more = facts["reverse"], facts["back"]
    reverse = Reverse(
        plan=Plan.from_json(told["plan"]) if told["plan"] else None,
        losses=tuple(Loss(**each) for each in told["losses"]),
        refused=told["refused"],
        compare=Compare(more["compare"]),
    )
    return reverse, Plan.from_json(more["short"]) if more["short"] else None


def _lost(reverse: Reverse) -> tuple[Finding, ...]:
    return tuple(_loss(each) for each in reverse.losses if each.kind != "later")


def counted(connection: Connection, reverse: Reverse) -> Reverse:
    """The way back with its losses counted; asked before the plan is applied.

    What cannot be counted (in time) keeps no count.
    """
    return replace(reverse, losses=tuple(_counted(connection, each) for each in reverse.losses))


def _counted(connection: Connection, loss: Loss) -> Loss:
    if not loss.count_sql:
        return loss
    try:
        with looking(connection):
            rows = ask(connection, loss.count_sql)
    except Exception as error:  # noqa: BLE001 - a look that fails is said, whatever the reason
        return replace(loss, detail=f"{loss.detail} (not counted: {reason(error)})")
    return replace(loss, count=int(rows[0][0] or 0) if rows else 0)


def _loss(loss: Loss) -> Finding:
    """What does not come back; nothing is at stake where nothing is there."""
    count = "" if loss.count is None else f": {loss.count:,} values" if loss.count else ": none is there"
    severity = Severity.OK if loss.count == 0 else Severity.ATTENTION
    return Finding(
        check=CHECK,
        severity=severity,
        subject=loss.on,
        message=f"the reverse plan does not bring back: {loss.detail}{count}",
    )
