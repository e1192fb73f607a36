"""Who is kept out of a team's previews, and what a request cannot make the gateway do. Each attack is really sent."""

import json
from collections.abc import Callable
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx

from orchestrator.gate.config import TOKEN
from orchestrator.lifecycle import State
from tests.orchestrator.gate.conftest import House


def one_after_another(values: list[Any]) -> Callable[[Callable[[House, Any], None]], Callable[[House], None]]:
    """Parametrized, but all in one house: to open one for each would take most of the time."""

    def wrap(test: Callable[[House, Any], None]) -> Callable[[House], None]:
        def each(team: House) -> None:
            for value in values:
                test(team, value)

        each.__doc__ = test.__doc__
        return each

    return wrap


PAGE = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate"}
COOKIE = "__Host-preview-gate"


def cookie_of(answer: httpx.Response) -> str:
    """`NAME=VALUE` of the gate's cookie."""
    morsel = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    return f"{COOKIE}={morsel.value}"


def log_in(team: House, name: str, token: str, to: str = "/") -> httpx.Response:
    return team.ask(name, "/.preview/login", method="POST", data={"token": token, "to": to})


def reached(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["headers"])


# who is let in


def test_a_stranger_sees_nothing_of_a_preview(team: House) -> None:
    preview = team.asleep("pr-1")
    page = team.ask("pr-1", "/orders?id=1", headers=PAGE)
    assert page.status_code == 302
    assert page.headers["location"] == "/.preview/login?to=%2Forders%3Fid%3D1"
    told = team.ask("pr-1", "/orders", headers={"Accept": "application/json"})
    assert told.status_code == 401
    assert told.headers["www-authenticate"].startswith("Bearer")
    assert team.ask("pr-1", method="POST", content=b"x").status_code == 401
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert (
        team.ask(
            "pr-1", "/ws", headers={**upgrade, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        ).status_code
        == 401
    )
    # A stranger wakes nobody, and is no reason to stay awake.
    assert team.woken == []
    assert preview.id not in team.store.visits().last()


def test_a_token_opens_it_for_a_browser_and_for_a_program(team: House) -> None:
    team.preview("pr-1")
    token = team.token()
    form = team.ask("pr-1", "/.preview/login?to=%2Forders%3Fid%3D1", headers=PAGE)
    assert form.status_code == 200
    assert 'value="/orders?id=1"' in form.text
    answer = log_in(team, "pr-1", token, "/orders?id=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders?id=1")
    flags = answer.headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "secure", "samesite=lax", "path=/", "max-age=43200"))
    assert "domain=" not in flags

    browser = reached(team.ask("pr-1", headers={"Cookie": f"a=1; {cookie_of(answer)}; b=2"}))
    assert browser["cookie"] == "a=1; b=2"
    alone = reached(team.ask("pr-1", headers={"Cookie": cookie_of(answer)}))
    assert "cookie" not in alone

    program = reached(team.ask("pr-1", headers={TOKEN: token}))
    bearer = reached(team.ask("pr-1", headers={"Authorization": f"Bearer {token}"}))
    assert token not in json.dumps([browser, program, bearer])
    assert "authorization" not in bearer
    assert not any(name.startswith("x-preview") for name in {**program, **bearer})


def test_the_apps_own_authorization_is_left_to_the_app(team: House) -> None:
    team.preview("pr-1")
    both = reached(team.ask("pr-1", headers={TOKEN: team.token(), "Authorization": "Bearer the-apps-own"}))
    assert both["authorization"] == "Bearer the-apps-own"
    basic = {TOKEN: team.token(), "Authorization": "Basic YTpi"}
    assert reached(team.ask("pr-1", headers=basic))["authorization"] == "Basic YTpi"
    assert team.ask("pr-1", headers={"Authorization": "Bearer the-apps-own"}).status_code == 401


def test_a_wrong_token_is_refused_in_words(team: House) -> None:
    team.preview("pr-1")
    good = team.token()
    for wrong in ("", "x", good[:-1], good[:-1] + ("0" if good[-1] != "0" else "1"), "' or 1=1 --", "\x00"):
        answer = log_in(team, "pr-1", wrong)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "is not known, has expired or was revoked" in answer.text
    assert log_in(team, "pr-1", "x" * 100_000).status_code == 403
    # What httpx itself would not send in a header is left out.
    for wrong in ("x", good[:-1], "' or 1=1 --"):
        assert team.ask("pr-1", headers={TOKEN: wrong}).status_code == 401
    assert team.ask("pr-1", f"/.preview/share/share_00000000_{'0' * 64}").status_code == 403
    with team.site.audit() as audit:
        told = {(each.action, each.outcome) for each in audit.read()}
    assert told == {("gate token", "refused"), ("gate share", "refused")}


def test_a_revoked_token_ends_the_logins_that_it_gave(team: House) -> None:
    team.preview("pr-1")
    token = team.token()
    cookie = cookie_of(log_in(team, "pr-1", token))
    assert team.ask("pr-1", headers={"Cookie": cookie}).status_code == 200
    with team.site.tokens() as tokens:
        tokens.revoke(token.split("_")[2], by="test")
    while team.ask("pr-1", headers={"Cookie": cookie}).status_code == 200:
        pass
    assert team.ask("pr-1", headers={"Cookie": cookie}).status_code == 401
    assert team.ask("pr-1", headers={TOKEN: token}).status_code == 401


def test_logging_out_takes_the_cookie_away(team: House) -> None:
    team.preview("pr-1")
    answer = team.ask("pr-1", "/.preview/logout", method="POST")
    assert "max-age=0" in answer.headers["set-cookie"].lower()


# share links


def share(team: House, preview_id: str, lasts: timedelta = timedelta(days=1)) -> tuple[str, str]:
    with team.site.store("ada@test") as store:
        made, secret = store.shares().make(preview_id, lasts=lasts, by="ada")
    return made.id, f"/.preview/share/{secret}"


def test_a_share_link_opens_its_own_preview_until_it_is_revoked(team: House) -> None:
    one, other = team.preview("one"), team.preview("other")
    share_id, link = share(team, one.id)
    answer = team.ask("one", link, headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["referrer-policy"] == "no-referrer"
    cookie = cookie_of(answer)
    assert "cookie" not in reached(team.ask("one", headers={"Cookie": cookie}))
    assert team.ask("other", link).status_code == 403
    assert team.ask("other", headers={"Cookie": cookie}).status_code == 401
    with team.site.store("test") as store:
        store.shares().revoke(one.id, share_id, by="test")
    while team.ask("one", headers={"Cookie": cookie}).status_code == 200:
        pass
    assert team.ask("one", link).status_code == 403
    del other


def test_an_expired_share_link_is_no_good(team: House) -> None:
    preview = team.preview("pr-1")
    _, link = share(team, preview.id, timedelta(microseconds=1))
    page = team.ask("pr-1", link, headers=PAGE)
    assert page.status_code == 403
    assert "not good any more" in page.text
    assert "set-cookie" not in page.headers


# cookies


def test_the_cookie_of_one_preview_is_worth_nothing_on_another(team: House) -> None:
    team.preview("one")
    team.preview("other")
    cookie = cookie_of(log_in(team, "one", team.token()))
    assert team.ask("one", headers={"Cookie": cookie}).status_code == 200
    assert team.ask("other", headers={"Cookie": cookie}).status_code == 401


def test_the_cookie_of_a_preview_is_worth_nothing_on_the_next_of_its_name(team: House) -> None:
    first = team.preview("pr-1")
    cookie = cookie_of(log_in(team, "pr-1", team.token()))
    with team.store.lease(first.id) as lease:
        team.store.record(lease, to=State.DISCARDING, kind="step")
        team.store.record(lease, to=State.CLOSED, kind="step")
    team.preview("pr-1")
    while team.ask("pr-1", headers={"Cookie": cookie}).status_code == 200:
        pass
    assert team.ask("pr-1", headers={"Cookie": cookie}).status_code == 401


@one_after_another(["cut", "other", "empty", "unsigned", "many"])
def test_a_forged_cookie_is_none(team: House, change: str) -> None:
    preview = team.preview("pr-1")
    good = cookie_of(log_in(team, "pr-1", team.token()))
    value = good.partition("=")[2]
    body, _, signature = value.rpartition(".")
    forged = {
        "cut": value[:-3],
        "other": f"{body}.{signature[::-1]}",
        "empty": "",
        "unsigned": f'["{preview.id}","share:00000000","eve"]',
        "many": "; ".join(f"{COOKIE}=x{number}" for number in range(50)),
    }[change]
    assert team.ask("pr-1", headers={"Cookie": f"{COOKIE}={forged}"}).status_code == 401
    # The plain name is not the secured one: another host of the domain could set it.
    assert team.ask("pr-1", headers={"Cookie": f"preview-gate={value}"}).status_code == 401


def test_an_app_sets_cookies_for_its_own_host_only(team: House) -> None:
    team.preview("pr-1")
    answer = team.ask("pr-1", "/cookies", headers={TOKEN: team.token()})
    assert answer.headers.get_list("set-cookie") == [
        "session=1; Path=/; HttpOnly",
        "plain=2; Path=/",
        "spaced=3; Path=/",
        "twice=4",
        "app-__Host-preview-gate=forged; Path=/; Secure",
        "app-preview-gate=; Max-Age=0",
    ]
    assert answer.headers["clear-site-data"] == '"cache", "storage", "storage"'
    assert answer.text == "ok"


#: Who asks, and whether a browser's cookie counts for it.
ASKING: list[tuple[dict[str, str], bool]] = [
    ({"Sec-Fetch-Site": "same-origin", "Origin": "https://pr-1.preview.test"}, True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
    ({"Sec-Fetch-Site": "none", **PAGE}, True),
    # A link from another preview or from the dashboard.
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "document", **PAGE}, True),
    # Another preview's script, picture, frame, websocket.
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, False),
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, False),
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "iframe", **PAGE}, False),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket", "Sec-Fetch-Dest": "empty"}, False),
    ({"Origin": "https://other.preview.test", "Upgrade": "websocket"}, False),
    ({"Origin": "https://other.preview.test"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "https://pr-1.preview.test"}, True),
    ({}, True),
]


def test_a_page_of_another_preview_asks_nothing_in_a_visitors_name(team: House) -> None:
    team.preview("pr-1")
    cookie = cookie_of(log_in(team, "pr-1", team.token()))
    for headers, lent in ASKING:
        status = team.ask("pr-1", headers={**headers, "Cookie": cookie}).status_code
        assert status in ((200,) if lent else (302, 401)), headers


def test_another_previews_form_sends_nothing_in_a_visitors_name(team: House) -> None:
    team.preview("pr-1")
    cookie = cookie_of(log_in(team, "pr-1", team.token()))
    headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "document", **PAGE, "Cookie": cookie}
    assert team.ask("pr-1", headers=headers).status_code == 200
    assert team.ask("pr-1", method="POST", content=b"x=1", headers=headers).status_code == 401


def test_no_app_stands_before_the_login_page(team: House, open_house: Callable[..., House]) -> None:
    team.preview("pr-1")
    token = {TOKEN: team.token()}
    refused = team.ask("pr-1", "/worker.js", headers={**token, "Service-Worker": "script"})
    assert refused.status_code == 403
    assert "service_workers = true" in refused.text
    page = team.ask("pr-1", "/.preview/login", headers=PAGE)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    loose = open_house(domain="preview.test", tls="off", service_workers=True)
    with loose.gate():
        assert (
            loose.ask("pr-1", "/worker.js", headers={**token, "Service-Worker": "script"}).status_code == 200
        )


# where a request goes


def test_a_token_that_is_said_to_be_for_the_next_hop_only_lets_nobody_in(team: House) -> None:
    team.preview("pr-1")
    headers = {TOKEN: team.token(), "Connection": f"{TOKEN}, close"}
    assert team.ask("pr-1", headers=headers).status_code == 401


@one_after_another(
    [
        {"X-Preview-Upstream": "127.0.0.1:9"},
        {"x-preview-upstream": "127.0.0.1:9", "X-Forwarded-Host": "other.preview.test"},
        {
            "X-Forwarded-Host": "other.preview.test",
            "X-Forwarded-Proto": "gopher",
            "X-Forwarded-For": "6.6.6.6",
        },
        {"X-Forwarded-Uri": "/robots.txt", "X-Forwarded-Method": "HEAD"},
        {"X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "Forwarded": "host=other.preview.test"},
        # Many apps read a `_` in a header's name as a `-`.
        {
            "X_Forwarded_Host": "other.preview.test",
            "X-Forwarded_For": "6.6.6.6",
            "X_Preview_Upstream": "127.0.0.1:9",
        },
        {
            "X-Real-IP": "6.6.6.6",
            "X-Forwarded-Port": "1",
            "X_Forwarded-Proto": "gopher",
            "X_REAL_IP": "6.6.6.6",
        },
    ]
)
def test_no_header_leads_elsewhere(team: House, headers: dict[str, str]) -> None:
    team.preview("pr-1")
    team.preview("other", url="http://127.0.0.1:9")
    said = reached(team.ask("pr-1", headers={**headers, TOKEN: team.token()}))
    assert said["host"] == said["x-forwarded-host"] == "pr-1.preview.test"
    # What stands in front of this gateway speaks HTTPS.
    assert (said["x-forwarded-for"], said["x-forwarded-proto"]) == ("127.0.0.1", "https")
    read = [name.replace("_", "-") for name in said]
    assert not any(name.startswith(("x-preview", "x-real", "forwarded")) for name in read)
    assert sum(name.startswith("x-forwarded-") for name in read) == 3
    # And none of them gets a stranger in.
    assert team.ask("pr-1", headers=headers).status_code == 401


@one_after_another(
    [
        *("evil.example", "localhost", "127.0.0.1", "pr-1.preview.test.evil.example", "pr-1preview.test"),
        *(
            "a.pr-1.preview.test",
            "pr-1.preview.test@evil.example",
            ".preview.test",
            "..preview.test",
            "*.preview.test",
        ),
        *("pr-1.preview.test%00", "pr-1.preview.testé", "pr-1 .preview.test", "[::1]", ""),
    ]
)
def test_an_unknown_host_never_reaches_an_app(team: House, host: str) -> None:
    team.preview("pr-1")
    token = team.token()
    answer = team.raw(f"GET /echo HTTP/1.1\nHost: {host}\n{TOKEN}: {token}\nConnection: close\n\n")
    assert answer.split(b" ")[1] in (b"404", b"400", b"503")
    assert b'"sha256"' not in answer


def test_writing_a_host_otherwise_is_still_that_host(team: House) -> None:
    team.preview("pr-1")
    token = team.token()
    for host in ("PR-1.Preview.TEST", "pr-1.preview.test:8443", "pr-1.preview.test."):
        assert team.ask("pr-1", headers={"Host": host, TOKEN: token}).status_code == 200


@one_after_another(
    [
        "GET http://other.preview.test/echo HTTP/1.1\nHost: pr-1.preview.test",
        "GET /echo HTTP/1.1\nHost: pr-1.preview.test\nHost: other.preview.test",
        "GET /echo HTTP/1.1\nHost: pr-1.preview.test\n Host: other.preview.test",
        "POST /echo HTTP/1.1\nHost: pr-1.preview.test\nContent-Length: 3\nTransfer-Encoding: chunked",
        "POST /echo HTTP/1.1\nHost: pr-1.preview.test\nContent-Length: 3\nContent-Length: 5",
    ]
)
def test_a_request_that_says_two_things_is_no_way_around(team: House, request_line: str) -> None:
    team.preview("pr-1")
    other = team.preview("other")
    _, link = share(team, other.id)
    # Lets in to `other` only: whatever comes back must not be the app of pr-1.
    cookie = cookie_of(team.ask("other", link))
    answer = team.raw(f"{request_line}\nCookie: {cookie}\nConnection: close\n\n0\n\n")
    assert b'"pr-1.preview.test"' not in answer


@one_after_another(
    [
        *(
            "/.preview/../echo",
            "/.preview/%2e%2e/echo",
            "/.preview/..%2fecho",
            "//.preview/login",
            "/.preview",
        ),
        *(
            "/./.preview/login",
            "/%2epreview/login",
            "/.preview/share/..%2f..%2fecho",
            "/x/../.preview/login",
        ),
        *(
            "/.preview/gate",
            "/gate",
            "/gate/name?domain=pr-1.preview.test",
            "/gate/unreachable",
            "/.preview/\\echo",
        ),
        *("/robots.txt/../echo", "/echo#/robots.txt", "/echo;/robots.txt", "/echo?/robots.txt"),
    ]
)
def test_no_path_leads_a_stranger_to_the_app(team: House, path: str) -> None:
    team.preview("pr-1")
    answer = team.raw(f"GET {path} HTTP/1.1\nHost: pr-1.preview.test\nConnection: close\n\n")
    assert b'"sha256"' not in answer
    assert answer.split(b" ")[1] in (b"200", b"302", b"400", b"401", b"404")
    assert b"upstream" not in answer.lower()


@one_after_another(
    [
        *(
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
        ),
        *(
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x=1",
            "///evil.example",
            "/.preview/logout",
            "evil",
            "",
            "/ü",
        ),
    ]
)
def test_a_login_leads_to_no_other_place(team: House, to: str) -> None:
    team.preview("pr-1")
    answer = log_in(team, "pr-1", team.token(), to)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    form = team.ask("pr-1", "/.preview/login", params={"to": to}, headers=PAGE)
    assert 'name="to" value="/"' in form.text


def test_a_login_form_of_another_page_is_refused(team: House) -> None:
    team.preview("pr-1")
    for origin in ("https://evil.example", "https://other.preview.test", "null"):
        answer = team.ask(
            "pr-1",
            "/.preview/login",
            method="POST",
            data={"token": team.token()},
            headers={"Origin": origin},
        )
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_what_people_write_is_escaped(team: House) -> None:
    preview = team.preview("pr-1")
    with team.store.lease(preview.id) as lease:
        error = {"message": "<script>alert(1)</script>", "state": "launching"}
        team.store.record(lease, to=State.LAUNCHING, kind="step", facts={"url": None})
        team.store.record(lease, to=State.FAILED, kind="failed", error=error)
    page = team.ask("pr-1", headers={**PAGE, TOKEN: team.token()})
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    form = team.ask("pr-1", "/.preview/login", params={"to": '/"><script>'}, headers=PAGE)
    assert "<script" not in form.text


# robots


def test_robots_are_kept_out(team: House) -> None:
    team.preview("pr-1")
    assert team.ask("pr-1", "/robots.txt").text == "User-agent: *\nDisallow: /\n"
    assert team.ask("pr-1", headers={TOKEN: team.token()}).headers["x-robots-tag"] == "noindex, nofollow"
    assert team.ask("pr-1", headers=PAGE | {TOKEN: "x"}).status_code == 302
    assert team.ask("pr-1", "/.preview/login", headers=PAGE).headers["x-robots-tag"] == "noindex, nofollow"


# on a laptop


def test_a_page_of_the_web_cannot_rebind_its_name_to_a_laptops_preview(house: House) -> None:
    house.preview("pr-1")
    for host in (
        "evil.example",
        "127.0.0.1",
        "localhost",
        "pr-1.evil.example",
        "pr-1.localhost.evil.example",
    ):
        answer = house.raw(f"GET /echo HTTP/1.1\nHost: {host}:{house.port}\nConnection: close\n\n")
        assert answer.startswith(b"HTTP/1.1 404")
        assert b'"sha256"' not in answer
