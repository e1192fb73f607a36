"""What the gate says itself: small pages for browsers, one line for everybody else. Decides nothing."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.responses import HTMLResponse, PlainTextResponse, Response

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText;"
    "font:1rem/1.5 system-ui,sans-serif}"
    "main{width:min(30rem,calc(100vw - 3rem));padding:2rem 0}"
    "h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}"
    "p{margin:.5rem 0;overflow-wrap:anywhere}.dim{opacity:.75}"
    "label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit;margin:.5rem 0}"
    "input,button{padding:.6rem;border:1px solid GrayText;border-radius:.4rem}"
    "button{cursor:pointer;font-weight:600}"
    "[role=alert]{font-weight:600}"
)
#: Asks whether it is time, and only then loads the page: one that came anew every two seconds would be read out
#: every two seconds. What says 503 for long may be the app itself, and is shown.
_SCRIPT = (
    "(()=>{const pause=1000*document.currentScript.dataset.again;let asked=0;"
    "const ask=async()=>{try{"
    "const answer=await fetch(location.href,{method:'HEAD',cache:'no-store',redirect:'manual'});"
    "if(answer.status!==503||++asked>20){location.reload();return}}catch{}setTimeout(ask,pause)};"
    "setTimeout(ask,pause)})()"
)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src {_hash(_STYLE)}; "
    f"script-src {_hash(_SCRIPT)}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # A page of the app that opened this one is not its opener: it could read what is typed.
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not `no-referrer`: with it a browser says of the login form that it comes from nowhere (`Origin: null`).
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


@cache
def _template() -> Template:
    loader = PackageLoader("orchestrator.gate")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("gate.html")


def say(
    title: str,
    lines: Sequence[str] = (),
    *,
    status: int,
    browser: bool,
    again: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A page, or its text.

    Args:
        title: what there is to say.
        lines: more about it.
        status: of the answer.
        browser: whether a person looks at it.
        again: when to ask again, seconds.
        headers: more of them.
    """
    more = {**_HEADERS, **({"Retry-After": str(again)} if again else {}), **(headers or {})}
    if not browser:
        return PlainTextResponse("\n".join((title, *lines, "")), status_code=status, headers=more)
    return _html(status, more, title=title, lines=lines, again=again)


def login(*, name: str, to: str, status: int, server: str | None, wrong: str | None = None) -> Response:
    """The page that asks for a token."""
    return _html(
        status,
        _HEADERS,
        title=f"{name} is private",
        lines=("It shows production's data, so it asks who comes.",),
        login=True,
        to=to,
        server=server,
        server_name=urlsplit(server).hostname if server else None,
        wrong=wrong,
    )


def _html(status: int, headers: Mapping[str, str], **values: object) -> Response:
    blank = {"again": None, "login": False, "to": "/", "server": None, "server_name": None, "wrong": None}
    text = _template().render({"style": _STYLE, "script": Markup(_SCRIPT), **blank, **values})  # noqa: S704 - a constant of this module
    return HTMLResponse(text, status_code=status, headers=dict(headers))
