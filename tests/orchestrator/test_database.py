"""The door to PostgreSQL: what its messages show, and what they never show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.database import connect, lock_key, redacted
from orchestrator.errors import DatabaseUnreachable

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (
            f"postgresql://me:{SECRET}@db.example:5433/shop?sslmode=require",
            "postgresql://me@db.example:5433/shop",
        ),
        (
            f"host=db.example port=5433 user=me password={SECRET} dbname=shop",
            "postgresql://me@db.example:5433/shop",
        ),
        (f"postgresql://me:{SECRET}@[::1]:5433/shop", "postgresql://me@[::1]:5433/shop"),
        ("postgresql:///shop", "postgresql:///shop"),
        (f"postgresql://me:12/{SECRET}@h/z", "(a database URL that cannot be parsed)"),
        (f"nonsense {SECRET}", "(a database URL that cannot be parsed)"),
        (f"postgresql://me:{SECRET}@h:port/z", "postgresql://me@h:port/z"),
    ],
)
def test_redacted(uri: str, shown: str) -> None:
    assert redacted(uri) == shown


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://me:{SECRET}@127.0.0.1:1/x",
        f"host=127.0.0.1 port=1 user=me password={SECRET} dbname=x",
        f"postgresql://me:12/{SECRET}@127.0.0.1/x",
        f"nonsense {SECRET}",
        f"postgresql://me:{SECRET}@127.0.0.1:notaport/x",
        f"postgresql://me:{SECRET}@127.0.0.1:1/x?nonsense=1",
        f"postgresql://{SECRET}%zz@127.0.0.1:1/x",
    ],
)
def test_no_error_shows_the_password(uri: str) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        connect(uri, purpose="test")

    assert SECRET not in caught.value.message + caught.value.hint
    assert caught.value.__cause__ is None


@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=6, max_size=20))
def test_whatever_is_put_between_colon_and_at_is_not_shown(password: str) -> None:
    marked = f"Qz9{password}9zQ"

    assert marked not in redacted(f"postgresql://me:{marked}@127.0.0.1:1/x")


def test_lock_keys_are_stable_and_fit_a_bigint() -> None:
    assert lock_key("promotion", "p", "db") == lock_key("promotion", "p", "db")
    assert lock_key("a", "bc") != lock_key("ab", "c")
    assert -(2**63) <= lock_key("x") < 2**63
