"""Two servers and two workers on one store: the same answers from both, no job twice, progress seen from either."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.access import Role
from tests.acceptance.crew import Crew, open_crew
from tests.acceptance.shop import Shop

SERVERS = ("serve", "serve-2")


@pytest.fixture
def crew(make_small_shop: Callable[..., Shop], enterable: Path) -> Iterator[Crew]:
    with open_crew(make_small_shop, enterable) as made:
        for name in SERVERS:
            made.serve(name)
        for name in ("worker-1", "worker-2"):
            made.work(name)
        for name in SERVERS:
            while not made.answers(name):
                assert made.runs(name), made.logs()
        yield made


def asking(crew: Crew, server: str, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{crew.ports[server]}",
        headers={"authorization": f"Bearer {token}"},
        timeout=60,
        trust_env=False,
    )


def followed(client: httpx.Client, job: str) -> tuple[dict[str, Any], list[str]]:
    """A job to its end, and what was heard of it while it still ran."""
    heard: list[str] = []
    after = 0
    while True:
        value = client.get(f"/api/v1/jobs/{job}", params={"after": after, "wait": 20}).json()
        after = max((line["number"] for line in value["lines"]), default=after)
        if value["ended_at"]:
            return value, heard
        heard += [line["kind"] for line in value["lines"]]


@pytest.mark.prove
def test_two_servers_and_two_workers_are_as_one(crew: Crew) -> None:
    token = crew.token(Role.ADMIN, "ada")
    one, other = (asking(crew, name, token) for name in SERVERS)
    with one, other:
        key = {"idempotency-key": "the-same"}
        with ThreadPoolExecutor(2) as both:
            first, second = both.map(
                lambda client: client.post("/api/v1/previews/pr-1/up", json={}, headers=key).json(),
                (one, other),
            )
        assert first["id"] == second["id"], "one request, sent to two servers, is one job"
        more = other.post("/api/v1/previews/pr-2/up", json={}).json()

        ended, heard = followed(other, first["id"])
        assert ended["state"] == "done", ended
        assert {"started", "finished"} <= set(heard), "progress is seen while it happens"
        assert followed(one, more["id"])[0]["state"] == "done"
        assert [job.attempts for job in crew.jobs()] == [1, 1]
        for path in (
            *(
                "previews",
                "previews/pr-1",
                "previews/pr-2/report",
                "previews/pr-1/history",
                "history",
                "jobs",
            ),
            *(f"jobs/{first['id']}", "promotions", "settings", "audit"),
        ):
            answers = [client.get(f"/api/v1/{path}") for client in (one, other)]
            assert answers[0].status_code == 200
            assert answers[0].json() == answers[1].json(), path

        revoked = crew.token(Role.VIEWER, "eve")
        with asking(crew, SERVERS[1], revoked) as eve:
            assert eve.get("/api/v1/previews").status_code == 200
            token_id = revoked.split("_")[2]
            assert one.delete(f"/api/v1/tokens/{token_id}").status_code == 200
            assert eve.get("/api/v1/previews").status_code == 401

        promoted = followed(other, one.post("/api/v1/previews/pr-1/promote", json={}).json()["id"])[0]
        assert promoted["state"] == "done", promoted
        gone = followed(one, other.post("/api/v1/previews/pr-2/discard", json={}).json()["id"])[0]
        assert gone["state"] == "done", gone
        assert [client.get("/api/v1/previews").json() for client in (one, other)] == [[], []]
    assert crew.shop.main("select count(*), bool_or(seen) from notes") == [(20, False)]
