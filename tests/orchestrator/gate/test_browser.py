"""What an app's page can do in a real browser to another preview and to the login page, which share its domain."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from playwright.sync_api import BrowserContext, Error, Page

from tests.browser import open_browser
from tests.orchestrator.gate.conftest import House
from tests.orchestrator.gate.small_app import SEEN

pytestmark = pytest.mark.prove


@pytest.fixture
def visitor(open_house: Callable[..., House]) -> Iterator[tuple[House, BrowserContext]]:
    """A browser that finds a team's previews, by HTTPS."""
    house = open_house(domain="preview.test", tls="internal")
    with (
        house.gate(),
        open_browser("--host-resolver-rules=MAP *.preview.test 127.0.0.1") as browser,
        # No service worker would be registered behind a certificate that only the test trusts.
        closing(browser.new_context(ignore_https_errors=True)) as context,
    ):
        yield house, context


def at(house: House, name: str, path: str) -> str:
    return f"https://{name}.preview.test:{house.port}{path}"


def go(page: Page, url: str) -> None:
    while True:
        try:
            page.goto(url)
        except Error as error:
            if "ERR_NETWORK_CHANGED" not in error.message:  # Docker made or removed a network just now
                raise
        else:
            return


def log_in(page: Page, house: House, name: str, token: str) -> None:
    go(page, at(house, name, "/page"))
    page.get_by_label("Token").fill(token)
    page.get_by_role("button").click()
    page.wait_for_load_state()
    assert page.title() == "a page", page.inner_text("body")


def test_a_page_of_one_preview_gets_nothing_out_of_another(visitor: tuple[House, BrowserContext]) -> None:
    house, context = visitor
    house.preview("pr-1")
    house.preview("evil")
    token = house.token()
    page = context.new_page()
    log_in(page, house, "pr-1", token)
    log_in(page, house, "evil", token)  # its own visitor, too; now its script runs
    other = at(house, "pr-1", "")
    SEEN.clear()
    page.evaluate(
        """async other => {
            for (const credentials of ["include", "same-origin"]) {
                await fetch(other + "/by-script", {mode: "no-cors", credentials}).catch(() => 0);
                const post = {method: "POST", mode: "no-cors", credentials, body: "x"};
                await fetch(other + "/by-post", post).catch(() => 0);
            }
            const ended = (made, ...events) => new Promise(done => events.forEach(each => made["on" + each] = done));
            const picture = new Image();
            picture.src = other + "/by-picture";
            await ended(picture, "error", "load");
            const frame = document.createElement("iframe");
            frame.src = other + "/by-frame";
            document.body.append(frame);
            await ended(frame, "load");
            await ended(new WebSocket(other.replace("https", "wss") + "/ws"), "error", "open");
        }""",
        other,
    )
    assert SEEN == []
    page.evaluate(
        """other => {
            document.body.innerHTML = `<form method=post action="${other}/by-form"><button>go</button></form>`;
        }""",
        other,
    )
    with page.expect_response(lambda answer: "/by-form" in answer.url) as answer:
        page.get_by_role("button").click()
    assert answer.value.status == 401
    assert SEEN == []
    # A link leads there, and its own script reaches its own app.
    go(page, at(house, "evil", "/page"))
    page.evaluate("other => { document.querySelector('a').href = other + '/by-link' }", other)
    page.get_by_role("link").click()
    page.wait_for_url(f"{other}/by-link")
    page.evaluate("fetch('/own', {method: 'POST', body: 'x'}).then(answer => answer.status)")
    assert [path for path in SEEN if path != "/favicon.ico"] == ["/by-link", "/own"]


def test_no_page_of_the_app_has_a_hand_on_the_login_page(visitor: tuple[House, BrowserContext]) -> None:
    house, context = visitor
    house.preview("pr-1")
    page = context.new_page()
    log_in(page, house, "pr-1", house.token())
    # As a script of the app it stays while the login ends.
    refused = page.evaluate(
        "navigator.serviceWorker.register('/worker.js').then(() => '', error => error.message)"
    )
    assert "403" in refused
    with page.expect_popup() as opened:
        page.evaluate("window.popup = window.open('/.preview/logout-not')")
    opened.value.wait_for_load_state()
    assert "There is nothing here" in opened.value.inner_text("body")
    assert page.evaluate("window.popup.closed")  # of another group of pages: nothing of it is seen
    page.evaluate(
        """() => {
            const frame = document.createElement("iframe");
            frame.src = "/.preview/nothing";
            document.body.append(frame);
            return new Promise(done => frame.onload = done);
        }"""
    )
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None


def test_what_a_script_sets_for_the_parent_domain_is_no_login_and_no_cookie_named_host(
    visitor: tuple[House, BrowserContext],
) -> None:
    """What is left: the others' apps get its other cookies, which come without a word of who set them."""
    house, context = visitor
    house.preview("pr-1")
    house.preview("evil")
    page = context.new_page()
    log_in(page, house, "pr-1", house.token())
    log_in(page, house, "evil", house.token())
    page.evaluate(
        """() => {
            const parent = "; Domain=preview.test; Path=/; Secure";
            for (const name of ["__Host-preview-gate", "__host-preview-gate", "preview-gate", "__Host-app", "app"])
                document.cookie = `${name}=planted${parent}`;
            document.cookie = `=__Host-preview-gate=planted${parent}`;
        }"""
    )
    go(page, at(house, "pr-1", "/page"))  # let in by the gate's own cookie, which is as it was
    given = page.evaluate("fetch('/headers').then(answer => answer.json())")["headers"]
    assert [value for name, value in given if name == "cookie"] == ["app=planted"]
    context.clear_cookies(domain="pr-1.preview.test")
    assert page.evaluate("fetch('/headers').then(answer => answer.status)") == 401
