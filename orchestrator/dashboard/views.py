"""What the pages show beside the report: the list, the story, time bars. Pure: rows in, values out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from orchestrator.facts import clicked
from orchestrator.lifecycle import Event, Preview
from orchestrator.migration.locks import LockMode
from orchestrator.pages.view import Act, duration, uses

#: A sign beside each word, so that black and white lose nothing.
STATE_SIGNS = {
    "ready": "✓",
    "promoted": "✓",
    "waiting": "?",
    "failed": "✕",
    "closed": "–",
}
_WORKING = "…"
_BLOCKS = {mode.blocks: mode for mode in LockMode}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the list.

    Attributes:
        name, state, owner, url: the preview's.
        sign: the state for eyes.
        verdict: the report's, or empty.
        age: since it was made, for a person.
        ends: until it is discarded, for a person; empty: it stays.
        sleeping: since when it sleeps, for a person; empty: it does not.
        uses: what it takes on disk and costs, as far as that is known.
        changes: statements of its plan, in words.
        approved: by whom, or empty.
        words: what it is about right now: the error, the open questions.
    """

    name: str
    state: str
    sign: str
    owner: str
    url: str
    verdict: str
    age: str
    ends: str
    sleeping: str
    uses: str
    changes: str
    approved: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line of the story.

    Attributes:
        at: UTC, RFC 3339.
        clock: the same for a person.
        who, kind, state, note: the event's.
        took: how long, for a person; empty when it was not measured.
        sign: for eyes.
    """

    at: str
    clock: str
    who: str
    kind: str
    state: str
    note: str
    took: str
    sign: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """When a statement ran and how long, in thousandths of the whole; what waited for it.

    Attributes:
        number: the statement's, from 1.
        start, width: thousandths of the whole migration.
        blocks: ``nothing``, ``writes``, ``reads and writes``, ...
        kind: the same as a class: ``none``, ``weak``, ``writes``, ``all``.
        words: for eyes and screen readers.
    """

    number: int
    start: int
    width: int
    blocks: str
    kind: str
    words: str


def entries(previews: Iterable[Preview], *, now: datetime) -> tuple[Entry, ...]:
    """The list, what needs a person first."""
    order = ("waiting", "failed", "ready")
    found = sorted(
        previews,
        key=lambda each: (
            order.index(each.state) if each.state in order else len(order) + (each.state == "closed"),
            -each.created_at.timestamp(),
        ),
    )
    return tuple(_entry(each, now) for each in found)


def _entry(preview: Preview, now: datetime) -> Entry:
    facts = preview.facts
    plan, report = facts.get("plan"), facts.get("report") or {}
    count = len(plan["statements"]) if plan else 0
    given = facts.get("approval")
    return Entry(
        name=preview.name,
        state=preview.state.value,
        sign=sign_of(preview.state.value),
        owner=preview.created_by,
        url=clicked(facts) or "",
        verdict=report.get("verdict", ""),
        age=span((now - preview.created_at).total_seconds()),
        ends=_ends(preview, now),
        sleeping=_since(facts.get("sleeping_since"), now),
        uses="" if preview.state == "closed" else uses(facts.get("usage")),
        changes=f"{count} statement{'s' * (count != 1)}" if plan else "",
        approved=given["who"] if given else "",
        words=_words(preview),
    )


def _ends(preview: Preview, now: datetime) -> str:
    if preview.expires_at is None or preview.state == "closed":
        return ""
    return span((preview.expires_at - now).total_seconds())


def _words(preview: Preview) -> str:
    if preview.error and preview.state == "failed":
        return str(preview.error["message"])
    if preview.state == "waiting":
        count = len(preview.facts.get("questions", ()))
        return f"{count} question{'s' * (count != 1)}"
    return ""


def _since(moment: object, now: datetime) -> str:
    if not moment:
        return ""
    return span((now - datetime.fromisoformat(str(moment))).total_seconds())


def sign_of(state: str) -> str:
    """A state for eyes."""
    return STATE_SIGNS.get(state, _WORKING)


def span(seconds: float) -> str:
    """A stretch of time for a person: ``40 s``, ``12 min``, ``5 h``, ``3 days``."""
    seconds = max(0.0, seconds)
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86400)} days"


def story(events: Iterable[Event]) -> tuple[Told, ...]:
    """What happened, newest first."""
    told = [
        Told(
            at=event.at.isoformat(),
            clock=f"{event.at:%Y-%m-%d %H:%M:%S} UTC",
            who=event.who,
            kind=event.kind,
            state=event.state.value,
            note=event.note,
            took=duration(event.milliseconds) if event.milliseconds is not None else "",
            sign={"failed": "✕", "refused": "✕", "approved": "✓", "answered": "✓"}.get(
                event.kind, STATE_SIGNS.get(event.state.value, "·")
            ),
        )
        for event in events
    ]
    return tuple(reversed(told))


def bars(statements: Iterable[Act]) -> tuple[Bar, ...]:
    """A time bar for each measured statement, one after the other as they ran."""
    listed = [each for each in statements if each.milliseconds is not None]
    total = sum(each.milliseconds or 0 for each in listed)
    found, at = [], 0.0
    for each in listed:
        took = each.milliseconds or 0
        start = round(1000 * at / total) if total else 0
        width = round(1000 * took / total) if total else 0
        found.append(
            Bar(
                number=each.number,
                start=min(start, 994),
                width=max(6, min(width, 1000 - start)),
                blocks=each.strongest,
                kind=_kind(each.strongest),
                words=f"statement {each.number}: {duration(took)}, blocks {each.strongest}",
            )
        )
        at += took
    return tuple(found)


def _kind(blocks: str) -> str:
    mode = _BLOCKS.get(blocks, LockMode.NONE)
    if mode.blocks_reads:
        return "all"
    if mode.blocks_writes:
        return "writes"
    return "weak" if blocks != LockMode.NONE.blocks else "none"
