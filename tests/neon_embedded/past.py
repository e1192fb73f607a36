"""What tests of points in time share: a project whose main has a history, and moments in it."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import httpx
import psycopg
import pytest

from .conftest import World


class Past:
    """A project of these tests' own whose main has a history, with counted moments in it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def post(self, where: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self.world.http.post(f"projects/{self.world.project}/{where}", json=body or {})

    def get(self, where: str, **query: str) -> httpx.Response:
        return self.world.http.get(f"projects/{self.world.project}/{where}", params=query)

    def bases(self) -> list[dict[str, str]]:
        answer = self.world.http.post("embedded/history", timeout=60)
        answer.raise_for_status()
        found: list[dict[str, str]] = answer.json()["bases"][self.world.main]
        return found

    def branch_at(self, **point: str) -> httpx.Response:
        body = {"branch": {"parent_id": self.world.main, **point}, "endpoints": [{"type": "read_write"}]}
        return self.post("branches", body)

    def done_delete(self, what: str) -> None:
        where = f"projects/{self.world.project}/branches/{self.world.main}/{what}"
        answer = self.world.http.delete(where)
        assert answer.status_code == 200, answer.text

    def done(self, answer: httpx.Response) -> str:
        assert answer.status_code in {200, 201}, answer.text
        body = answer.json()
        for each in body["operations"]:
            while True:
                row = self.get(f"operations/{each['id']}").json()["operation"]
                if row["status"] not in {"running", "scheduling"}:
                    break
            assert row["status"] == "finished", row
        return str(body["branch"]["id"])


@pytest.fixture(scope="module")
def fresh_past(shared: World) -> Iterator[Past]:
    """A project of one module's own."""
    made = shared.client.create_project(name="past")
    yield Past(World(running=shared.running, client=shared.client, http=shared.http, made=made))
    shared.client.delete_project(made.project.id)


def step(connection: psycopg.Connection[Any], number: int) -> tuple[str, str]:
    """Commit a row; the LSN and the time at which it is in, and the next one is not."""
    connection.execute("insert into steps values (%s)", (number,))
    row = connection.execute("select pg_current_wal_lsn()::text, clock_timestamp()").fetchone()
    assert row is not None
    return str(row[0]), row[1].astimezone(UTC).isoformat()


def steps(past: Past, branch: str) -> list[int]:
    with past.world.connect(branch) as connection:
        return [row[0] for row in connection.execute("select n from steps order by n")]  # type: ignore[misc]
