"""What a unique index compares, read from its definition as PostgreSQL writes it."""

import pytest

from orchestrator.migration.index_keys import IndexKeys, index_keys


@pytest.mark.parametrize(
    ("definition", "keys", "condition", "equal"),
    [
        ("btree (email)", ("email",), "", False),
        ("btree (lower(email), id DESC NULLS LAST)", ("lower(email)", "id"), "", False),
        ('btree ("A, b" text_pattern_ops) INCLUDE (id)', ('"A, b"',), "", False),
        ("btree (((a || ', '::text) || b)) NULLS NOT DISTINCT", ("((a || ', '::text) || b)",), "", True),
        (
            'btree (name COLLATE "C", s.f(x, \'),(\'::text)) WHERE (gone IS NULL)',
            ('name COLLATE "C"', "s.f(x, '),('::text)"), "(gone IS NULL)", False,
        ),
        ("btree (a) INCLUDE (b) NULLS NOT DISTINCT WHERE (a > 0)", ("a",), "(a > 0)", True),
    ],
)  # fmt: skip
def test_keys(definition: str, keys: tuple[str, ...], condition: str, equal: bool) -> None:
    assert index_keys(definition) == IndexKeys(keys=keys, condition=condition, nulls_equal=equal)


@pytest.mark.parametrize("definition", ["gist (a)", "btree", "btree ()", "btree (+ 1)"])
def test_what_is_not_understood_is_not_asked_about(definition: str) -> None:
    assert index_keys(definition) is None
