"""Every page in every state, in a real browser: wide and narrow, light and dark, no serious fault of accessibility.

With PREVIEW_LOOK=DIRECTORY each is kept there as a picture, to be looked at.
Those of the list in docs/pictures are list-1280-light and list-390-light of these.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect
from starlette.responses import Response

from orchestrator.dashboard.desk import Job, Place
from orchestrator.dashboard.live import Streams
from orchestrator.gate import pages as gate
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import FakeDesk, bring, facts, ran
from tests.orchestrator.dashboard.gallery import asking, hang

SIZES = {1280: 900, 390: 844}
LOOK = os.environ.get("PREVIEW_LOOK")


@contextmanager
def serving(app: FastAPI, desk: FakeDesk) -> Iterator[str]:
    """The pages on a port of their own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    desk.place = Place(origin=f"http://localhost:{port}")
    try:
        yield desk.place.origin
    finally:
        server.should_exit = True
        thread.join()


def faults(page: Page) -> list[object]:
    """What axe finds serious, and what is wider than the screen."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[object] = [
        (each["id"], [node["html"][:200] for node in each["nodes"]][:3])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*found, *([f"{wide} pixels too wide"] if wide > 0 else [])]


def gates(app: FastAPI) -> dict[str, str]:
    """The gate's own pages, hung beside the others."""
    made: dict[str, Callable[[], Response]] = {
        "gate-login": lambda: gate.login(
            name="pr-1", to="/", status=200, server="https://preview.example.com/x"
        ),
        "gate-wrong": lambda: gate.login(
            name="pr-1", to="/", status=403, server=None, wrong="It has expired."
        ),
        "gate-waking": lambda: gate.say("pr-1 wakes up", ("It slept.",), status=503, browser=True, again=60),
        "gate-gone": lambda: gate.say("There is no such preview", ("Ask.",), status=404, browser=True),
    }
    for name, answer in made.items():
        app.add_api_route(f"/{name}", answer, include_in_schema=False)
    return {name: f"/{name}" for name in made}


@pytest.mark.prove
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_no_page_has_a_serious_fault(
    app: FastAPI, desk: FakeDesk, open_store: Callable[..., Store], chromium: Browser, width: int, scheme: str
) -> None:
    paths = {**hang(desk, open_store("dan"), asking()), **gates(app)}
    wrong = {}
    with serving(app, desk) as origin:
        context = chromium.new_context(
            viewport={"width": width, "height": SIZES[width]}, color_scheme=scheme, reduced_motion="reduce"  # type: ignore[arg-type]
        )  # fmt: skip
        page = context.new_page()
        heard: list[str] = []
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.goto(f"{origin}/login")
        seen(page, "login", wrong, width, scheme)
        page.get_by_label("Your token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        seen(page, "login-wrong", wrong, width, scheme)
        sign_in(page, "root")
        for name, path in paths.items():
            page.goto(origin + path)
            seen(page, name, wrong, width, scheme)
        page.goto(f"{origin}/")
        page.get_by_text("New preview").click()
        page.get_by_label("Name").fill("asks")
        page.get_by_role("button", name="Make it").click()
        seen(page, "list-wrong", wrong, width, scheme)
        page.get_by_role("button", name="Sign out").click()
        sign_in(page, "vera")
        for name in ("list", "asks", "ready", "do-promote", "promotion-done"):
            page.goto(origin + paths[name])
            seen(page, f"viewer-{name}", wrong, width, scheme)
        context.close()
    assert (wrong, heard) == ({}, [])


def sign_in(page: Page, who: str) -> None:
    page.get_by_label("Your token").fill(f"token-{who}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Previews")).to_be_visible()


@pytest.mark.prove
def test_a_page_without_room_for_its_stream_looks_by_itself_until_there_is_room(
    app: FastAPI, desk: FakeDesk, open_store: Callable[..., Store], chromium: Browser
) -> None:
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    front = app.state.dashboard
    front.streams = Streams(most=0)
    with serving(app, desk) as origin:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{origin}/login")
        page.clock.install()
        sign_in(page, "ada")
        refused: list[int] = []
        page.on("response", lambda answer: refused.append(answer.status) if "/live" in answer.url else None)
        with page.expect_response(lambda answer: "/live" in answer.url):
            page.goto(f"{origin}/previews/pr-1")
        assert refused == [503]

        with store.lease(preview.id) as lease:
            store.record(lease, to=State.READY, kind="noted", note="while nobody told")
        page.clock.fast_forward(10_000)
        expect(page.locator(".story")).to_contain_text("while nobody told")

        front.streams = Streams()
        with page.expect_response(lambda answer: "/live" in answer.url and answer.status == 200):
            page.clock.fast_forward(130_000)
        with store.lease(preview.id) as lease:
            store.record(lease, to=State.READY, kind="noted", note="live again")
        expect(page.locator(".story")).to_contain_text("live again")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/parts/" in request.url else None)
        page.clock.fast_forward(60_000)
        page.evaluate("1")
        assert asked == [], "a page with a stream does not look by itself"
        context.close()


@pytest.mark.prove
def test_a_running_promotion_is_told_step_by_step_and_its_end_is_read_out(
    app: FastAPI, desk: FakeDesk, open_store: Callable[..., Store], chromium: Browser
) -> None:
    store = open_store("dan")
    given = facts("public.t")
    preview = bring(store, "pr-1", State.READY, given)
    promotions = store.promotions(desk.project)
    made = promotions.begin(preview_id=preview.id, preview_name="pr-1", facts={"plan": given["plan"]})
    desk.jobs["pr-1"] = Job(id="1", running=True, words="promote, asked by ada", act="promote")
    with serving(app, desk) as origin:
        context = chromium.new_context(reduced_motion="reduce")
        page = context.new_page()
        page.goto(f"{origin}/login")
        sign_in(page, "ada")
        page.goto(f"{origin}/promotions/{made.id}")
        expect(page.get_by_text("0 of 3 statements have run")).to_be_visible()
        expect(page.get_by_text("production is being changed").first).to_be_visible()

        desk.said = ["1 of 3: waits for a lock"]
        expect(page.get_by_label("What the running step says")).to_contain_text("waits for a lock")
        first = given["plan"]["statements"][0]
        promotions.record(made.id, "statement", detail=ran(first["why"], sql=first["sql"]))
        expect(page.get_by_text("1 of 3 statements have run")).to_be_visible()
        expect(page.locator(".to-come li")).to_have_count(2)
        expect(page.locator("#said")).to_be_empty()

        desk.jobs["pr-1"] = Job(id="1", running=False, words="promote", act="promote")
        promotions.record(made.id, "done", note="3 statements")
        expect(page.locator("#said")).to_contain_text("pr-1: done.")
        expect(page.get_by_role("heading", name="Right now")).to_have_count(0)
        expect(page.get_by_role("link", name="Revert", exact=True)).to_be_visible()
        context.close()


@pytest.mark.prove
def test_everything_is_reached_by_keyboard_and_seen_when_it_is(
    app: FastAPI, desk: FakeDesk, open_store: Callable[..., Store], chromium: Browser
) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    with serving(app, desk) as origin:
        context = chromium.new_context(reduced_motion="reduce")
        page = context.new_page()
        page.goto(f"{origin}/login")
        sign_in(page, "root")
        page.goto(f"{origin}/previews/pr-1")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement === document.body"):
                break
            text, outline = page.evaluate(
                "[document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]"
            )
            assert outline == "solid", text
            reached.append(text)
        wanted = ["Previews", "Logs", "Approve", "Promote", "Discard"]
        assert [each for each in reached if each in wanted] == wanted, "in the order in which they stand"
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), levels
        context.close()


def seen(page: Page, name: str, wrong: dict[str, list[object]], width: int, scheme: str) -> None:
    page.wait_for_load_state("load")
    if found := faults(page):
        wrong[name] = found
    if LOOK:
        Path(LOOK).mkdir(exist_ok=True, parents=True)
        page.screenshot(path=Path(LOOK) / f"{name}-{width}-{scheme}.png", full_page=True)
