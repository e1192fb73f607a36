"""What looks like a secret is hidden; what does not stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.redaction import clean

TOKEN = f"preview_admin_0a1b2c3d_{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("connect to postgresql://app:s3cr3t@db:5432/shop", "s3cr3t"),
        ("connect to postgresql://app:s3/c@r3t@db:5432/shop", "s3/c@r3t"),
        ("redis://:s3cr3t@cache/0", "s3cr3t"),
        ("host=db password=s3cr3t user=app", "s3cr3t"),
        ("host=db password = 's3 cr3t'", "s3 cr3t"),
        ('{"api_key": "k-12345"}', "k-12345"),
        ("PGPASSWORD=s3cr3t psql", "s3cr3t"),
        ("Authorization: Bearer abcdefgh12345", "abcdefgh12345"),
        ("key napi_abcdefgh12345678", "napi_abcdefgh12345678"),
        (f"token {TOKEN}", "ab" * 32),
        (f"GET /share/share_0a1b2c3d_{'ab' * 32}", "ab" * 32),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, secret: str) -> None:
    assert secret not in clean(text)
    assert "***" in clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/healthz",
        "rename:column:public.customers.password",
        "the password column",
        "public.users.password: 3 rows",
        "a: b @ c",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("piece", ["a.", "a://b:", "a://b:c@", "password", "password ", "-----BEGIN "])
def test_a_line_that_somebody_made_to_be_slow_is_not(piece: str) -> None:
    # Whatever needed the square of its length would need hours for this.
    clean(piece * 300_000)


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)
