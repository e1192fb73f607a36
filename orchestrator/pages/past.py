"""What a promotion's page shows, in the order in which a post-mortem asks. Pure: its JSON in, plain values out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.pages.view import duration, locked, title_of

WORDS = {
    "done": "it is on production, and was proved",
    "running": "it has not come to its end: it runs, or its process has died",
    "expanded": "its first phase is on production",
    "failed": "it stopped after it had begun; running it again goes on",
    "refused": "it was refused, and nothing was done",
    "superseded": "another one took its place, and nothing more is done in it",
}
#: What a yes was bound to, as it is called on the page.
_BOUND = {
    "main_fingerprint": "production's schema",
    "goal_fingerprint": "the goal's schema",
    "branch_fingerprint": "the branch's schema",
    "image": "image",
    "report_digest": "report",
}
#: For the colours that report pages have.
_TONES = {"done": "ok", "failed": "blocked", "refused": "attention"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """One statement as it ran.

    Attributes:
        number: its place in what was applied, from 1.
        why, sql: its own.
        at, took: when it began, and how long it took.
        tries: how often its transaction was tried.
        waited_for: whom it waited for.
        locks: what it locked and who had to wait, in words.
        hazards: what they are called, in words.
    """

    number: int
    why: str
    sql: str
    at: str
    took: str
    tries: int
    waited_for: tuple[str, ...]
    locks: str
    hazards: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Everything on the page; see ``past_page``."""

    title: str
    state: str
    tone: str
    words: str
    facts: tuple[tuple[str, str], ...]
    approval: tuple[tuple[str, str], ...]
    restore_point: tuple[tuple[str, str], ...]
    statements: tuple[Did, ...]
    proof: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str], ...]
    release: tuple[tuple[str, str], ...]
    losses: tuple[str, ...]
    findings: tuple[tuple[str, str, str], ...]
    events: tuple[tuple[str, str, str, str, str], ...]


def past_page(value: Mapping[str, Any], *, reverted_by: Mapping[str, Any] | None = None) -> Past:
    """The page of a promotion or revert.

    Args:
        value: its JSON (`Promotion.to_json`).
        reverted_by: the JSON of its revert, when there is one.
    """
    state = value["state"]
    return Past(
        title=f"{value['kind']} {value['id']} of {value['preview']}",
        state=state,
        tone=_TONES.get(state, "none"),
        words=WORDS.get(state, state),
        facts=tuple(_facts(value, reverted_by)),
        approval=tuple(_approval(value)),
        restore_point=tuple(_point(value.get("restore_point"))),
        statements=tuple(_did(value["statements"])),
        proof=tuple(_proof(value.get("proof"))),
        rows=tuple(_rows((value.get("proof") or {}).get("rows", ()))),
        release=tuple(_release(value.get("release"))),
        losses=tuple(value.get("losses") or ()),
        findings=tuple(
            (each["severity"].replace("_", " "), each["subject"], each["message"])
            for each in (value.get("report") or {}).get("findings", ())
            if each["severity"] in ("blocked", "attention")
        ),
        events=tuple(
            (
                _time(each["at"]),
                each["kind"].replace("_", " "),
                each["note"],
                each["who"],
                duration(each["milliseconds"]) if each["milliseconds"] is not None else "",
            )
            for each in value["events"]
        ),
    )


def _facts(value: Mapping[str, Any], reverted_by: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    yield "asked by", value["who"]
    if value.get("asked_by"):
        yield "previewed by", value["asked_by"]
    yield "began", _time(value["at"])
    if value["ended_at"]:
        yield "ended", _time(value["ended_at"])
    yield "project", value["project"]
    yield "preview", f"{value['preview']} ({value['preview_id']})"
    if value["reverts"]:
        yield "takes back", value["reverts"]
    if reverted_by:
        yield "taken back by", f"{reverted_by['id']} ({reverted_by['state']}), {reverted_by['who']}"
    plan = value.get("plan") or {}
    if plan.get("digest"):
        yield "plan", plan["digest"]
    image = value.get("image") or {}
    if image.get("reference"):
        yield "image", f"{image['reference']} {image.get('id', '')}".rstrip()
    yield from sorted((f"answer {name}", text) for name, text in (value.get("answers") or {}).items())


def _approval(value: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    given = value.get("approval")
    if not given:
        return
    yield "by", given["who"]
    yield "at", _time(given["at"])
    if given.get("note"):
        yield "note", given["note"]
    yield "given", "before the promotion" if given["beforehand"] else "by whoever promoted"
    if given.get("allowed"):
        yield "allowed by name", ", ".join(given["allowed"])
    yield from ((words, str(given[name])) for name, words in _BOUND.items() if given.get(name))


def _point(point: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    if not point:
        return
    if point.get("branch"):
        yield "branch", f"{point['branch']['name']} ({point['branch']['id']})"
        yield "made in", duration(point["made_ms"])
        yield "opened and compared in", duration(point["opened_ms"])
        yield "kept until", _time(point["expires_at"])
    yield "place in production's log (LSN)", str(point.get("lsn") or "")
    yield "time", _time(point["at"]) if point.get("at") else ""


def _did(statements: Iterable[Mapping[str, Any]]) -> Iterable[Did]:
    for each in statements:
        trace = each["trace"]
        taken = [(relation, mode) for relation, mode in trace.get("locks", ())]
        yield Did(
            number=each["number"],
            why=each["why"],
            sql=each["sql"],
            at=_time(each["began_at"]),
            took=duration(trace["milliseconds"]),
            tries=each["tries"],
            waited_for=tuple(each["waited_for"]),
            locks=locked(taken or [(relation, each["lock"]) for relation in each["lock_on"]]),
            hazards=", ".join(
                title_of(code) for code in dict.fromkeys(hazard["code"] for hazard in each["hazards"])
            ),
        )


def _proof(proof: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    if not proof:
        return
    yield "schema", "equal to what it had to become" if proof.get("equal") else "not equal"
    yield "fingerprint", proof["fingerprint"]
    if proof.get("analyzed"):
        yield "statistics taken anew", ", ".join(proof["analyzed"])
    if proof.get("password_changed"):
        yield "password", "that of the role is the restore point's now"


def _rows(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str, str]]:
    for each in rows:
        renamed = f" (now {each['now']})" if each["now"] and each["now"] != each["table"] else ""
        gone = "" if each["now"] else "gone"
        yield each["table"] + renamed, _count(each["before"]), gone or _count(each["after"])


def _count(count: Mapping[str, Any] | None) -> str:
    if count is None:
        return "-"
    return f"{'' if count['exact'] else 'about '}{count['rows']:,}"


def _release(release: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    if not release:
        return
    yield "by", str(release.get("kind", ""))
    if release.get("address"):
        yield "address", release["address"]
    for name in ("release", "previous"):
        version = release.get(name)
        if version:
            reference = (version.get("image") or {}).get("reference", "")
            yield ("now" if name == "release" else "before"), f"{version.get('id', '')} {reference}".strip()


def _time(text: str) -> str:
    """A moment to the second, UTC."""
    return f"{text[:19].replace('T', ' ')} UTC"
