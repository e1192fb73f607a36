"""Every file of tests/cases/findings: a whole rehearsal that finds the planted fault and no more, and a clean twin.

What needs more than one database (two versions of the app, a workload on two branches, the way back) is planted where
that is tested; tests/cases/findings/README.md names and counts all of it.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from orchestrator.checks import forecast as forecasting
from orchestrator.checks import locks
from orchestrator.checks.comparing import compared
from orchestrator.checks.drops import drops
from orchestrator.checks.forecast import forecast
from orchestrator.checks.layout import layout_after, layout_before
from orchestrator.checks.names import touched_tables
from orchestrator.checks.performance import findings as judged
from orchestrator.checks.plans import explain_all
from orchestrator.checks.preflight import preflight
from orchestrator.checks.queries import Query
from orchestrator.checks.report import Finding, Report, Severity, blocking
from orchestrator.checks.rows import count_rows
from orchestrator.checks.runner import Look, run_all
from orchestrator.checks.sums import sum_tables
from orchestrator.checks.unwritten import expected, moment, written
from orchestrator.database import Connection, connect
from orchestrator.migration.compose import compose
from orchestrator.migration.locks import LockMode
from orchestrator.migration.own import own_step, pending
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.postgres.inspect import inspect
from orchestrator.postgres.ledger import begin
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.steps.migrate import softened
from orchestrator.steps.own import measured
from orchestrator.steps.telling import retyped, table_names

FOLDER = Path(__file__).parents[2] / "cases" / "findings"
FILES = sorted(FOLDER.glob("*.sql"))
LOUD = (Severity.ATTENTION, Severity.BLOCKED)
#: Statements of a plan that lies about itself, by the word of the case.
LIES = {
    "rewrites_table": lambda each: replace(
        each, hazards=tuple(hazard for hazard in each.hazards if hazard.code != "rewrites_table")
    ),
    "lock": lambda each: replace(each, lock=LockMode.SHARE_UPDATE_EXCLUSIVE),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file. What a section says `of the fault` is added in the faulty run, `of the twin` in the clean one."""

    finds: tuple[str, ...]
    says: tuple[str, ...]
    lies: tuple[str, ...]
    sections: dict[str, str]

    def text(self, section: str, *, faulty: bool) -> str:
        more = f"{section} of the {'fault' if faulty else 'twin'}"
        return self.sections.get(section, "") + self.sections.get(more, "")


def read(file: Path) -> Case:
    sections: dict[str, str] = {}
    told: dict[str, list[str]] = {"finds": [], "says": [], "lies": []}
    section = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        word, colon, rest = line.removeprefix("-- ").partition(": ")
        if line.startswith("-- ") and colon and word in told:
            told[word].append(rest)
        elif line.startswith("-- "):
            section = line.removeprefix("-- ")
            sections[section] = ""
        else:
            sections[section] += line + "\n"
    return Case(sections=sections, **{word: tuple(found) for word, found in told.items()})


@pytest.fixture
def goal_of(branch: Connection, uri: Callable[[], str]) -> Iterator[Callable[[str], Snapshot]]:
    """Makes a schema in a database beside the branch; gives its snapshot."""

    def made(text: str) -> Snapshot:
        branch.execute("create database goal")
        with connect(uri().replace(branch.info.dbname, "goal"), purpose="goal") as connection:
            connection.execute(text.encode())
            return inspect(connection)

    yield made
    branch.execute("drop database if exists goal with (force)")


def rehearsed(
    case: Case,
    branch: Connection,
    reader: Connection,
    uri: str,
    goal_of: Callable[[str], Snapshot],
    *,
    faulty: bool,
) -> Report:
    """The way of the steps `migrate` and `check`, in one database; every look is a reader's."""
    branch.execute(case.text("before", faulty=faulty).encode())
    base, goal = inspect(branch), goal_of(case.text("goal", faulty=faulty))
    planned = make_plan(base, goal, assume_defaults=True).plan
    assert planned is not None
    texts = case.text("step", faulty=faulty)
    own = pending([own_step("step.sql", texts, when="after")], {}) if texts else {}
    plan = compose(planned, own=own)
    asked = softened(preflight(reader, plan), plan)
    if blocking(asked):
        return Report(findings=asked)
    tables = table_names(base)
    since = moment(reader)
    rows = count_rows(reader, tables)
    read = {"touched": touched_tables(plan), "casts": retyped(base, goal)}
    values = sum_tables(reader, tables, **read)
    left = expected(plan, since, rows, triggers=bool(base.of_kind("trigger")))
    lean = sum_tables(reader, tables, **read, unread=left)
    asked = (*asked, *drops(reader, plan))
    with ExitStack() as sessions:
        if text := case.text("session", faulty=faulty):
            sessions.enter_context(connect(uri, purpose="other", autocommit=False)).execute(text.encode())
        foreseen = forecast(reader, plan)
    queries = [
        Query(id=f"q{number}", role="", text=text, calls=100, total_ms=10.0, hours=1.0)
        for number, text in enumerate(filter(None, case.text("queries", faulty=faulty).splitlines()))
    ]
    sent = {each.id: each.text for each in queries}
    before, layout = explain_all(reader, sent), layout_before(reader)
    if own:
        begin(branch)
    traces = apply(lambda: connect(uri, purpose="apply"), plan)
    assert not describe_difference(inspect(branch), goal)
    branch.execute(case.text("by hand", faulty=faulty).encode() or b"select 1")
    if not written(reader, lean):  # else the step begins again and reads everything
        values = lean
    plan = measured(plan, traces)
    lies = [LIES[word] for word in case.lies if faulty]
    told = replace(plan, statements=tuple(lies[0](each) for each in plan.statements)) if lies else plan

    def performance() -> tuple[Finding, ...]:
        now = layout_after(reader)
        return judged(
            compared(queries, before, explain_all(reader, sent), now), plan, now, layout, "the case"
        )

    return run_all(
        reader,
        plan=told,
        traces=json.loads(json.dumps([trace.to_json() for trace in traces])),
        rows_before=rows,
        preflight=asked,
        values_before=values,
        more=[
            Look(check="forecast", look=lambda _: foreseen),
            *([Look(check="performance", look=lambda _: performance())] if queries else []),
        ],
    )


def loud(report: Report) -> list[tuple[str, str]]:
    return sorted((each.severity.value, each.name) for each in report.findings if each.severity in LOUD)


def test_the_table_names_and_counts_every_file():
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{len(FILES)} faults, {len(FILES)} clean twins." in table
    assert [file.stem for file in FILES if f"| {file.stem} |" not in table] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("faulty", [True, False], ids=["fault", "twin"])
def test_the_fault_is_found_with_its_object_and_nothing_in_the_twin(
    file, faulty, branch, reader, uri, goal_of, monkeypatch
):
    monkeypatch.setattr(forecasting, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(locks, "LONG_PAUSE_MS", 600_000.0)  # a slow machine is no fault of a plan's
    branch.execute("grant pg_read_all_stats to reader")
    case = read(file)
    report = rehearsed(case, branch, reader, uri(), goal_of, faulty=faulty)
    found = loud(report)
    if not faulty:
        assert found == [], [each.message for each in report.findings if each.severity in LOUD]
        return
    wanted = sorted(tuple(each.split(" ", 1)) for each in case.finds)
    said = "\n".join(f"{each.name}: {each.message}" for each in report.findings)
    assert len(found) == len(wanted), said
    pairs = zip(found, wanted, strict=True)
    assert all(a == b and fnmatchcase(name, pattern) for (a, name), (b, pattern) in pairs), said
    assert [words for words in case.says if words not in said] == [], said
