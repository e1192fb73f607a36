"""Texts: renaming inside deparsed expressions touches names of columns and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.schema.names import not_null_name
from orchestrator.schema.texts import bracketed, identifiers, with_renamed


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("(name > 'name'::text)", "(full_name > 'name'::text)"),
        ("lower(name)", "lower(full_name)"),
        ("name(name)", "name(full_name)"),
        ("(x)::name", "(x)::name"),
        ('("name x" || name)', '("name x" || full_name)'),
        ("'it''s name' || name", "'it''s name' || full_name"),
        ("names + my_name + name1", "names + my_name + name1"),
        ("btree (name) WHERE (name IS NOT NULL)", "btree (full_name) WHERE (full_name IS NOT NULL)"),
    ],
)
def test_only_the_column_is_renamed(text: str, after: str) -> None:
    assert with_renamed(text, {"name": "full_name"}) == after


@given(st.text(alphabet="ab'\"() .,:1_", max_size=40))
def test_nothing_changes_without_the_name(text: str) -> None:
    assert with_renamed(text, {"zz": "yy"}) == text


@given(st.text(alphabet="ab'\"() .,", max_size=40))
def test_brackets_split_without_loss(text: str) -> None:
    inner, rest = bracketed("(" + text)
    assert inner + rest == "(" + text


def test_brackets_in_strings_do_not_count() -> None:
    assert bracketed("(a, ')' || \"(\") INCLUDE (b)") == ("(a, ')' || \"(\")", " INCLUDE (b)")


def test_identifiers_of_a_body() -> None:
    assert identifiers('SELECT "My Table".x, f(y) FROM Other') >= {"My Table", "x", "f", "y", "other"}


@pytest.mark.parametrize(
    ("table", "column", "name"),
    [
        ("t", "a", "t_a_not_null"),
        ("t" * 60, "id", "t" * 51 + "_id_not_null"),
        ("t" * 60, "c" * 60, "t" * 27 + "_" + "c" * 26 + "_not_null"),
        ("ü" * 30, "a", "ü" * 26 + "_a_not_null"),
    ],
)
def test_names_of_not_null_are_cut_as_postgresql_does(table: str, column: str, name: str) -> None:
    assert not_null_name(table, column) == name
