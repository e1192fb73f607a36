"""Side by side: no line is lost or made up, and what changed is marked."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pages.differences import Row, rows_of, side_by_side

LINES = st.lists(st.text(alphabet="ab ,()\n<", max_size=12), max_size=14)


def texts(rows: list[Row], side: str) -> list[str]:
    found = [getattr(row, side) for row in rows]
    return ["".join(text for text, _ in segments) for segments in found if segments is not None]


@given(LINES, LINES)
def test_every_line_of_both_sides_is_there_once_and_in_order(before: list[str], after: list[str]) -> None:
    rows = list(rows_of(before, after))

    assert texts(rows, "before") == before
    assert texts(rows, "after") == after
    for row in rows:
        if row.change == "same":
            assert row.before == row.after
        else:
            assert row.before is None or row.after is None or row.change == "changed"


def test_a_renamed_column_stands_beside_its_old_name() -> None:
    before = ["TABLE public.customers", "  id integer", "  name text NOT NULL"]
    after = ["TABLE public.customers", "  id integer", "  full_name text NOT NULL"]

    changed = [row for row in rows_of(before, after) if row.change != "same"]

    assert changed == [
        Row(
            change="changed",
            before=(("  ", False), ("name", True), (" text NOT NULL", False)),
            after=(("  ", False), ("full_name", True), (" text NOT NULL", False)),
        )
    ]


def test_long_equal_runs_are_folded_and_counted() -> None:
    before = ["TABLE t", *(f"  c{number} integer" for number in range(40))]
    value = {
        "subject": "table t",
        "change": "changed",
        "before": before,
        "after": [*before, "  more text"],
        "left_out": 0,
    }

    (sides,) = side_by_side({"objects": [value], "left_out": 0})

    assert [row.change for row in sides.rows] == ["same", "folded", "same", "same", "same", "added"]
    assert sides.rows[1].folded == 37
    assert (sides.removed, sides.added) == (0, 1)


def test_nothing_kept_is_nothing_shown() -> None:
    assert side_by_side(None) == ()
