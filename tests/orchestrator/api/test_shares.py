"""Share links over HTTP: made, listed, revoked; by whom, of which preview, and what the audit knows of it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from neon_client import Secret
from orchestrator.api.site import Site
from orchestrator.cli.sharing import LinksThere
from orchestrator.errors import NotAllowed
from orchestrator.lifecycle import Preview, Store
from orchestrator.remote.wire import Wire

Asking = Callable[..., TestClient]
PATH = "/api/v1/previews/adas/shares"


@pytest.fixture
def adas(open_store: Callable[..., Store], site: Site) -> Preview:
    site.settings = site.settings.model_copy(
        update={
            "gateway": site.settings.gateway.model_copy(
                update={"enabled": True, "domain": "preview.example.com"}
            )
        }
    )
    return open_store("ada").create(name="adas", project=site.project, facts={"owner": "ada"})


def test_a_link_is_in_the_answer_once_and_good_until_it_is_revoked(
    asking: Asking, adas: Preview, site: Site
) -> None:
    made = asking("developer", "ada").post(PATH, json={"lasts": "12h", "note": "Grace\0 \nof design"})
    assert made.status_code == 201, made.text
    link = made.json()
    secret = link.pop("url").removeprefix("https://adas.preview.example.com/.preview/share/")
    assert (link["note"], link["made_by"], link["state"]) == ("Grace of design", "ada", "good")
    with site.store("gate") as store:
        assert store.shares().use(secret, adas.id)

    listed = asking("developer", "bob").get(PATH)
    assert [each["id"] for each in listed.json()] == [link["id"]]
    assert secret not in listed.text
    gone = asking("developer", "ada").delete(f"{PATH}/{link['id']}")
    assert gone.json()["state"] == "revoked"
    with site.store("gate") as store:
        assert store.shares().use(secret, adas.id) is None
    with site.audit() as audit:
        told = [(each.who, each.action, each.object, each.outcome) for each in audit.read()[:2]]
        assert secret not in repr(audit.read())
    assert told == [("ada", "share revoke", "adas", "allowed"), ("ada", "share", "adas", "allowed")]


@pytest.mark.parametrize(("role", "who", "status"), [("approver", "bob", 403), ("admin", "root", 201)])
def test_who_sees_productions_data_is_for_its_owner_to_say(
    asking: Asking, adas: Preview, site: Site, role: str, who: str, status: int
) -> None:
    answer = asking(role, who).post(PATH, json={})
    assert answer.status_code == status, answer.text
    with site.audit() as audit:
        newest = audit.read()[0]
    assert (newest.who, newest.action) == (who, "share")
    assert newest.outcome == ("allowed" if status == 201 else "refused")


def test_the_command_does_the_same_at_a_server(asking: Asking, adas: Preview) -> None:
    wire = Wire("http://testserver", Secret("unused"))
    wire._http.close()
    wire._http = asking("developer", "ada")
    links = LinksThere(wire)

    made = links.make("adas", lasts=timedelta(hours=12), note="Grace")
    assert made["url"].startswith("https://adas.preview.example.com/.preview/share/")
    assert [each["id"] for each in links.of("adas")] == [made["id"]]
    assert links.revoke("adas", made["id"])["state"] == "revoked"
    asking("viewer", "vera")
    with pytest.raises(NotAllowed):
        links.make("adas", lasts=timedelta(hours=12), note="")


def test_what_makes_no_link_says_so(
    asking: Asking, adas: Preview, site: Site, open_store: Callable[..., Store]
) -> None:
    open_store("ada").create(name="foreign", project="embedded/other", facts={"owner": "ada"})
    client = asking("developer", "ada")
    for body in ({"lasts": "91d"}, {"lasts": "0"}, {"lasts": "soon"}, {"to": "x"}, {"note": "x" * 201}):
        assert client.post(PATH, json=body).status_code in (400, 422), body
    for name in ("foreign", "nobodys"):
        assert client.post(PATH.replace("adas", name), json={}).status_code == 404
        assert client.get(PATH.replace("adas", name)).status_code == 404
    assert client.delete(f"{PATH}/00000000").status_code == 400
    site.settings = site.settings.model_copy(
        update={"gateway": site.settings.gateway.model_copy(update={"enabled": False})}
    )
    assert "not enabled" in client.post(PATH, json={}).text
    with site.store("server") as store:
        assert store.shares().of(adas.id) == ()
