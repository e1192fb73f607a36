import copy
import pickle
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_client import Branch, ConnectionURI, Endpoint, Operation, Role, Secret
from neon_client.models import ENDED_BADLY, ENDED_WELL

texts = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=30
)


@given(st.text("geheim", min_size=6))
def test_a_secret_shows_itself_only_when_asked(value: str) -> None:
    secret = Secret(value)
    assert (str(secret), f"{secret}", f"{secret!r}", f"{[secret]}") == (
        "***",
        "***",
        "Secret(***)",
        "[Secret(***)]",
    )
    assert secret.reveal() == value
    assert secret == Secret(secret)
    assert secret != value
    assert secret


def test_a_secret_is_not_pickled() -> None:
    for value in (Secret("x"), ConnectionURI("postgresql://a:b@c/d")):
        with pytest.raises(TypeError):
            pickle.dumps(value)


@given(role=texts, password=texts, database=texts)
def test_a_uri_is_taken_apart_and_hidden(role: str, password: str, database: str) -> None:
    name = quote(database, safe="")
    text = f"postgresql://{quote(role, safe='')}:{quote(password, safe='')}@db.example:6543/{name}?sslmode=require"
    uri = ConnectionURI(text)
    assert (uri.role, uri.password.reveal(), uri.database) == (role, password, database)
    assert (uri.host, uri.port) == ("db.example", 6543)
    assert uri.reveal() == text
    assert str(uri) == f"postgresql://{quote(role, safe='')}:***@db.example:6543/{name}"
    assert repr(uri) == f"ConnectionURI({uri})"
    moved = uri.with_host("10.0.0.1", 5433).bare()
    assert (moved.host, moved.port, moved.role, moved.password) == ("10.0.0.1", 5433, uri.role, uri.password)
    assert "sslmode" not in moved.reveal()


def test_uris_of_all_kinds() -> None:
    neon = ConnectionURI("postgres://u:p@ep-cool-1.c-2.us-west-2.aws.neon.tech/db?sslmode=require")
    assert neon.port == 5432
    assert neon.with_host("h").reveal() == "postgres://u:p@h/db?sslmode=require"
    assert ConnectionURI("postgresql://u:p@[::1]:5433/db").with_host("fd00::1").reveal() == (
        "postgresql://u:p@[fd00::1]:5433/db"
    )
    assert str(ConnectionURI("postgresql://h/db")) == "postgresql://h/db"
    assert ConnectionURI("postgresql://h/db").with_host("i", 1).reveal() == "postgresql://i:1/db"


@pytest.mark.parametrize(
    "text", ["", "mysql://a:geheim@h/d", "postgresql://a:geheim@/d", "postgresql://a:geheim@h:x/d"]
)
def test_what_is_no_uri_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="not a connection URI") as caught:
        ConnectionURI(text)
    assert "geheim" not in str(caught.value)


def test_unknown_fields_are_kept_and_null_is_absent() -> None:
    body = {"id": "br-1", "project_id": "p", "name": "n", "parent_id": None, "brand_new": [1]}
    branch = Branch.from_json({**body, "created_at": "2025-01-02T03:04:05Z"}, {"value": {"a": "b"}})
    assert branch.extra == {"brand_new": [1]}
    assert branch.parent_id is None
    assert branch.annotations == {"a": "b"}
    assert branch.created_at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert hash(branch) == hash(copy.copy(branch))
    with pytest.raises(ValueError, match="'name'"):
        Branch.from_json({"id": "br-1", "project_id": "p"})
    with pytest.raises(ValueError, match="JSON object"):
        Endpoint.from_json([])


def test_a_role_hides_its_password() -> None:
    role = Role.from_json({"name": "r", "password": "npg_geheim"})
    assert role.password == Secret("npg_geheim")
    assert "geheim" not in repr(role)


@given(
    st.sampled_from(sorted(ENDED_WELL | ENDED_BADLY))
    | st.sampled_from(["running", "cancelling", "brand_new"])
)
def test_an_operation_is_pending_until_it_ended(status: str) -> None:
    operation = Operation.from_json({"id": "1", "project_id": "p", "action": "a", "status": status})
    assert operation.pending == (status not in ENDED_WELL | ENDED_BADLY)
