"""The way back, tried: the reverse plan applied on a throw-away branch of the preview's branch. Touches Neon."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from orchestrator.checks.looking import ask, looking, not_looked_at, reason
from orchestrator.checks.report import Finding, Severity
from orchestrator.database import Connection
from orchestrator.errors import OrchestratorError
from orchestrator.migration.plan import Plan
from orchestrator.migration.reverse import Loss, Reverse
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.steps.backstop import lending, throwaway_end
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject, way_back_name

CHECK = "revert"


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """Proves reverse plans.

    Attributes:
        project: where.
        prove: whether they are tried at all (``migration.prove_reverse``).
    """

    project: NeonProject
    prove: bool = True

    def try_out(
        self,
        branch_id: str,
        reverse: Reverse,
        base: Snapshot,
        detail: Callable[[str], None],
        *,
        short: Plan | None = None,
    ) -> tuple[Finding, ...]:
        """Apply the reverse plan on a branch of the branch, look whether it is the base again, and delete it.

        A way back that does not work stops no preview: it is a finding that says why.

        Args:
            branch_id: the preview's branch, migrated.
            reverse: the way back, its losses counted.
            base: what must be there again.
            detail: told what is being done.
            short: the same way without batches, where it has some: what is tried, because nobody works there.
        """
        if reverse.plan is None:
            message = (
                f"there is no reverse plan: {reverse.refused}; only a restore point would bring main back"
            )
            return (Finding(check=CHECK, severity=Severity.ATTENTION, subject="plan", message=message),)
        lost = tuple(_loss(each) for each in reverse.losses if each.kind != "later")
        if not self.prove:
            return (not_looked_at(CHECK, "plan", "migration.prove_reverse is off"), *lost)
        try:
            left = self._applied(branch_id, replace(reverse, plan=short or reverse.plan), base, detail)
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

    def _applied(
        self, branch_id: str, reverse: Reverse, base: Snapshot, detail: Callable[[str], None]
    ) -> Sequence[str]:
        project, neon = self.project, self.project.neon
        assert reverse.plan is not None  # noqa: S101 - the caller looked
        with lending(neon, project.id, branch_id):
            detail("making a branch of the branch for the way back")
            with translating("making a branch for the way back"):
                parent = neon.branch(project.id, branch_id)
                name = way_back_name(parent.name)
                left = project.branch_of(parent, name)
                if left is not None:
                    neon.delete_branch(project.id, left.id)
                branch = neon.create_branch(
                    project.id,
                    name=name,
                    parent_id=parent.id,
                    annotations={"preview-way-back": parent.name},
                    expires_at=throwaway_end(),
                ).branch
            try:
                detail("trying the way back on a branch of the branch")
                apply(lambda: project.connect_disposable(branch.id, "try the way back"), reverse.plan)
                with (
                    translating("looking at the way back"),
                    project.connect_reading(branch.id, "inspect the way back") as connection,
                ):
                    return describe_difference(inspect(connection), base, compare=reverse.compare)
            finally:
                with translating(f"deleting branch {name}"):
                    neon.delete_branch(project.id, branch.id)


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
