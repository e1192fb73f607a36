"""The second look's finding, and the error that names what our own eyes missed."""

import pytest

from orchestrator.checks.report import Severity
from orchestrator.checks.second_look import second_look
from orchestrator.errors import PlanDoesNotConverge
from orchestrator.schema.dumped import Seen

GOAL = Seen(server=16, entries={"TABLE public.a": "CREATE TABLE public.a (\nid integer\n);"})


def test_equal():
    found = second_look(GOAL, GOAL)
    assert found.severity is Severity.OK
    assert "1 objects, no difference" in found.message


@pytest.mark.parametrize(
    ("have", "want", "said"),
    [
        (Seen(server=16, reason="there is no pg_dump"), GOAL, "there is no pg_dump"),
        (GOAL, Seen(server=16, reason="pg_dump refused: no"), "pg_dump refused: no"),
        (GOAL, Seen(server=18, entries=GOAL.entries), "PostgreSQL 16 and the goal 18"),
    ],
)
def test_what_was_not_looked_at_is_never_equal(have, want, said):
    found = second_look(have, want)
    assert found.severity is Severity.NOT_LOOKED_AT
    assert said in found.message


def test_what_only_pg_dump_sees_fails_with_both_texts():
    long = "\n".join(str(number) for number in range(100))
    have = Seen(server=16, entries={"TABLE public.a": "CREATE TABLE public.a ();", "RULE public.r": long})
    with pytest.raises(PlanDoesNotConverge) as failed:
        second_look(have, GOAL)
    assert failed.value.message.endswith("RULE public.r and 1 more")
    assert "the goal has:\n    (nothing)" in failed.value.detail
    assert "... 60 more lines" in failed.value.detail
    assert "id integer" in failed.value.detail
