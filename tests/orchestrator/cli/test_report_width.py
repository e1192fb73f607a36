"""The report on a terminal of any width: tables where they fit, else a row by itself; nothing is cut off."""

import io

import pytest
from rich.console import Console

from orchestrator.cli import render
from tests.orchestrator.pages.test_report_page import a_preview


@pytest.mark.parametrize("width", [40, 80, 400])
def test_every_figure_and_every_text_is_there(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    said = io.StringIO()
    console = Console(file=said, width=width, highlight=False, soft_wrap=True, color_system=None)
    monkeypatch.setattr(render, "stdout", lambda: console)
    value = a_preview("a_rather_long_name_of_a_table_or_of_a_query_that_somebody_sends_to_the_shop")
    value["report"]["measures"]["compatibility"] = {
        "columns": ["running version, today's schema", "running version, new schema"],
        "rows": [["health", "HTTP 200", "FAILS HTTP 503"]],
    }
    render.whole_report(value, [])
    text = said.getvalue()
    assert "…" not in text
    assert text.count("that_somebody_sends_to_the_shop") >= 10
    for figure in (
        "ShareLock",
        "12.5",
        "310",
        "× 248",
        "FAILS HTTP 503",
        "running version, new schema",
        "health",
    ):
        assert figure in text
