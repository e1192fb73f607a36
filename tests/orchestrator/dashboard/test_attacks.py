"""Tried and refused: forged forms, other hosts, old and made-up sessions, script in all that comes from outside."""

from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from itertools import product

from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from orchestrator.dashboard.desk import Job, Mail, Place, Problem
from orchestrator.dashboard.doing import VERBS
from orchestrator.dashboard.entrance import inside
from orchestrator.dashboard.live import event, line_item
from orchestrator.dashboard.mount import ROUTERS
from orchestrator.dashboard.promoted import WAYS
from orchestrator.dashboard.sessions import Sessions
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import ORIGIN, FakeDesk, bring, facts, question, ran
from tests.orchestrator.dashboard.forms import word

Browse = Callable[..., TestClient]
#: What a template would make of `EVIL`'s braces; no clock, count or id on a page reads so.
SUM = 7654321
EVIL = f"<script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{{{{SUM}*{SUM}}}}}"
#: What stands for the parts of a path.
PARTS = {"name": ("pr-1",), "promotion_id": ("PROMOTION",), "link_id": ("LINK",), "verb": VERBS, "way": WAYS}


def posts() -> tuple[str, ...]:
    """Every button of every page: all paths that a form can be sent to, read from the routes themselves."""
    found = []
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            names = list(route.param_convertors)
            if route.methods - {"GET", "HEAD"}:
                assert route.methods == {"POST"}, route.path
                found += [
                    route.path.format(**dict(zip(names, values, strict=True)))
                    for values in product(*(PARTS[name] for name in names))
                ]
    return tuple(found)


BUTTONS = tuple(path for path in posts() if path != "/login")


class Tags(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_from_outside_becomes_markup(
    browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]
) -> None:
    store = open_store("dan")
    preview = bring(
        store, "pr-1", State.READY, {**facts(EVIL, url=f"http://127.0.0.1:20000/{EVIL}"), "note": EVIL}
    )
    bring(store, "pr-2", State.WAITING, {"questions": [question(EVIL).to_json()], "note": EVIL})
    error = {"message": EVIL, "hint": EVIL, "detail": EVIL, "state": "migrating", "kind": "X", "exit_code": 1}
    bring(store, "pr-3", State.FAILED, {}, error=error)
    promotions = open_store(EVIL).promotions(desk.project)
    made = promotions.begin(
        preview_id=preview.id, preview_name=EVIL, facts={"approval": {"who": EVIL, "at": EVIL}}
    )
    promotions.record(made.id, "statement", detail=ran(EVIL, sql=EVIL))
    desk.jobs["pr-1"] = Job(
        id="1", running=False, words=EVIL, error=Problem(message=EVIL, hint=EVIL, detail=EVIL)
    )
    store.shares().make(preview.id, lasts=timedelta(days=1), by=EVIL, note=EVIL)
    desk.sent = (Mail(id="1", subject=EVIL, sender=EVIL, to=EVIL, at=EVIL, text=EVIL, attachments=(EVIL,)),)
    browser = browse("ada")

    for path in (
        "/", "/previews/pr-1", "/previews/pr-2", "/previews/pr-3", "/previews/pr-1/promote", "/previews/pr-1/mails",
        "/previews/pr-1/mails/1", "/previews/pr-1/logs", "/promotions", f"/promotions/{made.id}",
        f"/promotions/{made.id}/revert", f"/previews/{EVIL}", f"/login?next={EVIL}", "/previews/pr-1/parts/now",
        "/previews/pr-1/shares",
    ):  # fmt: skip
        answer = browser.get(path)
        tags = Tags(answer.text).found
        assert "unsafe" not in answer.headers["content-security-policy"], path
        assert all(
            attributes.get("src", "").startswith("/static/") for tag, attributes in tags if tag == "script"
        ), path
        assert all(
            str(attributes.get("src")).startswith("/previews/") for tag, attributes in tags if tag == "img"
        ), path
        assert not [
            name for _, attributes in tags for name in attributes if name.startswith("on") or name == "style"
        ]
        assert str(SUM * SUM) not in answer.text, path


def test_a_line_of_a_log_is_one_item_of_text_whatever_is_in_it() -> None:
    sent = event("line", line_item("a\r\nevent: changed\ndata: x\r<script>\n\nb"))

    assert [line.split(":", 1)[0] for line in sent.strip("\n").split("\n")] == ["event", *["data"] * 6]
    assert "<script>" not in sent


def test_a_forged_form_does_nothing(browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]) -> None:
    store = open_store("dan")
    preview = bring(store, "pr-1", State.READY, facts("public.t"))
    made = store.promotions(desk.project).begin(preview_id=preview.id, preview_name="pr-1", facts={})
    link, _ = store.shares().make(preview.id, lasts=timedelta(days=1), by="dan")
    browser = browse("root")
    good = {"csrf": word(browser.get("/").text), "name": "pr-5", "seen": "x"}
    other = {**good, "csrf": word(browse("ada").get("/").text)}
    forgeries = (
        ({**good, "csrf": ""}, {}),
        (other, {}),
        (good, {"origin": "https://evil.example"}),
        (good, {"origin": "null"}),
        (good, {"origin": "http://localhost:20000"}),
        (good, {"origin": "http://127.0.0.1:8600"}),
        (good, {"sec-fetch-site": "same-site"}),
        (good, {"sec-fetch-site": "cross-site"}),
        (good, {"origin": ""}),
    )

    for path in BUTTONS:
        for data, headers in forgeries:
            real = path.replace("PROMOTION", made.id).replace("LINK", link.id)
            answer = browser.post(real, data=data, headers=headers)
            assert answer.status_code == 403, (path, headers)
    browser.headers.pop("origin")
    assert browser.post("/previews", data=good).status_code == 403
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {}):
        # Somebody else's session is worth something to whoever makes one use it.
        signed = browser.post("/login", data={"token": "token-dan"}, headers=headers)
        assert signed.status_code == 403

    assert len(BUTTONS) > 14
    assert desk.asked == []
    assert [each.revoked_at for each in store.shares().of(preview.id)] == [None]
    remembered = [(who, action) for who, action, _ in desk.refusals]
    assert remembered.count(("nobody", "POST /previews/pr-1/discard")) == 7, "those of other pages"
    assert remembered.count(("root", "form")) == 2 * len(BUTTONS), "those of other sessions"
    assert browser.get("/").status_code == 200, "still signed in"


def test_a_get_does_nothing(browse: Browse, desk: FakeDesk, open_store: Callable[..., Store]) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    browser = browse("root")

    for path in BUTTONS:
        browser.get(f"{path.replace('PROMOTION', 'x')}?csrf={word(browser.get('/').text)}&allow=deletes_data")

    assert desk.asked == []


def test_another_host_has_no_pages(browse: Browse, desk: FakeDesk) -> None:
    browser = browse("ada")

    for host in ("evil.example", "localhost:8601", "pr-1.localhost:8600", "localhost", ""):
        for path in ("/", "/login", "/enter?ticket=x", "/previews/pr-1"):
            answer = browser.get(path, headers={"host": host})
            assert answer.status_code == 421, (host, path)
            assert "set-cookie" not in answer.headers
    assert len(desk.refusals) == 20


def test_our_other_name_leads_to_the_right_one(browse: Browse) -> None:
    answer = browse("").get("/previews/pr-1?x=1", headers={"host": "127.0.0.1:8600"})

    assert (answer.status_code, answer.headers["location"]) == (303, f"{ORIGIN}/previews/pr-1?x=1")


def test_without_a_session_there_is_only_the_way_in(browse: Browse, open_store: Callable[..., Store]) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("secret_table"))
    browser = browse("")

    for path in (
        "/",
        "/previews/pr-1",
        "/previews/pr-1/report",
        "/previews/pr-1/logs/live",
        "/live",
        "/promotions",
    ):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login"), path
    assert browser.get("/parts/list", headers={"hx-request": "true"}).headers["hx-redirect"] == "/login"
    assert browser.post("/login", data={"token": "token-nobody"}).status_code == 401


def test_a_session_is_over_when_its_token_is_revoked(browse: Browse, desk: FakeDesk) -> None:
    browser = browse("ada")
    assert browser.get("/").status_code == 200

    desk.gone.add("ada")

    assert browser.get("/").status_code == 303


def test_a_cookie_of_another_key_or_purpose_is_worth_nothing(browse: Browse, desk: FakeDesk) -> None:
    browser = browse("")
    ours, theirs = Sessions(b"k" * 32), Sessions(b"x" * 32)

    for cookie in (theirs.begin("token-root"), ours.ticket(), "", "a.b.c", ours.begin("token-root")[:-2]):
        browser.cookies.set(desk.place.cookie, cookie)
        assert browser.get("/").status_code == 303
        browser.cookies.clear()


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browse: Browse, desk: FakeDesk) -> None:
    answer = browse("").post("/login", data={"token": "token-ada"})
    plain = answer.headers["set-cookie"].lower()
    desk.place = Place(origin="https://preview.example.com")
    secure = browse("", origin="https://preview.example.com").post("/login", data={"token": "token-ada"})
    cookie = secure.headers["set-cookie"].lower()

    assert "httponly" in plain
    assert "samesite" in plain
    assert "domain" not in plain
    assert cookie.startswith("__host-preview=")
    assert "; secure" in cookie
    assert "domain" not in cookie


def test_a_ticket_is_good_once_and_only_on_a_laptop(browse: Browse, desk: FakeDesk) -> None:
    browser = browse("")
    ticket = Sessions(b"k" * 32).ticket()
    assert browser.get(f"/enter?ticket={ticket}").status_code == 401

    desk.place = Place(origin=ORIGIN, local=True)
    first, second = browser.get(f"/enter?ticket={ticket}"), browse("").get(f"/enter?ticket={ticket}")

    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert browser.get("/").status_code == 200
    assert second.status_code == 401
    assert browse("").get("/enter?ticket=made-up").status_code == 401


def test_after_signing_in_nobody_is_sent_elsewhere(browse: Browse) -> None:
    wrong = (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "",
        "/a\nb",
        "\\x",
    )
    browser = browse("")

    for path in wrong:
        answer = browser.post("/login", data={"token": "token-ada", "next": path})
        assert answer.headers["location"] == "/", path
    assert inside("/previews/pr-1?x=1") == "/previews/pr-1?x=1"


def test_no_path_leads_out(browse: Browse, open_store: Callable[..., Store]) -> None:
    bring(open_store("dan"), "pr-1", State.READY, facts("public.t"))
    browser = browse("root")

    for path in (
        "/static/x/../../../../etc/passwd", "/static/x/..%2f..%2frender.py", "/static/x/%2e%2e", "/static/x/",
        "/previews/..%2f..%2fetc/report", "/previews/pr-1%00/report", "/previews/%2e%2e/picture",
        "/previews/pr-1/parts/base", "/previews/pr-1/parts/__class__", "/previews/pr-1/%2e%2e%2fpr-2",
    ):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code in (404, 400, 307), path
        assert "root:" not in answer.text
