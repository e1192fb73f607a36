"""The fields of forms as a browser reads them from a page, and a yes on a confirmation page."""

import re

from fastapi.testclient import TestClient
from httpx import Response


def word(text: str, name: str = "csrf") -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, f"no {name} in {text[:400]}"
    return found[1]


def confirm(browser: TestClient, path: str, **more: object) -> Response:
    page = browser.get(path).text
    return browser.post(path, data={"csrf": word(page), "seen": word(page, "seen"), **more})
