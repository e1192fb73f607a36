"""The whole story in a real browser: from an empty list to promoted, on the dashboard only, wide and narrow.

The pictures in docs/pictures are taken here, but those of the list (tests/orchestrator/dashboard/test_seen.py): with
PREVIEW_PICTURES=1 they are written anew.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.shop import ALLOW_FAX, RENAME, Shop
from tests.browser import PATIENCE

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def serving(shop: Shop) -> Iterator[tuple[str, str]]:
    """`preview serve` on a port of its own: where its pages are, and the address that signs the laptop's owner in."""
    server = subprocess.Popen(
        shop.command("serve", "--port", "0"),
        cwd=shop.folder, env=shop.env(COLUMNS="500"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said: list[str] = []
    assert server.stderr is not None
    try:
        for line in server.stderr:
            said.append(line)
            if found := re.search(r"pages: (http://localhost:\d+)(/enter\?ticket=\S+)", line):
                break
        else:
            pytest.fail(f"the server did not start: {said}")
        listener = threading.Thread(target=said.extend, args=(server.stderr,), daemon=True)
        listener.start()
        yield found[1], found[1] + found[2]
    finally:
        server.terminate()
        server.wait(timeout=60)
        sys.stderr.write("".join(said))  # pytest shows it when the test fails


def token(shop: Shop, who: str, role: str) -> str:
    return shop.preview("token", "create", who, "--role", role, "--local").stdout.strip()


class Person:
    """Somebody at a browser, who is signed in; every page they come to is looked at for faults."""

    def __init__(self, browser: Browser, origin: str, secret: str, size: dict[str, int], scheme: str) -> None:
        self.context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._heard)
        self.origin = origin
        self.page.goto(f"{origin}/")
        self.look()
        self.page.get_by_label("Your token").fill(secret)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Previews")).to_be_visible()

    def _heard(self, message: Any) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self.faults.append(f"{message.text} ({message.location.get('url')})")

    def go(self, path: str) -> None:
        self.page.goto(self.origin + path)

    def look(self, picture: str = "") -> None:
        """No serious fault of accessibility, nothing wider than the screen; a picture for the docs."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        grave = [each for each in found if each["impact"] in ("serious", "critical")]
        told = [(each["id"], [node["html"][:200] for node in each["nodes"]][:3]) for each in grave]
        assert told == [], f"{self.page.url}: {told}"
        wide = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{self.page.url} is {wide} pixels too wide"
        if picture and os.environ.get("PREVIEW_PICTURES"):
            PICTURES.mkdir(exist_ok=True)
            size = self.page.viewport_size
            name = f"{picture}{'-phone' if size and size['width'] < 500 else ''}.png"
            self.page.screenshot(path=PICTURES / name, full_page=False)


def test_the_whole_story_on_the_dashboard(shop: Shop, chromium: Browser) -> None:
    shop.settings(lambda text: f"{text}\n[access]\nauthor_may_approve = false\n")
    people = {who: token(shop, who, "approver") for who in ("ada", "bob")}
    with serving(shop) as (origin, _):
        ada = Person(chromium, origin, people["ada"], WIDE, "light")

        # A new preview, followed while it is made; it asks, with evidence, and goes on when it is answered.
        ada.page.get_by_text("New preview").click()
        ada.page.get_by_label("Name").fill("pr-1")
        ada.page.get_by_role("button", name="Make it").click()
        expect(ada.page.get_by_text("question that facts cannot decide")).to_be_visible()
        ada.look("question")
        ada.page.locator("input[type=radio][value=name]").check()
        assert RENAME in ada.page.content()
        ada.page.get_by_role("button", name="Answer and go on").click()
        expect(ada.page.get_by_role("heading", name="pr-1 ready")).to_be_visible()
        expect(ada.page.get_by_role("heading", name="What changes in the schema")).to_be_visible()
        url = ada.page.locator(".head dl a").first.get_attribute("href")
        assert url is not None
        assert httpx.get(url, trust_env=False).status_code == 200

        # Its author may not approve it, says the setting, and so does the page.
        expect(ada.page.get_by_text("somebody else has to approve it").first).to_be_visible()
        expect(ada.page.locator(".look img")).to_be_visible()
        ada.look("preview")
        ada.go("/previews/pr-1/approve")
        expect(ada.page.get_by_text("You cannot do this now")).to_be_visible()
        ada.look()

        # The log, live: a request that is made now is seen without loading anything again.
        ada.go("/previews/pr-1/logs")
        httpx.get(f"{url}/customers/1?seen-live", trust_env=False)
        expect(ada.page.locator("#log")).to_contain_text("seen-live")
        ada.look("logs")

        # Somebody else, on a phone, in the dark: wakes it, approves and promotes it, seeing what that will do.
        bob = Person(chromium, origin, people["bob"], NARROW, "dark")
        bob.look()
        bob.page.get_by_role("link", name="pr-1", exact=True).click()
        expect(bob.page.get_by_role("link", name="Approve")).to_be_visible()
        bob.look("preview")
        ada.go("/previews/pr-1/sleep")
        ada.page.get_by_role("button", name="Put to sleep").click()
        expect(bob.page.get_by_text("asleep for")).to_be_visible()
        bob.page.get_by_role("link", name="Wake").click()
        bob.page.get_by_role("button", name="Wake").click()
        # The page before it does not say that it sleeps either: its story tells when it is awake.
        expect(bob.page.locator(".story .awake")).to_have_count(1)
        expect(bob.page.get_by_text("asleep for")).to_have_count(0)
        assert httpx.get(url, trust_env=False).status_code == 200
        bob.page.get_by_role("link", name="Approve").click()
        bob.page.get_by_label(re.compile("deletes_data")).first.check()
        bob.page.get_by_label("A sentence to keep with it").fill("looked at it on the train")
        bob.look("approve")
        bob.page.get_by_role("button", name="Approve").click()
        expect(bob.page.get_by_text("looked at it on the train").first).to_be_visible()
        expect(ada.page.get_by_text("Approved by bob")).to_be_visible()
        bob.page.get_by_role("link", name="Promote", exact=True).click()
        bob.look("promote")

        # First what nobody notices, then the rest; by keyboard, as everything can be.
        bob.page.get_by_label("Only what the running version").focus()
        bob.page.keyboard.press("Space")
        bob.page.keyboard.press("Enter")
        expect(bob.page.get_by_text("Production has the first half of this")).to_be_visible()
        assert "full_name" not in shop.columns(shop.uri(), "customers")
        bob.look()
        bob.page.get_by_role("link", name="Promote the rest").click()
        bob.look()
        bob.page.get_by_role("button", name="Promote the rest").click()
        expect(bob.page.get_by_role("heading", name="pr-1 closed")).to_be_visible()
        bob.page.get_by_role("link", name="Promotions").click()
        bob.page.get_by_role("link", name="pr-1").first.click()
        expect(bob.page.get_by_text("asked by")).to_be_visible()
        bob.look()

        ada.go("/?all=1")
        expect(ada.page.get_by_text("approved by bob")).to_be_visible()
        ada.look()
        assert (ada.faults, bob.faults) == ([], [])
    assert {"full_name"} <= shop.columns(shop.uri(), "customers")
    assert shop.json("list") == []


@pytest.mark.prove
def test_what_is_half_way_is_discarded_by_force_by_whoever_ticks_that_they_know(
    shop: Shop, chromium: Browser
) -> None:
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.preview("promote", "pr-1", "--phase", "expand", "--allow", ALLOW_FAX)
    half_way = shop.columns(shop.uri(), "customers")
    preview = shop.json("show", "pr-1")
    with serving(shop) as (origin, _):
        ada = Person(chromium, origin, token(shop, "ada", "admin"), NARROW, "light")
        ada.go("/previews/pr-1")
        ada.page.get_by_role("link", name="Discard by force").click()
        expect(ada.page.get_by_text("Production is left as it is now, half-way")).to_be_visible()
        expect(ada.page.get_by_text("Nobody can go on with this promotion afterwards")).to_be_visible()
        ada.look()

        # One tick is not enough: the browser sends nothing.
        button = ada.page.get_by_role("button", name="Discard by force")
        ticks = ada.page.get_by_role("group", name="Say that you know").get_by_role("checkbox")
        expect(ticks).to_have_count(2)
        ticks.first.check()
        button.click()
        assert ada.page.evaluate("document.querySelector('form.card').checkValidity()") is False
        assert shop.json("show", "pr-1")["state"] == "ready"

        ticks.last.check()
        button.click()
        expect(ada.page.get_by_role("heading", name="Previews")).to_be_visible()
        expect(ada.page.get_by_text("No previews.")).to_be_visible(timeout=PATIENCE)
        ada.go("/previews/pr-1")
        expect(ada.page.get_by_role("heading", name="pr-1 closed")).to_be_visible(timeout=PATIENCE)
        ada.look()
        assert ada.faults == []
    assert shop.json("list") == []
    assert shop.columns(shop.uri(), "customers") == half_way
    assert shop.leftovers(preview) == []


@pytest.mark.prove
def test_a_page_whose_stream_a_newer_one_has_looks_by_itself(shop: Shop, chromium: Browser) -> None:
    with serving(shop) as (origin, _):
        ada = Person(chromium, origin, token(shop, "ada", "viewer"), WIDE, "light")
        newer = [ada.context.new_page() for _ in range(4)]
        for page in newer:
            # Six connections are all that a browser has: each page comes, because the streams of older ones end.
            page.goto(f"{origin}/")
        shop.preview("up", "pr-1", expect=3)

        for page in (*newer, ada.page):
            page.bring_to_front()
            expect(page.get_by_role("link", name="pr-1")).to_be_visible()
        assert ada.faults == []


def test_on_a_laptop_the_printed_address_signs_in_once(common_shop: Shop) -> None:
    """No token, no other user of the machine, no other site: the address is good once, and at localhost only."""
    with serving(common_shop) as (origin, entrance):
        port = origin.rsplit(":", 1)[1]
        with httpx.Client(
            trust_env=False, base_url=f"http://127.0.0.1:{port}", headers={"host": f"localhost:{port}"}
        ) as me:
            assert me.get("/").headers["location"] == "/login"
            first = me.get(entrance.removeprefix(origin))
            assert (first.status_code, first.headers["location"]) == (303, "/")
            cookie = first.headers["set-cookie"]
            assert me.get(entrance.removeprefix(origin)).status_code == 401
            assert "(admin)" in me.get("/", headers={"cookie": cookie.split(";")[0]}).text
            rebound = me.get("/", headers={"host": f"rebound.example:{port}", "cookie": cookie.split(";")[0]})
            assert rebound.status_code == 421
            again = common_shop.preview("dashboard", "--port", port, "--no-browser").stdout.strip()
            assert again.startswith(f"{origin}/enter?ticket=")
            assert me.get(again.removeprefix(origin)).status_code == 303
    gone = common_shop.preview("dashboard", "--port", port, expect=1)
    assert "no server answers" in gone.stderr
