"""The dashboard's pages on a real server, over HTTP: what they show and do in rooms that the desk only asks."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.acceptance.shop import ALLOW_FAX, RENAME, Shop
from tests.acceptance.test_dashboard import serving, token
from tests.acceptance.test_safety import APP, CACHE
from tests.acceptance.tool import Tool

#: A table and a column that are called so.
EVIL = "<img src=x onerror=alert(1)>"
#: Somebody waits so long for a job; nothing here takes it.
PATIENCE = 60.0


@contextmanager
def signed_in(shop: Shop, who: str, role: str) -> Iterator[httpx.Client]:
    """A browser of somebody with this role, on a server of their own."""
    secret = token(shop, who, role)
    with serving(shop) as (origin, _):
        host = origin.partition("//")[2]
        with httpx.Client(
            base_url=f"http://127.0.0.1:{host.rpartition(':')[2]}",
            headers={"host": host, "origin": origin},
            trust_env=False,
            timeout=60,
        ) as browser:
            assert browser.post("/login", data={"token": secret, "next": "/"}).status_code == 303
            yield browser


def word(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, f"no {name} in {text}"
    return found[1]


def first_lines(browser: httpx.Client, path: str, wanted: str) -> str:
    """What a live log says until the wanted words."""
    seen = ""
    with browser.stream("GET", path) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            seen += line
            if wanted in seen:
                break
    return seen


def test_the_revert_button_takes_a_promotion_back_and_keeps_later_rows(shop: Shop) -> None:
    before = shop.main("select id, name, fax from customers order by id")
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.preview("promote", "pr-1", "--allow", ALLOW_FAX)
    shop.main("update customers set full_name = 'later' where id = 1")
    (promotion,) = shop.json("history", "promotions")[-1:]
    path = f"/promotions/{promotion['id']}"

    with signed_in(shop, "ada", "approver") as browser:
        assert f"{path}/revert" in browser.get(path).text
        page = browser.get(f"{path}/revert").text
        assert "On production: " in page
        assert "Rows that were written since stay" in page
        form = {"csrf": word(page, "csrf"), "seen": word(page, "seen")}
        done = browser.post(f"{path}/revert", data=form)
        assert (done.status_code, done.headers["location"]) == (303, path)
        until = time.monotonic() + PATIENCE
        while "it was reverted at" not in (page := browser.get(f"{path}/revert").text):
            assert time.monotonic() < until, page
            assert 'class="problem" role="alert"' not in browser.get(path).text
            time.sleep(0.2)
        assert "revert of pr-1" in browser.get("/promotions").text
        assert browser.post(f"{path}/revert", data=form).status_code in (403, 409)

    first = before[0]
    assert shop.main("select id, name, fax from customers order by id") == [
        (first[0], "later", first[2]),
        *before[1:],
    ]
    shown = shop.json("history", "show", promotion["id"])
    by = shop.json("history", "show", shown["reverted_by"])
    assert (by["kind"], by["state"], by["who"]) == ("revert", "done", "ada")


@pytest.mark.prove
def test_the_restore_point_button_gives_production_back_as_it_was_and_says_what_is_lost(shop: Shop) -> None:
    before = shop.main("select id, name, fax from customers order by id")
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.preview("promote", "pr-1", "--allow", ALLOW_FAX)
    shop.main("update customers set full_name = 'later' where id = 1")
    (promotion,) = shop.json("history", "promotions")[-1:]
    path = f"/promotions/{promotion['id']}/revert-to-restore-point"

    with signed_in(shop, "ada", "approver") as browser:
        page = browser.get(path).text
        assert "Lost: everything that was written since" in page
        assert sent(browser, path).status_code == 400
        assert sent(browser, path, tick="later-writes").status_code == 303
        until(browser, f"/promotions/{promotion['id']}", "It was on production, and was taken back")

    assert shop.main("select id, name, fax from customers order by id") == before
    by = shop.json("history", "show", shop.json("history", "show", promotion["id"])["reverted_by"])
    assert (by["kind"], by["state"], by["who"]) == ("revert", "done", "ada")


def sent(browser: httpx.Client, path: str, **more: str) -> httpx.Response:
    """Say yes on a confirmation page."""
    page = browser.get(path).text
    return browser.post(path, data={"csrf": word(page, "csrf"), "seen": word(page, "seen"), **more})


def until(browser: httpx.Client, path: str, wanted: str) -> str:
    """A page once it says this."""
    end = time.monotonic() + PATIENCE
    while wanted not in (page := browser.get(path).text):
        assert time.monotonic() < end, page
        time.sleep(0.2)
    return page


@pytest.mark.prove
def test_kept_discarded_restored_and_shared_by_buttons(shop: Shop) -> None:
    shop.settings(lambda text: f"{text}\n[gateway]\nenabled = true\n")
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.on(
        shop.uri(shop.json("show", "pr-1")["branch"]["name"]),
        "update customers set full_name = 'clicked' where id = 1",
    )

    with signed_in(shop, "root", "admin") as browser:
        assert sent(browser, "/previews/pr-1/keep").status_code == 303
        until(browser, "/previews/pr-1", "<strong>kept</strong>")
        assert shop.json("show", "pr-1")["expires_at"] is None
        form = {
            "csrf": word(browser.get("/previews/pr-1/shares").text, "csrf"),
            "lasts": "2d",
            "note": "Grace",
        }
        made = browser.post("/previews/pr-1/shares", data=form).text
        assert "http://pr-1.localhost:8400/.preview/share/share_" in made
        assert [each["note"] for each in shop.json("share", "pr-1", "--list")] == ["Grace"]

        assert sent(browser, "/previews/pr-1/discard", branch="kept").status_code == 303
        until(browser, "/previews/pr-1", "it can be restored until then")
        assert browser.get("/previews/pr-1/shares").status_code == 404
        assert sent(browser, "/previews/pr-1/restore").status_code == 303
        until(browser, "/previews/pr-1", 'pr-1 <span class="state ready">')
    back = shop.json("show", "pr-1")
    assert shop.on(shop.uri(back["branch"]["name"]), "select full_name from customers where id = 1") == [
        ("clicked",)
    ]


def test_mails_and_the_log_of_each_service_are_shown(blank_tool: Tool) -> None:
    blank_tool.file("app.py", APP)
    blank_tool.file("cache.py", CACHE)
    blank_tool.file("goal/1.sql", f'create table "{EVIL}" (id int primary key, "{EVIL}" text);')
    blank_tool.file(
        "preview.toml",
        f"""
[project]
name = "{blank_tool.name}"
database = "shop"
[goal]
directory = "goal"
[app]
command = ["python", "app.py"]
[runtime]
kind = "process"
[safety]
env = {{ MAILER = "smtp://{{smtp_host}}:{{smtp_port}}" }}
[services.cache]
command = ["python", "cache.py"]
port = 7000
[services.worker]
command = ["python", "-c", "import os, time; print('<i>', os.environ['DATABASE_URL'], flush=True); time.sleep(999)"]
""",
    )
    ready = blank_tool.json("up", "pr-1")
    assert httpx.get(f"{ready['url']}/mail", trust_env=False).status_code == 200

    with signed_in(blank_tool, "vera", "viewer") as browser:
        page = browser.get("/previews/pr-1").text
        assert "/previews/pr-1/mails" in page
        assert "&lt;img src=x" in page, "the plan and the schema, as text"
        assert "<img src=x" not in page
        listed = browser.get("/previews/pr-1/mails").text
        assert "your order" in listed
        assert "ann@example.com" in listed
        (link,) = re.findall(r'href="(/previews/pr-1/mails/[^"]+)"', listed)
        mail = browser.get(link).text
        assert "Thanks!" in mail
        assert "shop@x.test" in mail
        assert browser.get("/previews/pr-1/mails/00000000000000000000-1-1").status_code == 404

        logs = browser.get("/previews/pr-1/logs?service=cache").text
        assert 'href="/previews/pr-1/logs?service=worker"' in logs
        assert "service=cache" in re.search(r'sse-connect="([^"]+)"', logs)[1]  # type: ignore[index]
        live = "/previews/pr-1/logs/live?service="
        assert "the cache is up" in first_lines(browser, f"{live}cache", "</li>")
        # Text, and without the password of the branch.
        said = first_lines(browser, f"{live}worker", "</li>")
        assert "&lt;i&gt; postgresql://" in said
        password = blank_tool.uri(ready["branch"]["name"]).split(":")[2].split("@")[0]
        assert password not in said
        assert ":***@" in said
        assert browser.get(f"{live}nothing").status_code == 400
