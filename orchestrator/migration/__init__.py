"""How to get from one snapshot to another without hurting anyone. Never sees a driver, a clock or a file."""

from orchestrator.migration.plan import Plan


def part_of(remaining: Plan, approved: Plan) -> tuple[str, ...]:
    """The SQL of statements in ``remaining`` that were never approved; empty: nothing has moved.

    This is how a promotion resumes and how it sees that main moved: what is left to do after an
    interruption is always a part of what was approved. Statements that clean up after an interrupted run
    of our own (``repair``) need no approval.
    """
    known = {statement.sql for statement in approved.statements}
    return tuple(
        statement.sql
        for statement in remaining.statements
        if not statement.repair and statement.sql not in known
    )
