"""The report page: everything from outside is escaped, nothing is fetched, every finding is there."""

from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pages.render import html, markdown
from orchestrator.pages.view import page

EVIL = "<script>alert(1)</script>\"'`|*[x](javascript:1)"


def a_preview(text: str = EVIL) -> dict[str, Any]:
    findings = [
        {"check": "rows", "severity": severity, "subject": text, "message": f"{text} {severity}"}
        for severity in ("ok", "attention", "not_looked_at", "blocked")
    ]
    findings[0]["ignored"] = text
    findings[1]["mitigation"] = text
    return {
        "name": "pr-1",
        "state": "ready",
        "url": "http://127.0.0.1:20000",
        "branch": {"id": "br-1", "name": text},
        "image": {"id": "sha256:0123456789abcdef"},
        "plan": {
            "digest": "d" * 64,
            "notes": [text],
            "questions": [{"id": text, "prompt": text}],
            "statements": [
                {
                    "sql": f"select '{text}'",
                    "why": text,
                    "lock": "AccessExclusiveLock",
                    "lock_on": [text],
                    "hazards": [{"code": "deletes_data", "on": text, "detail": text}],
                    "trace": {
                        "milliseconds": 12.5,
                        "locks": [[text, "AccessExclusiveLock"]],
                        "rewritten": [text],
                        "wal_bytes": 2048,
                        "rows_read": [[text, 1200]],
                    },
                }
            ],
        },
        "answers": {text: text},
        "report": {
            "verdict": "blocked",
            "digest": "e" * 64,
            "findings": findings,
            "measures": {
                "locks": [
                    {
                        "relation": text,
                        "mode": "ShareLock",
                        "blocks": "writes",
                        "held_ms": 3.2,
                        "statement": 1,
                    }
                ],
                "pause": {
                    "total_ms": 3.2,
                    "longest_ms": 3.2,
                    "longest_at": 1,
                    "blocks": "writes",
                    "tables": [text],
                },
                "queries": {
                    "source": text,
                    "outcomes": {"fails": 1, "same": 0},
                    "list": [
                        {
                            "outcome": "fails",
                            "text": text,
                            "calls_per_hour": 12.5,
                            "cost_before": 8.3,
                            "cost_after": None,
                            "ratio": None,
                        }
                    ],
                },
                "workload": [
                    {
                        "name": text,
                        "outcome": "slower",
                        "before_ms": 1.25,
                        "after_ms": 310.0,
                        "ratio": 248.0,
                        "rows_before": 10,
                        "rows_after": 10,
                    }
                ],
            },
        },
        "approval": {"who": text, "at": "2026-01-01T00:00:00+00:00", "note": text, "allowed": [text]},
        "created_by": text,
        "created_at": "2026-01-01T00:00:00+00:00",
    }


class Parsed(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [each for each in attrs if each[0] in {"src", "href", "action", "data", "srcset"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_nothing_from_outside_becomes_markup_and_nothing_is_fetched() -> None:
    parsed = Parsed(html(a_preview(), commands=[("do", EVIL)]))
    assert "script" not in parsed.tags
    assert parsed.links == [("href", "http://127.0.0.1:20000"), ("href", "#statement-1")]
    assert parsed.text.count(EVIL) >= 10


def test_a_url_that_is_no_web_address_is_not_a_link() -> None:
    assert Parsed(html({**a_preview(), "url": "javascript:alert(1)"})).links == [("href", "#statement-1")]


@given(st.text(min_size=1, max_size=40))
def test_every_finding_is_on_every_page(text: str) -> None:
    value = a_preview(text)
    assert Parsed(html(value)).tags.count("li") == 4 + 1 + 1  # findings, the reason, the statement
    assert sum(len(lines) for _, lines in page(value).checks) == 4
    assert "<script" not in markdown(value)


def test_markdown_keeps_its_table_whatever_the_names_are() -> None:
    text = markdown(a_preview("a|b`c\nd"))
    row = next(line for line in text.splitlines() if line.startswith("| 1 |"))
    assert row.replace("\\|", "").count("|") == 6


def test_a_preview_without_a_report_says_so() -> None:
    shown = page({**a_preview(), "report": None})
    assert shown.verdict == "none"
    assert shown.reasons == ()


def test_ignored_findings_show_their_reason_and_do_not_count() -> None:
    shown = page(a_preview("x"))
    assert dict(shown.counts) == {"blocked": 1, "attention": 1, "not_looked_at": 1, "ignored": 1}
    ignored = next(line for _, lines in shown.checks for line in lines if line.severity == "ignored")
    assert ignored.aside == "ignored: x"


def test_a_lock_counts_until_its_transaction_ends() -> None:
    def statement(group: int, mode: str | None) -> dict[str, Any]:
        locks = [["public.a", mode]] if mode else []
        return {
            "sql": "select 1",
            "why": "w",
            "lock": "none",
            "lock_on": [],
            "hazards": [],
            "group": group,
            "trace": {"milliseconds": 1.0, "locks": locks},
        }

    value = a_preview("x")
    value["plan"]["statements"] = [
        statement(0, "AccessExclusiveLock"),
        statement(0, None),
        statement(1, None),
    ]
    assert [act.strongest for act in page(value).acts] == ["reads and writes", "reads and writes", "nothing"]


def test_queries_stand_in_tables_with_a_dash_where_nothing_was_measured() -> None:
    production, workload = page(a_preview("x")).queries
    assert production.words.endswith("from x: 1 fails. Costs are the planner's estimates.")
    assert production.rows == (("✕ fails", "x", ("12.5", "8.30", "–", "–")),)
    assert workload.rows == (("! slower", "x", ("1.25", "310", "× 248", "10", "10", "–", "–")),)
