"""A worker asks again who may, and the audit hears of every no."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.access import Caller, Role
from orchestrator.api.site import Site
from orchestrator.approval import assert_looked_at, looked_at
from orchestrator.errors import Refused
from orchestrator.jobs.work import Works
from orchestrator.lifecycle import State, Store
from orchestrator.settings import Settings

PROJECT = "embedded/test"


@pytest.fixture
def site(
    tmp_path: Path, store_uri: str, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setenv("PREVIEW_STORE_URL", store_uri)
    settings = Settings.model_validate(
        {
            "project": {"name": "nowhere", "database": "shop"},
            "goal": {"branch": "development"},
            "access": {"author_may_approve": False},
            "directory": tmp_path,
        }
    )
    open_store("ada").create(
        name="adas", project=PROJECT, facts={"runtime": "process", "authors": ["ada"], "owner": "ada"}
    )
    made = Site(settings, project=PROJECT)
    yield made
    made.close()


def refusals(site: Site, act: str, caller: Caller) -> list[tuple[str, str, str]]:
    """What the audit says of a job that was let into the queue when it still was allowed."""
    with site.book() as book:
        job, _ = book.add(project=PROJECT, act=act, name="adas", arguments={}, caller=caller)
    Works(site.settings, project=PROJECT, uri=site.uri, submissions=site.submissions).perform(job.id)
    with site.book() as book:
        assert book.get(job.id).state == "failed"
    with site.audit() as audit:
        return [(each.who, each.action, each.note) for each in audit.read() if each.outcome == "refused"]


def test_who_became_an_author_meanwhile_is_refused_and_the_audit_says_so(site: Site) -> None:
    ((who, action, note),) = refusals(site, "approve", Caller(who="ada", role=Role.APPROVER))
    assert (who, action) == ("ada", "approve")
    assert "somebody else has to approve it" in note


def test_a_job_of_a_token_that_was_revoked_is_not_begun(site: Site) -> None:
    with site.tokens() as tokens:
        token, _ = tokens.create(who="bob", role=Role.APPROVER, by="test")
        tokens.revoke(token.id, by="test")
    ((who, action, note),) = refusals(site, "promote", Caller(who="bob", role=Role.APPROVER, token=token.id))
    assert (who, action) == ("bob", "promote")
    assert "revoked" in note


def test_a_yes_is_to_what_was_there_when_it_was_given(site: Site, open_store: Callable[..., Store]) -> None:
    """Its job may wait behind one that brings the preview up anew."""
    store = open_store("bob")
    preview = store.find("adas")
    assert preview is not None
    job = site.submissions.submit(store, Caller(who="bob", role=Role.APPROVER), "approve", "adas", {})
    assert job.arguments["looked_at"] == looked_at(preview)

    with store.lease(preview.id) as lease:
        for state in (State.MIGRATING, State.LAUNCHING, State.CHECKING, State.READY):
            store.record(lease, to=state, kind="step", facts={"plan": {"digest": "p"}})
    again = store.get(preview.id)
    assert looked_at(again) != job.arguments["looked_at"]
    with pytest.raises(Refused, match="not what it was when you said yes"):
        assert_looked_at(again, str(job.arguments["looked_at"]))
    assert_looked_at(again, "")
