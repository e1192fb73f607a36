"""Properties of reading: a pair says what two whole snapshots say, and the order of oids changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from orchestrator.migration.planner import make_plan
from orchestrator.postgres.pair import inspect_pair
from orchestrator.schema.diff import diff
from orchestrator.schema.privileges import Compare
from tests.orchestrator.postgres.test_properties import EXAMPLES, quiet, schemas

few = settings(quiet, max_examples=max(6, EXAMPLES // 3))

FRESH = "drop schema public cascade; create schema public; drop schema if exists other cascade;"

#: Independent of each other: the order in which they are made decides nothing but oids.
PARTS = {
    "partitioned": (
        "create table log (at int not null, n int{default}, x text) partition by range (at);"
        "create table log_1 partition of log for values from (0) to ({end});"
        "create index log_n on log (n);"
    ),
    "trigger": (
        "create table told (a int, b int generated always as (a * {end}) stored);"
        "create function tells() returns trigger language plpgsql as 'begin return {row}; end';"
        "create trigger tells before insert on told for each row execute function tells();"
    ),
    "granted": (
        "create table open (a int, b text); grant select{columns} on open to public;"
        "create function opened() returns int language sql as 'select {end}';"
        "revoke all on function opened() from public;"
    ),
    "inherited": (
        "create table above (a int{default}); create table below (c text) inherits (above);"
        "alter table below add constraint rule check (a < {end});"
    ),
    "elsewhere": (
        "create schema other; create table other.t (id serial primary key, a int{default});"
        "create view other.v as select a + {end} as more from other.t;"
    ),
}


@st.composite
def parts(draw: st.DrawFn) -> list[str]:
    """Some of the parts, each in one of its forms."""
    names = draw(st.lists(st.sampled_from(sorted(PARTS)), unique=True, max_size=4))
    forms = {
        "default": st.sampled_from(["", " default 1"]),
        "end": st.sampled_from(["10", "20"]),
        "row": st.sampled_from(["new", "null"]),
        "columns": st.sampled_from(["", " (a)"]),
    }
    return [PARTS[name].format(**{each: draw(form) for each, form in forms.items()}) for name in names]


@pytest.fixture(scope="module")
def both(lasting_databases: Callable[[int], list[Any]]) -> list[Any]:
    return lasting_databases(2)


@few
@given(before=schemas(), after=schemas(), old=parts(), new=parts())
def test_a_pair_says_what_two_whole_snapshots_say(
    both: list[Any], before: str, after: str, old: list[str], new: list[str]
) -> None:
    main, goal = both
    note("\n".join([before, *old, "--->", after, *new]))
    main.run(FRESH + before + "".join(old))
    goal.run(FRESH + after + "".join(new))
    base, wanted = main.inspect(), goal.inspect()
    with main.connect() as one, goal.connect() as other:
        near, far = inspect_pair(one, other, fewest=0, most=1)
    near = replace(near, writes=base.writes)
    assert diff(near, far) == diff(base, wanted)
    whole = make_plan(base, wanted, assume_defaults=True, compare=Compare.ALL).plan
    beside = make_plan(near, far, assume_defaults=True, compare=Compare.ALL).plan
    assert whole is not None
    assert beside is not None
    assert beside.statements == whole.statements


@few
@given(before=schemas(), after=schemas(), old=parts(), new=parts())
def test_the_order_of_oids_changes_no_byte(
    both: list[Any], before: str, after: str, old: list[str], new: list[str]
) -> None:
    main, goal = both
    note("\n".join([before, *old, "--->", after, *new]))
    texts = []
    for turned in (False, True):
        for database, schema, more in ((main, before, old), (goal, after, new)):
            script = [schema, *more]
            database.run(FRESH + "".join(reversed(script) if turned else script))
        base, wanted = main.inspect(), goal.inspect()
        found = make_plan(base, wanted, assume_defaults=True, compare=Compare.ALL).plan
        assert found is not None
        texts.append((base.fingerprint(), wanted.fingerprint(), found.to_sql()))
    assert texts[0] == texts[1]
