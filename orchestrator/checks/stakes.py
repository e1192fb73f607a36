"""Stakes: which questions about rows must be put to a person, because the branch has such rows. Never writes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, ask, looking
from orchestrator.checks.preflight import examples
from orchestrator.database import Connection
from orchestrator.migration.at_stake import AtStake
from orchestrator.schema.questions import Question


def open_questions(
    connection: Connection,
    stakes: Iterable[AtStake],
    answers: Mapping[str, str],
    *,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> tuple[Question, ...]:
    """The questions without an answer whose probes find rows, with how many and which, sorted by id.

    A probe that fails or takes too long asks nothing: preflight asks it again and reports it as not looked at.

    Args:
        connection: to a database that has the plan's base schema: the branch, before the plan is applied.
        stakes: the plan's questions about rows.
        answers: what was answered already.
        timeout_ms: how long one probe may take, milliseconds.
    """
    found: dict[str, Question] = {}
    for each in stakes:
        question = found.get(each.question.id, each.question)
        if question.id in answers:
            continue
        try:
            with looking(connection, timeout_ms=timeout_ms):
                rows = ask(connection, each.probe.count_sql)
                count = int(rows[0][0] or 0) if rows else 0
        except Exception:  # noqa: BLE001, S112 - preflight asks again and says why it could not look
            continue
        if count:
            problem = each.probe.problem.replace("{count}", f"{count:,}")
            shown = examples(connection, each.probe, count, timeout_ms)
            evidence = f"{problem}: {shown}" if shown else problem
            found[question.id] = replace(question, evidence=(*question.evidence, evidence))
    return tuple(found[each] for each in sorted(found))
