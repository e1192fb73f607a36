"""Previews and promotions in every state that a page can show, and the paths of those pages."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.dashboard.desk import Job, Mail, Problem
from orchestrator.lifecycle import State, Store
from tests.orchestrator.dashboard.desk import FakeDesk, bring, facts, question, ran

Facts = Callable[[str], dict[str, Any]]
ERROR = {
    "message": "the app did not become healthy within 60 s: it answers 500 at /health",
    "hint": "`preview logs NAME` shows what it said; mend it and run `preview up` again",
    "detail": "Traceback (most recent call last):\n  KeyError: 'MAIL_HOST'",
    "state": "launching",
}
HALF = {
    "message": "statement 2 of 3 failed: canceling statement due to lock timeout",
    "hint": "look who holds the lock, then promote again",
    "detail": "",
    "state": "promoting",
}
MAIL = Mail(
    id="1", subject="Your order 4711", sender="shop@example.com", to="ann@example.com",
    at="2026-11-28 12:00:00 UTC", text="Thanks for your order!\n\nYour shop", attachments=("invoice.pdf",),
)  # fmt: skip


def hang(desk: FakeDesk, store: Store, asked: Mapping[str, Any], given: Facts = facts) -> dict[str, str]:
    """Fill a diary; the paths to look at, by a word for each."""
    now = datetime.now(UTC)
    approval = {
        "who": "grace", "at": now.isoformat(), "note": "looked at it on the train", "beforehand": True,
        "allowed": ["deletes_data:public.customers.fax"],
    }  # fmt: skip
    used = {"disk_bytes": 43_200_000, "cost": 0.12, "currency": "EUR"}
    ready = {**given("public.customers.fax"), "usage": used}
    made = {
        name: bring(store, name, state, value, error=error)
        for name, state, value, error in (
            ("asks", State.WAITING, asked, None),
            ("ready", State.READY, ready, None),
            ("approved", State.READY, {**ready, "approval": approval}, None),
            ("asleep", State.READY, {**ready, "sleeping_since": (now - timedelta(hours=5)).isoformat()}, None),
            ("failed", State.FAILED, {}, ERROR),
            ("stopped", State.FAILED, {**ready, "approval": approval}, HALF),
            ("half", State.READY,
             {**ready, "expanded": {"at": now.isoformat(), "main": "m", "left": ["drop column fax"]}}, None),
            ("kept", State.CLOSED,
             {**ready, "kept": {"until": (now + timedelta(hours=40)).isoformat()}}, None),
            ("gone", State.CLOSED, {**ready, "approval": approval}, None),
            ("promoting", State.READY, {**ready, "approval": approval}, None),
            ("promoted", State.READY, {**ready, "approval": approval}, None),
        )
    }  # fmt: skip
    for name in ("promoting", "promoted"):
        with store.lease(made[name].id) as lease:
            store.record(lease, to=State.PROMOTING, kind="promoting", note="approved by grace")
            if name == "promoted":
                store.record(lease, to=State.PROMOTED, kind="step", note="3 statements on main")
    store.live_until(made["ready"].id, now + timedelta(days=2), kind="extended", note="")
    store.create(name="making", project=desk.project, facts={"runtime": "process", "answers": {}})
    desk.jobs["making"] = desk.jobs["coming"] = Job(id="1", running=True, words="up, asked by dan")
    desk.jobs["promoting"] = Job(id="2", running=True, words="promote, asked by grace")
    desk.jobs["approved"] = Job(
        id="3", running=False, words="promote, asked by grace",
        error=Problem(message="promote: no lock on public.orders within 4 tries", hint="try again in a quiet hour"),
    )  # fmt: skip
    desk.said = ["1 of 3: rename it", "2 of 3: build an index"]
    desk.sent = (MAIL,)
    desk.log_lines = [f"127.0.0.1 GET /orders/{number} 200" for number in range(60)]
    links = store.shares()
    for note in ("Grace, design", ""):
        links.make(made["ready"].id, lasts=timedelta(days=2), by="dan", note=note)
    revoked, _ = links.make(made["ready"].id, lasts=timedelta(days=2), by="dan", note="an agency")
    links.revoke(made["ready"].id, revoked.id, by="dan")
    promotions = store.promotions(desk.project)
    told = {}
    for kind in ("done", "running", "failed"):
        begun = promotions.begin(
            preview_id=made["promoting"].id, preview_name="promoting" if kind == "running" else "pr-7",
            facts={"plan": ready["plan"], "approval": approval, "report": ready["report"]},
        )  # fmt: skip
        point = {
            "branch": {"id": "br-9", "name": f"restore/{kind}"}, "made_ms": 900.0, "opened_ms": 264.0,
            "lsn": "0/2400100", "at": now.isoformat(), "expires_at": (now + timedelta(days=7)).isoformat(),
        }  # fmt: skip
        promotions.record(begun.id, "restore_point", detail=point)
        promotions.record(begun.id, "applying", note="3 of 3 statements")
        promotions.record(
            begun.id, "statement", note="rename it", detail=ran("rename it", sql="alter table a")
        )
        if kind != "running":
            promotions.record(begun.id, kind, note="no lock within 4 tries" if kind == "failed" else "")
        told[kind] = begun.id
    return {
        "list": "/", "list-all": "/?all=1", "coming": "/previews/coming",
        **{name: f"/previews/{name}" for name in (*made, "making")},
        **{f"do-{verb}": f"/previews/ready/{verb}"
           for verb in ("approve", "promote", "discard", "up", "extend", "keep", "rebase", "sleep")},
        "do-promote-rest": "/previews/half/promote", "do-restore": "/previews/kept/restore",
        "do-discard-half": "/previews/half/discard", "do-force": "/previews/stopped/discard-by-force",
        "logs": "/previews/ready/logs", "mails": "/previews/ready/mails", "mail": "/previews/ready/mails/1",
        "shares": "/previews/ready/shares", "promotions": "/promotions",
        **{f"promotion-{kind}": f"/promotions/{each}" for kind, each in told.items()},
        "do-revert": f"/promotions/{told['done']}/revert",
        "do-revert-to-point": f"/promotions/{told['done']}/revert-to-restore-point", "error": "/previews/nobody",
    }  # fmt: skip


def asking() -> dict[str, Any]:
    """A waiting preview's row: a rename, and a value that is to be filled in."""
    fill = {
        **question("channel").to_json(), "id": "fill:column:public.orders.channel", "kind": "fill",
        "prompt": "What do the 5,000 rows of public.orders get in the new column channel?",
        "free_text": True,
    }  # fmt: skip
    return {"questions": [question("full_name").to_json(), fill]}
