"""A real browser for the tests that look at pages: Debian's Chromium, or whichever the machine has."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

#: Milliseconds in which a page must show what is expected of it; nothing here takes it, except on a loaded machine.
PATIENCE = 90_000
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def open_browser(*words: str) -> Iterator[Browser]:
    """Chromium, started with these words too; without one a test is skipped for a user, and fails under `CI=true`."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium")
        pytest.skip("there is no Chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *words]
        )
        yield browser
        browser.close()
