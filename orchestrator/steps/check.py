"""checking -> ready: look at what the rehearsal left, and at main's sessions. Reads PostgreSQL, writes nothing."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from orchestrator.checks.compatibility import CHECK as COMPATIBILITY
from orchestrator.checks.data import CHECK as VALUES
from orchestrator.checks.forecast import CHECK as FORECAST
from orchestrator.checks.forecast import forecast
from orchestrator.checks.policy import Policy, idle_rules, judged
from orchestrator.checks.report import Finding, Severity
from orchestrator.checks.runner import Look, run_all
from orchestrator.checks.sums import Limits, TableSums
from orchestrator.checks.used_indexes import CHECK as PERFORMANCE
from orchestrator.checks.ways_out import CHECK as SAFETY
from orchestrator.checks.ways_out import ways_out
from orchestrator.lifecycle import Advance, Next, Preview, State
from orchestrator.migration.plan import Plan
from orchestrator.steps.backstop import lending
from orchestrator.steps.border import translating
from orchestrator.steps.compatibility import Compatibility, CompatibilityLook
from orchestrator.steps.project import NeonProject
from orchestrator.steps.queries import QueryLook
from orchestrator.steps.way_back import CHECK as REVERT
from orchestrator.steps.way_back import WayBack, WayBackLook
from orchestrator.steps.workload import Workload, WorkloadLook


class CheckStep:
    """Runs all checks and keeps their report."""

    def __init__(
        self,
        project: NeonProject,
        policy: Policy,
        *,
        workload: Workload,
        slower: float,
        compatibility: Compatibility,
        way_back: WayBack,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._limits = limits
        self._compatibility = compatibility
        self._way_back = way_back
        self._project = project
        self._policy = policy
        self._workload = workload
        self._slower = slower

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        """Make the report."""
        facts = preview.facts
        with (
            translating("checking the branch"),
            self._project.connect_reading(facts["branch"]["id"], "check") as connection,
            lending(self._project.neon, self._project.id, facts["branch"]["id"]),
            ExitStack() as todo,
        ):
            plan = Plan.from_json(facts["plan"])
            queries = QueryLook(
                plan=plan, before=facts.get("queries"), connection=connection, slower=self._slower
            )
            today = self._compatibility.today(preview)
            today.handed_on = self._workload.has_files()
            todo.callback(today.forget)
            runs = WorkloadLook(lambda say: self._workload.run(preview, connection, today, say))
            versions = CompatibilityLook(self._compatibility, preview, plan, today)
            back = WayBackLook(self._way_back, preview)
            report = run_all(
                connection,
                plan=plan,
                traces=[s["trace"] for s in facts["plan"]["statements"] if s.get("trace")],
                rows_before=facts["rows_before"],
                values_before={
                    table: TableSums.from_json(sums) for table, sums in facts["values_before"].items()
                },
                preflight=[
                    Finding.from_json(finding) for finding in (*facts["preflight"], *facts.get("safety", ()))
                ],
                limits=self._limits,
                detail=detail,
                more=[
                    *(
                        [Look(check=REVERT, look=back.look, beside=True, stop=back.stop)]
                        if facts.get("back")
                        else []
                    ),
                    Look(check=SAFETY, look=lambda _: ways_out(connection)),
                    Look(check=FORECAST, look=lambda _: self._forecast(plan)),
                    Look(check=PERFORMANCE, look=lambda _: queries.look(), measures=queries.measures),
                    Look(check=PERFORMANCE, look=runs.look, measures=runs.measures, alone=True),
                    Look(
                        check=COMPATIBILITY,
                        look=versions.look,
                        measures=versions.measures,
                        beside=True,
                        stop=versions.stop,
                    ),
                ],
            )
        if (facts.get("command") or {}).get("on_main"):
            report = replace(report, findings=tuple(_by_command(finding) for finding in report.findings))
        idle = idle_rules(report, self._policy)
        report = judged(report, self._policy)
        note = f"verdict {report.verdict}" + (f" (rules that fit nothing: {', '.join(idle)})" if idle else "")
        return Advance(to=State.READY, note=note, facts={"report": report.to_json(), "back": None})

    def _forecast(self, plan: Plan) -> tuple[Finding, ...]:
        """Who a promotion would wait for now."""
        with self._project.connect_reading(self._project.main.id, "forecast") as main:
            return forecast(main, plan)


def _by_command(finding: Finding) -> Finding:
    """A migration command may change values, and will do the same on main; rows that it deleted still block."""
    if finding.check != VALUES or finding.severity is not Severity.BLOCKED:
        return finding
    return replace(
        finding,
        severity=Severity.ATTENTION,
        message="values changed, by the migration command or what it set off; compare some of them",
    )
