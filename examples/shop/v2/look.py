"""How the shop looks: the frame around every page, tables, tiles, paging.

Knows no query; v1 and v2 hold the same file.
"""

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from web import Html, Response, joined, page_part

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")

FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - {name}</title><style>{style}</style></head><body>
<header><div><b>{name}</b><span class="where">{where} · {facts}</span>
<nav><a href="/">Overview</a><a href="/orders">Orders</a>
<a href="/customers">Customers</a><a href="/products">Products</a></nav>
</div></header><main><h1>{title}</h1>{body}</main><footer>{name} · {where}</footer></body></html>
"""


class Look:
    """The frame of one version: its name, its colour and what it wants to say about its schema."""

    def __init__(self, *, name: str, accent: str, facts: str) -> None:
        self._name, self._facts = name, facts
        self._style = Html(f":root {{ --accent: {accent} }}\n{STYLE}")
        preview = os.environ.get("PREVIEW_NAME", "")
        self._where = f"preview {preview}" if preview else "production"

    def page(self, title: str, body: Html, *, status: int = 200) -> Response:
        """A whole page."""
        text = page_part(
            FRAME,
            title=title,
            body=body,
            name=self._name,
            style=self._style,
            where=self._where,
            facts=self._facts,
        )
        return Response(body=text, status=status)

    def error(self, status: int, text: str) -> Response:
        """A page that says what went wrong."""
        return self.page(str(status), page_part('<p class="card">{text}</p>', text=text), status=status)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "Nothing yet.") -> Html:
    """A table; a heading that begins with # is a column of numbers."""
    numbers = [heading.startswith("#") for heading in headings]
    css = [Html(' class="number"') if number else Html("") for number in numbers]
    head = joined(
        page_part("<th{c}>{h}</th>", c=c, h=h.lstrip("#")) for c, h in zip(css, headings, strict=True)
    )
    lines = [
        page_part(
            "<tr>{cells}</tr>",
            cells=joined(
                page_part("<td{c}>{v}</td>", c=c, v=_shown(v)) for c, v in zip(css, row, strict=True)
            ),
        )
        for row in rows
    ]
    if not lines:
        return page_part('<p class="card">{empty}</p>', empty=empty)
    return page_part(
        '<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>',
        head=head,
        lines=joined(lines),
    )


def _shown(value: object) -> object:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, (int, Decimal)):
        return f"{value:,}"
    return value


def tiles(figures: Iterable[tuple[str, object]]) -> Html:
    """Figures side by side."""
    return page_part(
        '<div class="tiles">{tiles}</div>',
        tiles=joined(
            page_part(
                '<div class="tile"><span>{name}</span><strong>{value}</strong></div>',
                name=name,
                value=_shown(value),
            )
            for name, value in figures
        ),
    )


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and values, one below the other."""
    return page_part(
        '<dl class="card">{pairs}</dl>',
        pairs=joined(page_part("<dt>{name}</dt><dd>{value}</dd>", name=n, value=_shown(v)) for n, v in pairs),
    )


def heading(text: str) -> Html:
    """A second-level heading."""
    return page_part("<h2>{text}</h2>", text=text)


def link(path: str, text: object) -> Html:
    """A link inside the shop."""
    return page_part('<a href="{path}">{text}</a>', path=path, text=text)


def tag(text: object) -> Html:
    """A word in a frame: a status, a channel."""
    return page_part('<span class="tag">{text}</span>', text=text)


def paging(path: str, page: int, pages: int) -> Html:
    """Links to the neighbours of a page."""
    back = link(f"{path}page={page - 1}", "← newer") if page > 1 else Html("<span></span>")
    on = link(f"{path}page={page + 1}", "older →") if page < pages else Html("<span></span>")
    return page_part(
        '<div class="paging">{back}<span>page {page:,} of {pages:,}</span>{on}</div>',
        back=back,
        on=on,
        page=page,
        pages=pages,
    )
