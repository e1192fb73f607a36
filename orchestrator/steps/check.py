"""checking -> ready: look at what the rehearsal left. Reads the branch's PostgreSQL, writes nothing."""

from collections.abc import Callable

from orchestrator.checks.data import TableSums
from orchestrator.checks.report import Finding
from orchestrator.checks.runner import run_all
from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.migration.plan import Plan
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject


class CheckStep:
    """Runs all checks and keeps their report."""

    def __init__(self, project: NeonProject) -> None:
        self._project = project

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Make the report."""
        facts = preview.facts
        detail("checking rows, constraints, sequences and locks")
        with (
            translating("checking the branch"),
            self._project.connect_reading(facts["branch"]["id"], "check") as connection,
        ):
            report = run_all(
                connection,
                plan=Plan.from_json(facts["plan"]),
                traces=[s["trace"] for s in facts["plan"]["statements"] if s.get("trace")],
                rows_before=facts["rows_before"],
                values_before={
                    table: TableSums.from_json(sums) for table, sums in facts["values_before"].items()
                },
                preflight=[Finding.from_json(finding) for finding in facts["preflight"]],
            )
        return Advance(to=State.READY, note=f"verdict {report.verdict}", facts={"report": report.to_json()})
