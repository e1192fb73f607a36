"""Every page in every state, in a real browser: wide and narrow, light and dark, no serious fault of accessibility.

With PREVIEW_LOOK=DIRECTORY each is kept there as a picture, to be looked at.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.responses import Response

from orchestrator.dashboard.desk import Place
from orchestrator.gate import pages as gate
from orchestrator.lifecycle import Store
from tests.orchestrator.dashboard.desk import FakeDesk
from tests.orchestrator.dashboard.gallery import asking, hang

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = {1280: 900, 390: 844}
LOOK = os.environ.get("PREVIEW_LOOK")


@pytest.fixture
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium")
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


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
        page.get_by_label("Your token").fill("token-ada")
        page.get_by_role("button", name="Sign in").click()
        for name, path in paths.items():
            page.goto(origin + path)
            seen(page, name, wrong, width, scheme)
        context.close()
    assert (wrong, heard) == ({}, [])


def seen(page: Page, name: str, wrong: dict[str, list[object]], width: int, scheme: str) -> None:
    page.wait_for_load_state("load")
    if found := faults(page):
        wrong[name] = found
    if LOOK:
        Path(LOOK).mkdir(exist_ok=True, parents=True)
        page.screenshot(path=Path(LOOK) / f"{name}-{width}-{scheme}.png", full_page=True)
