"""Messages: what is said of what, and no markup of a chat out of names and notes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from orchestrator.lifecycle.following import Followed
from orchestrator.notify.words import message
from orchestrator.sections import NotifySection


def event(kind: str, state: str, *, name: str = "pr-1", note: str = "") -> Followed:
    return Followed(
        id=7, at=datetime(2026, 1, 1, tzinfo=UTC), project="p", preview_id="0123abcd", name=name, created_by="dan",
        who="ada", kind=kind, state=state, note=note, detail={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "state", "what"),
    [
        ("step", "ready", "ready"), ("step", "waiting", "needs_answer"), ("approved", "ready", "approved"),
        ("step", "promoted", "promoted"), ("failed", "failed", "failed"), ("refused", "ready", "refused"),
        ("requested", "branching", None), ("step", "migrating", None), ("answered", "waiting", None),
        ("asleep", "ready", None), ("awake", "ready", None), ("requested", "ready", None),
        ("reverted", "closed", "reverted"), ("revert failed", "closed", "failed"), ("step", "closed", "discarded"),
        ("shared", "ready", None),
    ],
)  # fmt: skip
def test_what_is_said_of_an_event(kind: str, state: str, what: str | None) -> None:
    said = message(event(kind, state))

    assert (said.what if said else None) == what


def test_what_went_to_production_or_was_replaced_is_not_called_discarded() -> None:
    assert message(replace(event("step", "closed"), promoted=True)) is None
    assert message(replace(event("step", "closed"), shadow=True)) is None


def test_no_secret_leaves_in_a_note() -> None:
    said = message(event("failed", "failed", note="cannot reach postgresql://app:s3cret@db.example/shop"))

    assert said is not None
    assert "s3cret" not in str(said.body("webhook", None))
    assert "s3cret" not in str(said.body("chat", None))


def test_a_chat_gets_no_link_or_mention_out_of_a_note() -> None:
    said = message(event("failed", "failed", note="<!channel> <https://evil.example|click> `x`"))
    assert said is not None

    body = str(said.body("chat", "https://previews.example.com"))

    assert "<!channel>" not in body
    assert "<https://evil.example" not in body
    assert "<https://previews.example.com/previews/pr-1|pr-1> failed" in body


@pytest.mark.parametrize(
    "target",
    [
        {"url": "ftp://x"},
        {},
        {"url": "http://x", "url_env": "X"},
        {"url": "http://x", "kind": "chat", "secret_env": "S"},
    ],
)
def test_settings_that_cannot_be_used_are_refused(target: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        NotifySection.model_validate({"to": [target]})
    with pytest.raises(ValidationError):
        NotifySection.model_validate({"to": [{"url": "http://x"}, {"url": "http://y"}]})
