"""Every route by every role, cell by cell: a route that is not in the table fails here."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb

from orchestrator.acts import ACTS
from orchestrator.api.app import make_app
from orchestrator.api.site import Site
from orchestrator.lifecycle import State, Store

Asking = Callable[..., TestClient]
ROLES = ("nobody", "viewer", "developer", "approver", "admin")
ZERO = "0" * 64

#: Route -> the least role; `anyone` needs no token.
TABLE = {
    "GET /healthz": "anyone",
    "GET /readyz": "anyone",
    "GET /metrics": "admin",
    "GET /api/v1/me": "viewer",
    "GET /api/v1/settings": "viewer",
    "GET /api/v1/previews": "viewer",
    "GET /api/v1/previews/{name}": "viewer",
    "GET /api/v1/previews/{name}/row": "viewer",
    "GET /api/v1/previews/{name}/parts": "viewer",
    "GET /api/v1/previews/{name}/report": "viewer",
    "GET /api/v1/previews/{name}/history": "viewer",
    "GET /api/v1/previews/{name}/logs": "viewer",
    "GET /api/v1/previews/{name}/mails": "viewer",
    "GET /api/v1/previews/{name}/mails/{mail_id}": "viewer",
    "GET /api/v1/shadows/{preview_id}": "viewer",
    "GET /api/v1/history": "viewer",
    "GET /api/v1/promotions": "viewer",
    "GET /api/v1/promotions/{promotion_id}": "viewer",
    "GET /api/v1/way-back": "developer",
    "GET /api/v1/jobs": "viewer",
    "GET /api/v1/jobs/{job_id}": "viewer",
    "GET /api/v1/contexts/{digest}": "developer",
    "PUT /api/v1/contexts/{digest}": "developer",
    "POST /api/v1/previews/{name}/up": "developer",
    "POST /api/v1/previews/{name}/answer": "developer",
    "POST /api/v1/previews/{name}/discard": "developer",
    "POST /api/v1/previews/{name}/sleep": "developer",
    "POST /api/v1/previews/{name}/wake": "developer",
    "POST /api/v1/previews/{name}/extend": "developer",
    "POST /api/v1/previews/{name}/keep": "developer",
    "POST /api/v1/previews/{name}/restore": "developer",
    "POST /api/v1/previews/{name}/approve": "approver",
    "POST /api/v1/previews/{name}/promote": "approver",
    "POST /api/v1/previews/{name}/rebase": "approver",
    "POST /api/v1/previews/{name}/revert": "approver",
    "GET /api/v1/previews/{name}/shares": "developer",
    "POST /api/v1/previews/{name}/shares": "developer",
    "DELETE /api/v1/previews/{name}/shares/{share_id}": "developer",
    "POST /api/v1/project/reconcile": "developer",
    "POST /api/v1/project/sweep": "admin",
    "GET /api/v1/tokens": "admin",
    "POST /api/v1/tokens": "admin",
    "DELETE /api/v1/tokens/{token_id}": "admin",
    "GET /api/v1/audit": "admin",
    "GET /api/v1/doctor": "admin",
}
#: What a body has to be so that the role alone decides.
BODIES = {
    "answer": {"answers": {"rename:x": "y"}},
    "extend": {"lasting": "1d"},
    "revert": {"promotion": "0" * 8, "digest": ZERO},
}


def routes(site: Site) -> set[str]:
    paths = make_app(site).openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_every_route_stands_in_the_table(site: Site) -> None:
    assert routes(site) == set(TABLE)
    where = {name: "project" if act.of == "project" else "previews/{name}" for name, act in ACTS.items()}
    assert {f"POST /api/v1/{where[act]}/{act}" for act in ACTS} <= set(TABLE)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_exactly_what_the_table_says(
    client: TestClient, asking: Asking, site: Site, role: str
) -> None:
    if role != "nobody":
        asking(role)
    # This test is refused more often than anybody should be.
    site.rates.failures.__init__(10_000)  # type: ignore[misc]
    site._main = "main"
    wrong = []
    for route, least in TABLE.items():
        method, path = route.split()
        url = path.format(
            name="nobodys",
            job_id="0" * 16,
            digest=ZERO,
            token_id="0" * 8,
            preview_id="0" * 8,
            share_id="0" * 8,
            mail_id="1",
            promotion_id="0" * 8,
        )
        if url.endswith("/doctor") and role == "admin":
            continue  # looks at the whole machine; the command's own test does
        body = BODIES.get(path.rpartition("/")[2], {})
        answer = client.request(method, url, json=body if method == "POST" else None)
        fine = least == "anyone" or (role != "nobody" and ROLES.index(role) >= ROLES.index(least))
        expected = 401 if role == "nobody" and not fine else 403
        if fine == (answer.status_code in (401, 403)) or (not fine and answer.status_code != expected):
            wrong.append((route, role, answer.status_code, answer.text[:200]))
        assert answer.status_code < 500 or "not known" in answer.text, (route, answer.text)
    assert not wrong


@pytest.fixture
def adas(open_store: Callable[..., Store], site: Site) -> str:
    """A preview of ada's."""
    open_store("ada").create(
        name="adas",
        project=site.project,
        facts={"runtime": "process", "authors": ["ada", "eve"], "owner": "ada"},
    )
    return "adas"


@pytest.mark.parametrize(
    ("role", "who", "status"),
    [("developer", "bob", 403), ("approver", "bob", 403), ("developer", "ada", 202), ("admin", "root", 202)],
)
def test_a_developer_changes_only_what_is_theirs(
    asking: Asking, adas: str, role: str, who: str, status: int, site: Site
) -> None:
    for act in ("up", "answer", "discard", "sleep", "extend", "keep"):
        answer = asking(role, who).post(f"/api/v1/previews/{adas}/{act}", json=BODIES.get(act, {}))
        assert answer.status_code == status, answer.text
        with site.audit() as audit:
            newest = audit.read()[0]
        assert (newest.who, newest.action, newest.object) == (who, act, adas)
        assert newest.outcome == ("allowed" if status == 202 else "refused")


@pytest.mark.parametrize("state", [State.FAILED, State.CHECKING])
def test_a_discard_of_what_is_half_promoted_is_refused_before_it_is_a_job(
    asking: Asking, adas: str, site: Site, state: State
) -> None:
    with site.store("test") as store:
        store.connection.execute(
            "update preview_control.preview set state = %s, error = %s, facts = facts || %s where name = %s",
            (
                state.value,
                Jsonb({"state": "promoting", "message": "died"}) if state is State.FAILED else None,
                Jsonb({"expanded": {"left": []}}),
                adas,
            ),
        )
    refused = asking("developer", "ada").post(f"/api/v1/previews/{adas}/discard", json={})
    assert refused.status_code == 409, refused.text
    assert "--force" in refused.json()["error"]["hint"]
    with site.audit() as audit, site.book() as book:
        assert [(each.action, each.outcome) for each in audit.read()] == [("discard", "refused")]
        assert book.of_project(site.project) == ()
    forced = asking("developer", "ada").post(f"/api/v1/previews/{adas}/discard", json={"force": True})
    assert forced.status_code == 202


@pytest.mark.parametrize(("who", "status"), [("ada", 403), ("eve", 403), ("bob", 202)])
@pytest.mark.parametrize("act", ["approve", "promote"])
def test_another_person_approves_where_the_settings_ask_for_it(
    asking: Asking, adas: str, site: Site, act: str, who: str, status: int
) -> None:
    access = site.settings.access.model_copy(update={"author_may_approve": False})
    changed = site.settings.model_copy(update={"access": access})
    site.submissions._settings = changed
    answer = asking("approver", who).post(f"/api/v1/previews/{adas}/{act}", json={})
    assert answer.status_code == status, answer.text
    if status == 403:
        assert "somebody else" in answer.json()["error"]["message"]


def test_what_a_client_sends_does_not_run_beside_the_servers_secrets(
    asking: Asking, site: Site, adas: str
) -> None:
    answer = asking("developer", "ada").post(f"/api/v1/previews/{adas}/up", json={"image": "evil:1"})
    assert answer.status_code == 409
    assert "local processes" in answer.json()["error"]["message"]


BODIES_THAT_SAY_TOO_MUCH: list[dict[str, object]] = [
    {"project": {"name": "other"}},
    {"goal": {"url_env": "HOME"}},
    {"promote": {"allow": ["deletes_data"]}},
    {"answers": {}, "settings": {}},
    {"context": "../../etc"},
    {"context": ZERO, "image": "x"},
    {"image": "x y"},
    {"image": "--privileged"},
]


def test_a_client_cannot_change_the_servers_rules(asking: Asking) -> None:
    for body in BODIES_THAT_SAY_TOO_MUCH:
        assert asking("admin").post("/api/v1/previews/pr-1/up", json=body).status_code in (400, 422), body


def test_the_same_request_is_the_same_job(asking: Asking) -> None:
    client = asking("developer", "ada")
    first = client.post("/api/v1/previews/pr-1/up", json={}, headers={"idempotency-key": "k-1"}).json()
    again = client.post("/api/v1/previews/pr-1/up", json={}, headers={"idempotency-key": "k-1"}).json()
    without = client.post("/api/v1/previews/pr-1/up", json={}).json()
    assert first["id"] == again["id"] == without["id"]
    other = client.post("/api/v1/previews/pr-1/up", json={"fresh": True}).json()
    assert other["id"] != first["id"]
