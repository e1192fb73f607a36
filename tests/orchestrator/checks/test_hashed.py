"""How values are hashed, on a real PostgreSQL: what differs as text differs as a hash, by every way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from orchestrator.checks.hashed import hashed, way_of

WAYS = {
    "smallint": "whole",
    "integer": "whole",
    "bigint": "whole",
    "boolean": "truth",
    "uuid": "uuid",
    "timestamp(3) with time zone": "moment",
    "timestamp without time zone": "moment",
}
#: Values that a hash of fewer bits, or one that knows equality by a type's own rules, takes for the same.
CLOSE = {
    "bigint": (
        "0",
        "1",
        "4294967296",
        "-1",
        "-4294967296",
        "-4294967297",
        "8589934592",
        "9223372036854775807",
    ),
    "boolean": ("true", "false"),
    "uuid": ("00000000-0000-0000-0000-000000000001", "00000000-0000-0001-0000-000000000000"),
    "timestamp with time zone": (
        "2026-01-02 03:04:05",
        "2026-01-02 03:04:05.000001",
        "infinity",
        "-infinity",
    ),
    "numeric": ("5", "-5", "5.0", "5.00", "50", "NaN"),
    "text": ("", " ", "a", "A", "a "),
    "character varying": ("a", "a "),
    "double precision": ("0", "-0", "1e300"),
    "jsonb": ('{"a": 1}', '{"a": 1.0}'),
}


def one(branch, type_: str, value: str, seed: int = 0) -> int:
    given_value = sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(type_))
    query = sql.SQL("select {}").format(hashed(given_value, way_of(type_), sql.SQL("{}::int8").format(seed)))
    [(found,)] = branch.execute(query).fetchall()
    return int(found)


def test_only_types_whose_function_tells_all_values_apart_have_a_way_of_their_own():
    assert {type_: way_of(type_) for type_ in WAYS} == WAYS
    for type_ in ("numeric(8,2)", "text", "date", "integer[]", "public.uuid", '"integer "', "interval"):
        assert way_of(type_) == ""


@pytest.mark.parametrize("type_", CLOSE)
def test_values_that_read_differently_are_told_apart_and_bound_to_the_seed(branch, type_):
    found = [one(branch, type_, value, seed) for value in CLOSE[type_] for seed in (0, 1)]
    assert len({*found}) == 2 * len(CLOSE[type_])


def test_a_whole_number_is_the_same_in_each_of_its_types(branch):
    assert len({one(branch, type_, "-7") for type_ in ("smallint", "integer", "bigint")}) == 1


def test_any_two_whole_numbers_are_told_apart(branch):
    @settings(max_examples=50, deadline=None)
    @given(st.sets(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=50))
    def told_apart(numbers: set[int]) -> None:
        query = sql.SQL("select count(distinct {}) from unnest({}::int8[]) v").format(
            hashed(sql.Identifier("v"), "whole", sql.SQL("0::int8")), sql.Literal([*numbers])
        )
        assert branch.execute(query).fetchall() == [(len(numbers),)]

    told_apart()
