"""The second look: branch and goal compared as pg_dump sees them, after our own eyes saw no difference. Pure."""

from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.report import Finding, Severity
from orchestrator.errors import PlanDoesNotConverge
from orchestrator.schema.dumped import Seen, Unlike, unlike

CHECK = "second look"

#: How many lines of a text an error shows; the rest is the same kind of thing.
_LINES = 40


def second_look(have: Seen, want: Seen) -> Finding:
    """The finding: equal, or why pg_dump did not look.

    Args:
        have: the branch after the plan was applied.
        want: the goal.

    Raises:
        PlanDoesNotConverge: pg_dump sees a difference that inspect did not see; names the object, with both texts.
    """
    if have.reason or want.reason:
        return not_looked_at(CHECK, "schema", have.reason or want.reason)
    if have.server != want.server:
        why = f"the branch runs PostgreSQL {have.server} and the goal {want.server}, which write one schema in two ways"
        return not_looked_at(CHECK, "schema", why)
    found = unlike(have.entries, want.entries)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise PlanDoesNotConverge(
            f"pg_dump sees a difference that the plan does not know: {found[0].entry}{more}",
            detail="\n".join(_shown(each) for each in found[:5]),
            hint="this is a fault of the generator: please report the texts below; until it is mended, "
            "make this change by hand on main or take it out of the goal",
        )
    message = f"pg_dump sees the goal's schema too: {len(want.entries):,} objects, no difference"
    return Finding(check=CHECK, severity=Severity.OK, subject="schema", message=message)


def _shown(found: Unlike) -> str:
    sides = []
    for word, text in (("the branch has", found.have), ("the goal has", found.want)):
        lines = (text or "(nothing)").splitlines()
        rest = [f"    ... {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
        sides.append("\n".join([f"  {word}:", *(f"    {line}" for line in lines[:_LINES]), *rest]))
    return "\n".join([found.entry, *sides])
