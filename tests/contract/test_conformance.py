"""Every route's answers, good and bad, hold against the OpenAPI document of Neon's own npm package."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from neon_embedded import Running
from neon_embedded.routes import ROUTES

from . import fetched
from .conftest import CLIENTS, Client

#: Ours alone, or kept for a client that asks otherwise than the document says.
UNDOCUMENTED = {
    ("POST", "/projects/{project}/branches/{branch}/set_as_primary"),
    ("POST", "/projects/{project}/branches/{branch}/roles/{role}/reveal_password"),
}

#: Answered as a free plan answers it, always.
REFUSED = ("GET", "/consumption_history/v2/branches")

P, B = "/projects/{project}", "/projects/{project}/branches/{branch}"
E = P + "/endpoints/{endpoint}"


@dataclass(slots=True)
class Walk:
    """Calls routes by their template and keeps what they answered."""

    http: httpx.Client
    ids: dict[str, str] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self, method: str, path: str, body: Any = None, *, status: int = 200, **ids: str
    ) -> dict[str, Any]:
        """Call and expect a status; ``ids`` fill the template, what is left of them is the query."""
        known = {**self.ids, **ids}
        names = set(re.findall(r"\{(\w+)\}", path))
        query = {name: value for name, value in ids.items() if name not in names}
        where = path.format(**{name: known[name] for name in names})
        for _ in range(600):  # a busy machine may need longer than an answer waits; 423 says: again
            answer = self.http.request(method, where, json=body, params=query)
            if answer.status_code != 423:
                break
            time.sleep(0.1)
        assert answer.status_code == status, f"{method} {where}: {answer.status_code} {answer.text}"
        found = answer.json() if answer.content else None
        self.answers.append({"method": method, "path": path, "status": status, "body": found})
        return found or {}


@pytest.fixture(scope="module")
def walk(fresh: Running) -> Iterator[Walk]:
    headers = {"Authorization": f"Bearer {fresh.api_key.reveal()}"}
    with httpx.Client(base_url=fresh.base_url, headers=headers, timeout=60, trust_env=False) as http:
        yield Walk(http)


def test_the_account(walk: Walk) -> None:
    for path in (
        "/auth",
        "/users/me",
        "/users/me/organizations",
        "/regions",
        "/projects",
        "/projects/shared",
    ):
        walk("GET", path)


def test_consumption(walk: Walk) -> None:
    asked = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "granularity": "daily"}
    walk(*REFUSED, status=403, org_id="org-a", project_ids="p", metrics="compute_unit_seconds", **asked)


def test_projects(walk: Walk) -> None:
    made = walk(
        "POST", "/projects", {"project": {"name": "walk", "history_retention_seconds": 3600}}, status=201
    )
    walk.ids |= {"project": made["project"]["id"], "main": made["branch"]["id"]}
    walk.ids |= {"branch": made["branch"]["id"], "endpoint": made["endpoints"][0]["id"]}
    walk("GET", "/projects")
    walk("GET", P)
    walk("PATCH", P, {"project": {"name": "walked"}})
    walk("POST", "/projects", {"project": {"pg_version": 9}}, status=400)
    walk("POST", "/projects", {}, status=400)
    walk("GET", P, status=404, project="no-such-12345678")


def test_branches(walk: Walk) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    wanted = {
        "branch": {"name": "whole", "expires_at": later},
        "endpoints": [{"type": "read_write"}],
        "annotation_value": {"owner": "walk"},
    }
    child = walk("POST", P + "/branches", wanted, status=201)
    assert len(child["connection_uris"]) == 1
    bare = walk("POST", P + "/branches", status=201)
    walk.ids |= {"branch": child["branch"]["id"], "bare": bare["branch"]["id"]}
    walk("POST", P + "/branches", wanted, status=409)
    walk("POST", P + "/branches", {"branch": {"parent_id": "br-no-such-12345678"}}, status=404)
    walk("GET", P + "/branches")
    walk("GET", P + "/branches", limit="1")
    walk("GET", P + "/branches", search="whole")
    walk("GET", P + "/branches/count")
    walk("GET", B)
    walk("GET", B, branch="br-no-such-12345678", status=404)
    walk("PATCH", B, {"branch": {"name": "renamed", "expires_at": None}})
    walk("GET", B + "/endpoints")
    walk("POST", B + "/set_as_default")
    walk("POST", B + "/set_as_default", branch=walk.ids["main"])
    walk("DELETE", B, branch=walk.ids["main"], status=422)


def test_endpoints(walk: Walk) -> None:
    wanted = {"endpoint": {"branch_id": walk.ids["bare"], "type": "read_write"}}
    made = walk("POST", P + "/endpoints", wanted, status=201)
    walk("POST", P + "/endpoints", wanted, status=409)
    walk("GET", P + "/endpoints")
    mine = made["endpoint"]["id"]
    walk("GET", E, endpoint=mine)
    walk("PATCH", E, {"endpoint": {"suspend_timeout_seconds": 600}}, endpoint=mine)
    for verb in ("suspend", "start", "restart"):
        walk("POST", f"{E}/{verb}", endpoint=mine)
    walk("GET", E, endpoint="ep-no-such-12345678", status=404)
    walk("DELETE", E, endpoint=mine)
    walk("DELETE", E, endpoint=mine, status=204)


def test_roles_and_databases(walk: Walk) -> None:
    role, database = B + "/roles/{role}", B + "/databases/{database}"
    walk("POST", B + "/roles", {"role": {"name": "app"}}, status=201)
    walk("POST", B + "/roles", {"role": {"name": "app"}}, status=409)
    walk("GET", B + "/roles")
    walk("GET", role, role="app")
    walk("GET", role, role="nobody_has_this", status=404)
    walk("POST", role + "/reset_password", role="app")
    walk("GET", role + "/reveal_password", role="app")
    wanted = {"database": {"name": "second", "owner_name": "app"}}
    walk("POST", B + "/databases", wanted, status=201)
    walk("POST", B + "/databases", wanted, status=409)
    walk("GET", B + "/databases")
    walk("GET", database, database="second")
    walk("PATCH", database, {"database": {"name": "second", "owner_name": "neondb_owner"}}, database="second")
    names = {"database_name": "second", "role_name": "app"}
    walk("GET", P + "/connection_uri", branch_id=walk.ids["branch"], pooled="True", **names)
    walk("GET", P + "/connection_uri", status=400)
    walk("DELETE", database, database="second")
    walk("DELETE", database, database="second", status=204)
    walk("DELETE", role, role="app")
    walk("DELETE", role, role="app", status=204)


def test_schemas_and_resets(walk: Walk) -> None:
    of = {"db_name": "neondb"}
    assert walk("GET", B + "/schema", **of)["sql"]
    assert walk("GET", B + "/schema", format="json", **of)["json"] == {"tables": []}
    walk("GET", B + "/schema", status=400)
    walk("GET", B + "/schema", db_name="nowhere", status=404)
    assert walk("GET", B + "/compare_schema", base_branch_id=walk.ids["main"], **of)["diff"] == ""
    wanted = {"source_branch_id": walk.ids["main"], "preserve_under_name": "kept"}
    walk("POST", B + "/restore", wanted)
    walk("POST", B + "/restore", status=400)


def test_snapshots(walk: Walk) -> None:
    snapshot = P + "/snapshots/{snapshot}"
    main = walk.ids["main"]
    made = walk("POST", B + "/snapshot", branch=main, name="before")["snapshot"]
    walk("POST", B + "/snapshot", branch="br-no-such-12345678", status=404)
    assert [each["id"] for each in walk("GET", P + "/snapshots")["snapshots"]] == [made["id"]]
    walk("PATCH", snapshot, {"snapshot": {"name": "earlier"}}, snapshot=made["id"])
    walk("PATCH", snapshot, {"snapshot": {"name": "x"}}, snapshot="snap-no-such-12345678", status=404)
    back = walk("POST", snapshot + "/restore", {"name": "back"}, snapshot=made["id"])
    walk("POST", B + "/finalize_restore", {"name": "was-main"}, branch=back["branch"]["id"])
    of = {"branch": back["branch"]["id"]}
    assert walk("GET", B + "/backup_schedule", **of) == {"schedule": []}
    daily = {"schedule": [{"frequency": "daily", "hour": 3, "retention_seconds": 86400}]}
    walk("PUT", B + "/backup_schedule", daily, **of)
    assert walk("GET", B + "/backup_schedule", **of) == daily
    walk("PUT", B + "/backup_schedule", {"schedule": [{"frequency": "now"}]}, status=400, **of)
    walk("DELETE", snapshot, snapshot=made["id"], status=202)
    walk("DELETE", snapshot, snapshot=made["id"], status=404)


def test_operations(walk: Walk) -> None:
    listed = walk("GET", P + "/operations", limit="5")["operations"]
    assert len(listed) == 5
    walk("GET", P + "/operations/{operation}", operation=listed[0]["id"])
    walk("GET", P + "/operations/{operation}", operation="00000000-0000-4000-8000-000000000000", status=404)


def test_a_wrong_key(walk: Walk) -> None:
    answer = walk.http.get("/auth", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    walk.answers.append({"method": "GET", "path": "/auth", "status": 401, "body": answer.json()})


def test_deletions(walk: Walk) -> None:
    walk("DELETE", B, branch=walk.ids["bare"])
    walk("DELETE", B, branch=walk.ids["bare"], status=204)
    walk("DELETE", P)
    walk("DELETE", P, status=404)


def test_consumption_is_refused_as_on_a_free_plan(walk: Walk) -> None:
    walk("GET", "/consumption_history/v2/branches", status=403)


def test_every_route_was_walked(walk: Walk) -> None:
    walked = {
        (each["method"], each["path"])
        for each in walk.answers
        if each["status"] < 300 or each["status"] == 403
    }
    offered = {(method, path) for method, path in ROUTES if not path.startswith("/embedded")}
    assert offered - walked - UNDOCUMENTED - {REFUSED} == set()


def validated(client: Client, answers: list[dict[str, Any]]) -> "subprocess.CompletedProcess[str]":
    document = fetched.npm_packages() / "@neondatabase/api-client/public-v2-for-users.gen.yaml"
    return subprocess.run(
        [*client.program, CLIENTS / "validate.py", document],
        env=client.environment,
        input="".join(json.dumps(each) + "\n" for each in answers),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_answers_conform(walk: Walk, foreign_python: Client) -> None:
    done = validated(foreign_python, walk.answers)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validator_sees_faults(walk: Walk, foreign_python: Client) -> None:
    good = next(each for each in walk.answers if (each["method"], each["path"]) == ("GET", B))
    without = {name: value for name, value in good["body"]["branch"].items() if name != "project_id"}
    late = {**good["body"]["branch"], "created_at": "yesterday"}
    bodies: list[Any] = [
        good["body"],
        {**good["body"], "branch": without},
        {**good["body"], "branch": late},
        None,
    ]
    answers = [{**good, "body": body} for body in bodies]
    answers += [{**good, "status": 202}, {**good, "path": "/embedded/status"}]
    done = validated(foreign_python, answers)
    assert done.returncode == 1
    for planted in (
        "'project_id' is a required",
        "'yesterday' is not a",
        "None is not of type",
        "no such operation",
    ):
        assert planted in done.stdout
    assert "202: this status is not described" in done.stdout
