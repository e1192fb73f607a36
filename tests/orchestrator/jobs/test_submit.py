"""What is asked is a job and an entry of the audit, or neither: the process may end between any two writes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from orchestrator.access import Audit, Caller, Role
from orchestrator.acts import ACTS
from orchestrator.acts.table import Discard, Request
from orchestrator.api.site import Site
from orchestrator.errors import DatabaseUnreachable, UsageError
from orchestrator.lifecycle import State, Store, Wanted
from orchestrator.settings import Settings

PROJECT = "embedded/test"
ADA = Caller(who="ada", role=Role.ADMIN)


@pytest.fixture
def site(
    tmp_path: Path, store_uri: str, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setenv("PREVIEW_STORE_URL", store_uri)
    settings = Settings.model_validate(
        {
            "project": {"name": "nowhere", "database": "shop"},
            "goal": {"branch": "development"},
            "directory": tmp_path,
        }
    )
    open_store("ada")
    made = Site(settings, project=PROJECT)
    yield made
    made.close()


def test_no_job_lies_here_that_the_audit_does_not_know(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_given: object, **_more: object) -> None:
        raise psycopg.OperationalError("the process ends here")

    with monkeypatch.context() as patched:
        patched.setattr(Audit, "write", end)
        with pytest.raises(DatabaseUnreachable), site.store("ada") as store:
            site.submissions.submit(store, ADA, "up", "pr-1", {}, request="one")
    with site.book() as book:
        assert book.of_project(PROJECT) == ()

    with site.store("ada") as store:
        job = site.submissions.submit(store, ADA, "up", "pr-1", {}, request="one")
        assert site.submissions.submit(store, ADA, "up", "pr-1", {}, request="one").id == job.id
    with site.audit() as audit:
        assert [each.note for each in audit.read() if each.action == "up"] == [f"job {job.id}"]


def test_a_key_that_another_project_of_the_store_had_shows_nothing_of_its_job(site: Site) -> None:
    with site.book() as book:
        book.add(project="embedded/theirs", act="up", name="pr-1", arguments={}, caller=ADA, request="one")
    with pytest.raises(UsageError, match="had this key already"), site.store("ada") as store:
        site.submissions.submit(store, ADA, "up", "pr-1", {}, request="one")


def test_a_discard_of_what_is_being_made_is_done_when_whoever_made_it_has_removed_it(site: Site) -> None:
    with site.store("ada") as store:
        row = store.create(name="pr-1", project=PROJECT, facts={"runtime": "process"})
        job = site.submissions.submit(store, ADA, "discard", "pr-1", {})
        assert store.get(row.id).wanted is Wanted.CLOSED
        with site.book() as book:
            assert book.get(job.id).preview_id == row.id
        with store.lease(row.id) as lease:
            for state in (State.DISCARDING, State.CLOSED):
                store.record(lease, to=state, kind="step")
        another = store.create(name="pr-1", project=PROJECT, facts={"runtime": "process"})
        rooms: Any = SimpleNamespace(store=store)
        done = ACTS["discard"].run(
            Request(rooms=rooms, name="pr-1", caller=ADA, preview_id=row.id), Discard.model_validate({})
        )
        assert done.id == row.id
        assert store.get(another.id).wanted is Wanted.READY
