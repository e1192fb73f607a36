"""What the diary tells, when it is several projects'."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from orchestrator.facts import past, whose
from orchestrator.lifecycle import State, Store
from tests.orchestrator.api.conftest import asking, client, settings, site, token

__all__ = ["asking", "client", "settings", "site", "token"]


def lived(store: Store, name: str, project: str) -> None:
    """A preview that is closed already."""
    made = store.create(name=name, project=project, facts={})
    with store.lease(made.id) as lease:
        store.record(lease, to=State.DISCARDING, kind="step")
        store.record(lease, to=State.CLOSED, kind="step", note=f"of {project}")


def never() -> str:
    pytest.fail("there is nothing to ask about")


def test_a_name_means_the_projects_own_preview_unless_only_another_had_one(store: Store) -> None:
    lived(store, "pr-1", "embedded/mine")
    lived(store, "pr-1", "embedded/theirs")
    lived(store, "pr-2", "embedded/theirs")

    assert whose(store, "pr-1", lambda: "embedded/mine") == "embedded/mine"
    assert whose(store, "pr-1", lambda: "embedded/third") is None
    assert whose(store, "pr-2", never) is None
    assert whose(store, "pr-3", never) is None
    notes = [event.note for _, event in past(store, "pr-1", project="embedded/mine")]
    assert notes[-1] == "of embedded/mine"
    assert [event.note for _, event in past(store, "pr-2")][-1] == "of embedded/theirs"


def test_a_server_tells_nothing_of_another_project_of_its_store(
    asking: Callable[..., TestClient], open_store: Callable[..., Store], site: Any
) -> None:
    store = open_store("dan")
    lived(store, "pr-1", site.project)
    lived(store, "pr-1", "embedded/theirs")

    for path in ("/api/v1/history", "/api/v1/previews/pr-1/history"):
        notes = [each["note"] for each in asking("viewer").get(path).json()]
        assert notes[-1] == f"of {site.project}", path
        assert "of embedded/theirs" not in notes, path
