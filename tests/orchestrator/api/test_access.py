"""Who is let in: tokens over HTTP, the audit of refusals, limits, headers."""

from collections.abc import Callable

import psycopg
import pytest
from fastapi.testclient import TestClient

from orchestrator.api.site import Site

Asking = Callable[..., TestClient]


def refusals(site: Site) -> list[tuple[str, str, str]]:
    with site.audit() as audit:
        return [(each.who, each.action, each.note) for each in audit.read() if each.outcome == "refused"]


def test_nobody_gets_in_without_a_token_and_the_audit_says_so(client: TestClient, site: Site) -> None:
    answer = client.get("/api/v1/me")
    assert answer.status_code == 401
    assert answer.json()["error"]["kind"] == "NotRecognised"
    assert refusals(site) == [("nobody", "GET /api/v1/me", "no token")]


@pytest.mark.parametrize("change", ["revoked", "expired", "another secret", "another role"])
def test_a_token_that_is_not_good_is_refused(
    client: TestClient, site: Site, token: Callable[..., str], change: str
) -> None:
    whole = token("viewer", "ada")
    token_id = whole.split("_")[2]
    if change == "revoked":
        with site.tokens() as tokens:
            tokens.revoke(token_id, by="test")
    elif change == "expired":
        with site.store("test") as store:
            store.connection.execute("update preview_control.token set expires_at = now()")
    elif change == "another secret":
        whole = whole[:-1] + ("0" if whole[-1] != "0" else "1")
    else:
        whole = whole.replace("_viewer_", "_admin_")
    answer = client.get("/api/v1/me", headers={"authorization": f"Bearer {whole}"})
    assert answer.status_code == 401
    assert whole not in answer.text


def test_a_role_that_is_not_enough_is_refused_and_remembered(asking: Asking, site: Site) -> None:
    answer = asking("approver", "bob").get("/api/v1/tokens")
    assert answer.status_code == 403
    assert refusals(site) == [("bob", "GET /api/v1/tokens", "needs the role admin")]


def test_an_admin_makes_lists_and_revokes_tokens(asking: Asking, client: TestClient) -> None:
    made = asking("admin").post("/api/v1/tokens", json={"who": "ada", "role": "developer"}).json()
    listed = client.get("/api/v1/tokens").json()
    assert made["secret"] not in str(listed)
    assert {each["who"]: each["state"] for each in listed}["ada"] == "good"
    client.headers["authorization"] = f"Bearer {made['secret']}"
    assert client.get("/api/v1/me").json() == {"who": "ada", "role": "developer", "token": made["id"]}
    asking("admin").delete(f"/api/v1/tokens/{made['id']}")
    client.headers["authorization"] = f"Bearer {made['secret']}"
    assert client.get("/api/v1/me").status_code == 401


def test_the_store_keeps_no_token(site: Site, token: Callable[..., str]) -> None:
    whole = token("admin")
    with site.store("test") as store:
        rows = store.connection.execute("select t::text from preview_control.token t").fetchall()
    assert whole not in str(rows)
    assert whole.rpartition("_")[2] not in str(rows)


def test_the_audit_is_only_added_to(site: Site, client: TestClient) -> None:
    client.get("/api/v1/me")
    for sql in ("delete from", "truncate", "update"):
        with site.store("test") as store, pytest.raises(psycopg.Error, match="only added to"):
            store.connection.execute(
                f"{sql} preview_control.audit{' set who = ' + repr('x') if sql == 'update' else ''}"
            )


def told(site: Site) -> int:
    """How many refusals the audit tells of."""
    site.refusals.flush()
    with site.audit() as audit:
        notes = [each.note for each in audit.read(limit=1000) if each.outcome == "refused"]
    return sum(int(note.split()[0]) if "more were refused" in note else 1 for note in notes)


@pytest.mark.usefixtures("no_drops")
def test_guessing_ends_with_429_and_does_not_flood_the_audit(client: TestClient, site: Site) -> None:
    codes = [client.get("/api/v1/me").status_code for _ in range(400)]
    assert codes == [401] * 30 + [429] * 370
    assert told(site) == 400
    with site.audit() as audit:
        assert len(audit.read(limit=1000)) < 320


def test_guesses_from_an_address_are_not_looked_at_and_shut_nobody_out_who_was_in(
    client: TestClient, site: Site, token: Callable[..., str]
) -> None:
    known, new, guess = token("viewer", "ada"), token("viewer", "bob"), f"preview_admin_00000000_{'0' * 64}"
    site.rates.failures.__init__(1, holds=3, clock=lambda: 0.0)  # type: ignore[misc]

    def ask(shown: str) -> int:
        return client.get("/api/v1/me", headers={"authorization": f"Bearer {shown}"}).status_code

    assert ask(known) == 200
    assert [ask(guess) for _ in range(4)] == [401, 401, 401, 429]
    assert ask(known) == 200
    assert ask(new) == 429, "a good one could be told from a bad one"
    with site.tokens() as tokens:
        tokens.revoke(known.split("_")[2], by="test")
    assert ask(known) == 401
    assert ask(known) == 429


def test_whoever_asks_too_often_is_in_the_audit(asking: Asking, site: Site) -> None:
    site.rates.tokens.__init__(1, clock=lambda: 0.0)  # type: ignore[misc]
    client = asking("viewer", "ada")
    assert [client.get("/api/v1/me").status_code for _ in range(3)] == [200, 429, 429]
    assert refusals(site) == [("ada", "GET /api/v1/me", "too many requests")] * 2


def test_every_answer_carries_the_headers_that_keep_browsers_safe(client: TestClient) -> None:
    for path in ("/healthz", "/api/v1/me", "/nowhere"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["preview-api"] == "1"


def test_too_much_is_refused_before_it_is_read(asking: Asking) -> None:
    said = asking("admin").post("/api/v1/tokens", content=b"x" * (2**20 + 1))
    assert said.status_code == 413

    def forever() -> "object":
        for _ in range(300):
            yield b"x" * 8192

    assert asking("admin").post("/api/v1/tokens", content=forever()).status_code == 413


def test_a_client_of_another_version_is_told(asking: Asking) -> None:
    answer = asking("viewer").get("/api/v1/me", headers={"preview-api": "99"})
    assert answer.status_code == 426
    assert "version 1" in answer.json()["error"]["message"]


def test_readiness_follows_the_store(client: TestClient, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(site._connections, "_uri", "postgresql://127.0.0.1:1/nowhere")
    monkeypatch.setattr(site._connections, "_patience", 0.1)
    site._connections.close()
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
