"""The page of a promotion: everything that a post-mortem asks, nothing from elsewhere, everything escaped."""

import re
from typing import Any

from orchestrator.pages.past import past_page
from orchestrator.pages.render import promotion_html

EVIL = "<script>alert(1)</script>"


def value(**more: Any) -> dict[str, Any]:
    """A promotion with one of everything."""
    return {
        "id": "0a1b2c3d",
        "kind": "promotion",
        "preview": "pr-1",
        "preview_id": "aabbccdd",
        "project": "embedded/p-1",
        "state": "done",
        "who": "ada@laptop",
        "at": "2026-11-28T12:00:00.123+00:00",
        "ended_at": "2026-11-28T12:00:05+00:00",
        "reverts": None,
        "plan": {"digest": "d" * 64},
        "image": {"reference": "preview:pr-1", "id": "sha256:1"},
        "answers": {"rename:column:public.customers.full_name": "name"},
        "approval": {
            "who": "eve@laptop",
            "at": "2026-11-28T11:00:00+00:00",
            "note": EVIL,
            "allowed": ["deletes_data:public.customers.fax"],
            "beforehand": True,
            "main_fingerprint": "f" * 64,
        },
        "report": {"verdict": "attention", "findings": [
            {"severity": "attention", "subject": "public.customers", "message": "rows are gone"},
            {"severity": "ok", "subject": "x", "message": "not shown"},
        ]},
        "restore_point": {
            "branch": {"id": "br-1", "name": "restore/pr-1-aabbccdd-0a1b2c3d"},
            "lsn": "0/1",
            "at": "2026-11-28T12:00:01+00:00",
            "expires_at": "2026-12-05T12:00:01+00:00",
            "made_ms": 100.0,
            "opened_ms": 50.0,
        },
        "statements": [
            {
                "number": 1,
                "why": "drop column public.customers.fax",
                "sql": f"ALTER TABLE customers DROP COLUMN fax -- {EVIL}",
                "lock": "AccessExclusiveLock",
                "lock_on": ["public.customers"],
                "hazards": [{"code": "deletes_data"}],
                "began_at": "2026-11-28T12:00:02.500+00:00",
                "tries": 2,
                "waited_for": ["try 1 of 12: in the way: pid 7 (pg_dump)"],
                "trace": {"milliseconds": 12.0, "locks": [["public.customers", "AccessExclusiveLock"]]},
            }
        ],
        "proof": {
            "equal": True,
            "fingerprint": "e" * 64,
            "analyzed": ["public.customers"],
            "rows": [
                {
                    "table": "public.customers",
                    "now": "public.clients",
                    "before": {"rows": 1000, "exact": True},
                    "after": {"rows": 1001, "exact": False},
                },
                {
                    "table": "public.old",
                    "now": None,
                    "before": {"rows": 5, "exact": True},
                    "after": None,
                },
            ],
        },
        "release": {
            "kind": "container",
            "address": "127.0.0.1:8080",
            "release": {"id": "pr-1-x", "image": {"reference": "r:2"}},
            "previous": {"id": "first", "image": None},
        },
        "losses": [],
        "events": [
            {
                "at": "2026-11-28T12:00:00+00:00",
                "kind": "begun",
                "note": EVIL,
                "who": "ada@laptop",
                "milliseconds": None,
                "detail": {},
            }
        ],
        **more,
    }  # fmt: skip


def test_it_answers_who_what_when_and_how_long() -> None:
    text = promotion_html(value(), reverted_by={"id": "99999999", "state": "done", "who": "bob@laptop"})

    for wanted in (
        *("promotion 0a1b2c3d of pr-1", "ada@laptop", "eve@laptop", "before the promotion", "f" * 64),
        *("2 tries", "waited: try 1 of 12: in the way: pid 7 (pg_dump)", "12 ms", "deletes data"),
        *("restore/pr-1-aabbccdd-0a1b2c3d", "2026-12-05", "about 1,001", "public.clients", "gone"),
        *("container", "pr-1-x r:2", "99999999 (done), bob@laptop", "rows are gone"),
    ):
        assert wanted in text, wanted
    assert "not shown" not in text


def test_it_is_one_file_and_escapes_everything() -> None:
    text = promotion_html(value())

    assert EVIL not in text
    assert text.count("&lt;script&gt;") == 3
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", text)


def test_what_is_not_there_is_left_out() -> None:
    bare = value(
        approval=None, restore_point=None, proof=None, release=None, statements=[], image=None, report=None,
        ended_at=None, state="running", answers=None,
    )  # fmt: skip

    shown = past_page(bare)

    assert (shown.approval, shown.restore_point, shown.proof, shown.release) == ((), (), (), ())
    assert "its process has died" in promotion_html(bare)


def test_a_restore_point_without_a_branch_still_tells_the_place() -> None:
    shown = past_page(value(restore_point={"branch": None, "lsn": "0/7", "at": "2026-11-28T12:00:01+00:00"}))

    assert ("place in production's log (LSN)", "0/7") in shown.restore_point


def test_locks_say_who_waits_for_them_the_strongest_first() -> None:
    (statement,) = value()["statements"]
    took = [
        ["public.a", "RowExclusiveLock"],
        ["public.b", "AccessExclusiveLock"],
        ["public.c", "AccessExclusiveLock"],
    ]

    (quick, measured, free) = past_page(
        value(
            statements=[
                {**statement, "trace": {"milliseconds": 1.0, "locks": []}},
                {**statement, "trace": {"milliseconds": 1.0, "locks": took}},
                {**statement, "lock": "none", "trace": {"milliseconds": 1.0, "locks": []}},
            ]
        )
    ).statements

    assert quick.locks == "public.customers (AccessExclusiveLock: blocks reads and writes)"
    assert measured.locks == (
        "public.b, public.c (AccessExclusiveLock: blocks reads and writes); public.a (RowExclusiveLock: blocks nothing)"
    )
    assert free.locks == "nothing"
