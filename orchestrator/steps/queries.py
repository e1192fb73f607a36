"""Production's queries around a rehearsal: read from main, planned on the branch before and after. Writes to the diary.

Both looks are at the preview's own branch: before the plan is applied it is the untouched copy of main, with the same
rows, statistics and settings, so that no second branch is needed for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.checks.comparing import compared
from orchestrator.checks.exported import read_export
from orchestrator.checks.layout import layout_after, layout_before
from orchestrator.checks.looking import not_looked_at, reason
from orchestrator.checks.performance import findings, measures
from orchestrator.checks.plans import Planned, Shape, explain_all, planned_from_json
from orchestrator.checks.queries import (
    HOW_TO_ENABLE,
    HOW_TO_GRANT,
    NoStatistics,
    Query,
    merged,
    read_queries,
    still_run,
    top,
)
from orchestrator.checks.report import Finding
from orchestrator.checks.used_indexes import CHECK
from orchestrator.database import Connection
from orchestrator.errors import SettingsError
from orchestrator.lifecycle.kept import Kept
from orchestrator.migration.plan import Plan
from orchestrator.settings import Settings
from orchestrator.steps.project import NeonProject

#: How many queries are planned: those that took most of production's time.
PLANNED = 300
#: A longer text (of thousands of parameters) is not carried in the diary, characters.
LONGEST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    """Queries, where they came from in words, and what could not be taken."""

    queries: tuple[Query, ...]
    source: str
    unseen: tuple[tuple[str, str], ...] = ()


@dataclass(kw_only=True)
class QueryLook:
    """The second look and what came of it; the runner asks for findings first, then for figures."""

    plan: Plan
    before: Mapping[str, Any] | None
    connection: Connection
    slower: float
    figures: dict[str, Any] = field(default_factory=dict)

    def look(self) -> tuple[Finding, ...]:
        """Plan the queries on the migrated branch and compare."""
        if self.before is None:
            return (
                not_looked_at(CHECK, "queries", "production's queries were not read before the migration"),
            )
        unseen = tuple(not_looked_at(CHECK, subject, why) for subject, why in self.before["unseen"])
        if not self.before["queries"]:
            return unseen
        queries = [Query.from_json(each) for each in self.before["queries"]]
        before = {
            each["id"]: planned_from_json(each["plan"]) for each in self.before["queries"] if each["plan"]
        }
        # What main itself cannot plan without values is not asked again.
        asked = {each.id: each.text for each in queries if isinstance(before.get(each.id), Shape)}
        after = explain_all(self.connection, asked)
        layout = layout_after(self.connection)
        result = compared(queries, before, after, layout, slower=self.slower)
        self.figures["queries"] = measures(result, self.before["source"])
        found = findings(result, self.plan, layout, self.before["layout"], self.before["source"])
        return (*found, *unseen)

    def measures(self) -> Mapping[str, Any]:
        """``queries``, after `look`."""
        return self.figures


class PastQueries:
    """Reads production's queries, keeps them over main's restarts, and plans them before the migration."""

    def __init__(self, project: NeonProject, settings: Settings, kept: Kept) -> None:
        self._project = project
        self._settings = settings
        self._kept = kept

    def before(self, connection: Connection, detail: Callable[[str], None]) -> dict[str, Any]:
        """The first look, JSON for the diary: ``source``, ``queries`` with their plans, ``layout``, ``unseen``.

        What fails here is said in the report and stops nothing.

        Args:
            connection: to the preview's branch, untouched.
            detail: told what is done.

        Raises:
            SettingsError: the file of `report.statements` cannot be read.
        """
        detail("planning production's queries")
        try:
            gathered = self._gathered()
            chosen = top((each for each in gathered.queries if len(each.text) <= LONGEST), PLANNED)
            plans = explain_all(connection, {each.id: each.text for each in chosen})
            mine = [each for each in chosen if not _of_the_system(plans.get(each.id))]
            unseen = [list(each) for each in gathered.unseen]
            if len(gathered.queries) > len(chosen):
                more = len(gathered.queries) - len(chosen)
                unseen.append(["further queries", f"{more:,} queries that took less time than these"])
            return {
                "source": gathered.source,
                "queries": [{**each.to_json(), "plan": _plan_json(plans.get(each.id))} for each in mine],
                "layout": layout_before(connection) if mine else {"indexes": [], "tables": []},
                "unseen": unseen,
            }
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001 - a look that fails is a finding, and the rehearsal goes on
            return {
                "source": "",
                "queries": [],
                "layout": {"indexes": [], "tables": []},
                "unseen": [["queries", reason(error)]],
            }

    def _gathered(self) -> _Gathered:
        file = self._settings.report.statements
        if file is not None:
            return _Gathered(queries=read_export(file, self._text(file)), source=file)
        try:
            with self._project.connect_reading(self._project.main.id, "read queries") as main:
                seen = read_queries(main)
        except NoStatistics:
            why = f"production's queries are not known: {HOW_TO_ENABLE}"
            return _Gathered(queries=(), source="", unseen=(("queries", why),))
        kept = self._kept.change(f"queries of {self._project.database}", lambda old: merged(old, seen))
        unseen: list[tuple[str, str]] = []
        if seen.hidden:
            unseen.append(
                ("queries of other roles", f"{seen.hidden:,} texts are hidden from us: {HOW_TO_GRANT}")
            )
        if seen.skipped:
            unseen.append(("queries with values", f"{seen.skipped:,} were not normalised and are left out"))
        return _Gathered(
            queries=still_run(kept, seen.at),
            source="pg_stat_statements",
            unseen=tuple(unseen),
        )

    def _text(self, file: str) -> str:
        try:
            return self._settings.path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"report.statements: {file} cannot be read ({type(error).__name__})"
            ) from None


def _plan_json(plan: Planned | None) -> dict[str, Any] | None:
    return plan.to_json() if plan is not None else None


def _of_the_system(plan: Planned | None) -> bool:
    """Whether a query only looks at PostgreSQL's own tables: monitoring, and ourselves."""
    if not isinstance(plan, Shape):
        return False
    names: Sequence[str] = [name for name, _ in (*plan.scans, *plan.indexes)]
    return bool(names) and all(name.startswith(("pg_catalog.", "pg_toast.")) for name in names)
