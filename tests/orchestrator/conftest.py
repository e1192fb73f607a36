"""A diary in a PostgreSQL of this run's own, emptied for every test."""

from collections.abc import Callable, Iterator

import pytest

from neon_client import NeonClient
from neon_embedded import Running
from orchestrator.database import connect
from orchestrator.lifecycle import Store


@pytest.fixture(scope="session")
def store_uri(embedded: Running) -> str:
    with NeonClient(api_key=embedded.api_key, base_url=embedded.base_url) as neon:
        project = neon.create_project(name="diary", database_name="diary", role_name="diary_owner").project
        main = neon.default_branch(project.id)
        return neon.connection_uri(
            project.id, branch_id=main.id, database="diary", role="diary_owner"
        ).reveal()


@pytest.fixture
def open_store(store_uri: str) -> Iterator[Callable[..., Store]]:
    """Opens stores on connections of their own, as separate processes would."""
    connections = []
    with connect(store_uri, purpose="test") as admin:
        admin.execute("drop schema if exists preview_control cascade")

    def open_(who: str = "ada@test") -> Store:
        connection = connect(store_uri, purpose="test store")
        connections.append(connection)
        return Store(connection, who=who)

    yield open_
    for connection in connections:
        connection.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()
