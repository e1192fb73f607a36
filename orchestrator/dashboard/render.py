"""Templates to HTML answers with the headers that pages need. Everything from outside is escaped; asks nobody."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import segno
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from orchestrator.pages.view import SIGNS, duration

#: Nothing but our own files, no inline script or style, no frame around us, no form to elsewhere.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-robots-tag": "noindex, nofollow",
}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestrator.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.globals["signs"] = SIGNS
    environment.globals["version"] = _version()
    return environment


def page(
    template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """A page or a part of one."""
    shown = {"caller": None, "csrf": "", "here": "", **values}
    text = _environment().get_template(template).render(shown)
    return HTMLResponse(text, status_code=status, headers={**HEADERS, **(headers or {})})


@cache
def static(name: str) -> tuple[bytes, str] | None:
    """A file of ours and its type, or None. Only names that are there: nothing is joined to a path."""
    there = {each.name: each for each in files("orchestrator.dashboard").joinpath("static").iterdir()}
    found = there.get(name)
    if found is None:
        return None
    return found.read_bytes(), _TYPES["." + name.rsplit(".", 1)[-1]]


@cache
def _version() -> str:
    """Part of every file's path, so that browsers may keep what they have for ever."""
    names = sorted(each.name for each in files("orchestrator.dashboard").joinpath("static").iterdir())
    whole = b"".join((static(name) or (b"", ""))[0] for name in names)
    return hashlib.sha256(whole).hexdigest()[:12]


@cache
def qr_code(url: str) -> Markup:
    """The URL as an inline SVG; it holds squares only."""
    code = segno.make(url, error="m", micro=False)
    return Markup(code.svg_inline(border=3, omitsize=True, svgclass=None, lineclass=None))  # noqa: S704 - made of a matrix
