"""A worker asks again who may, and the audit hears of every no."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.access import Caller, Role
from orchestrator.api.site import Site
from orchestrator.jobs.work import Works
from orchestrator.lifecycle import Store
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
