"""What a report page shows, in the order in which a person asks. Pure: a preview's JSON in, plain values out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.migration.hazards import CATALOGUE
from orchestrator.migration.locks import LockMode
from orchestrator.pages.queries import QueryTable, query_tables

#: Mildest last; the word stands beside the sign, so that black and white lose nothing.
SEVERITIES = ("blocked", "attention", "not_looked_at", "ok", "ignored")
SIGNS = {"blocked": "✕", "attention": "!", "not_looked_at": "?", "ok": "✓", "ignored": "–"}
VERDICTS = {
    "ok": "nothing stands in the way",
    "attention": "look at this before you say yes",
    "blocked": "this stops the promotion",
    "none": "not rehearsed to the end yet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One finding as it is shown.

    Attributes:
        severity: one of SEVERITIES.
        word, sign: the severity for eyes.
        check, subject, message, mitigation: the finding's own.
        aside: why it is ignored, or which rule judged it.
    """

    severity: str
    word: str
    sign: str
    check: str
    subject: str
    message: str
    mitigation: str
    aside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One statement as it is shown.

    Attributes:
        number: from 1.
        why, sql: the statement's own.
        declared: what it declared to lock, in words; empty for nothing.
        took: (relation, mode, what that blocks) as measured.
        milliseconds: as measured; None when it was not.
        share: of the longest statement, percent, for a bar.
        rewritten: tables whose files were written anew.
        measured: further measures, (name, value in words).
        hazards: (code, title, detail, advice).
        strongest: what others wait with while it runs: ``nothing``, ``writes``, ``reads and writes``...
    """

    number: int
    why: str
    sql: str
    declared: str
    took: tuple[tuple[str, str, str], ...]
    milliseconds: float | None
    share: int
    rewritten: tuple[str, ...]
    measured: tuple[tuple[str, str], ...]
    hazards: tuple[tuple[str, str, str, str], ...]
    strongest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything on the page; see ``page``."""

    name: str
    state: str
    verdict: str
    verdict_words: str
    reasons: tuple[Line, ...]
    facts: tuple[tuple[str, str], ...]
    acts: tuple[Act, ...]
    notes: tuple[str, ...]
    checks: tuple[tuple[str, tuple[Line, ...]], ...]
    counts: tuple[tuple[str, int], ...]
    locks: tuple[tuple[str, str, str, str, int], ...]
    pause: str
    queries: tuple[QueryTable, ...]
    answers: tuple[tuple[str, str, str], ...]
    approval: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]


def page(value: Mapping[str, Any], *, commands: Iterable[tuple[str, str]] = ()) -> Page:
    """The page of a preview.

    Args:
        value: the preview's JSON (DESIGN, section 6).
        commands: (what for, what to type), shown at the end.
    """
    report = value.get("report") or {"verdict": "none", "findings": []}
    lines = sorted(
        (_line(each) for each in report["findings"]), key=lambda each: SEVERITIES.index(each.severity)
    )
    by_check: dict[str, list[Line]] = {}
    for line in lines:
        by_check.setdefault(line.check, []).append(line)
    top = {"blocked": "blocked", "attention": "attention"}.get(report["verdict"], "")
    return Page(
        name=value["name"],
        state=value["state"],
        verdict=report["verdict"],
        verdict_words=VERDICTS[report["verdict"]],
        reasons=tuple(line for line in lines if line.severity == top),
        facts=tuple(_facts(value)),
        acts=tuple(_acts(value["plan"]["statements"])),
        notes=tuple(value["plan"]["notes"]),
        checks=tuple((check, tuple(found)) for check, found in by_check.items()),
        counts=tuple(
            (severity, sum(line.severity == severity for line in lines))
            for severity in SEVERITIES
            if any(line.severity == severity for line in lines)
        ),
        locks=tuple(
            (each["relation"], each["mode"], each["blocks"], duration(each["held_ms"]), each["statement"])
            for each in report.get("measures", {}).get("locks", ())
        ),
        pause=_pause(report.get("measures", {}).get("pause")),
        queries=query_tables(report.get("measures", {})),
        answers=tuple(_answers(value)),
        approval=tuple(_approval(value.get("approval"))),
        commands=tuple(commands),
    )


def _line(finding: Mapping[str, Any]) -> Line:
    severity = "ignored" if finding.get("ignored") else finding["severity"]
    aside = f"ignored: {finding['ignored']}" if finding.get("ignored") else finding.get("judged", "")
    return Line(
        severity=severity,
        word=severity.replace("_", " "),
        sign=SIGNS[severity],
        check=finding["check"],
        subject=finding["subject"],
        message=finding["message"],
        mitigation=finding.get("mitigation", ""),
        aside=aside,
    )


def _acts(statements: Iterable[Mapping[str, Any]]) -> Iterable[Act]:
    listed = list(statements)
    held: tuple[object, LockMode] = (None, LockMode.NONE)
    longest = max((each["trace"]["milliseconds"] for each in listed if each.get("trace")), default=0.0)
    for number, statement in enumerate(listed, 1):
        trace = statement.get("trace") or {}
        took = trace.get("milliseconds")
        modes = [(relation, mode, LockMode(mode)) for relation, mode in trace.get("locks", ())]
        # A transaction keeps its locks: whoever waits for the first statement's waits through the next ones too.
        group = statement.get("group") if statement.get("transactional", True) else None
        before = held[1] if group is not None and held[0] == group else LockMode.NONE
        # What was not run takes what it declares.
        taken = [mode for _, _, mode in modes] if trace else [LockMode(statement["lock"])]
        strongest = max((before, *taken), key=lambda mode: mode.strength)
        held = (group, strongest)
        if group is None and not modes:  # too quick to be seen: what it declared is all that is known
            strongest = LockMode(statement["lock"])
        locks = statement["lock"] != "none" and statement["lock_on"]
        yield Act(
            number=number,
            why=statement["why"],
            sql=statement["sql"],
            declared=locked((each, statement["lock"]) for each in statement["lock_on"]) if locks else "",
            took=tuple((relation, name, mode.blocks) for relation, name, mode in modes),
            milliseconds=took,
            share=round(100 * took / longest) if took and longest else 0,
            rewritten=tuple(trace.get("rewritten", ())),
            measured=tuple(_measured(trace)),
            hazards=tuple(
                (
                    each["code"],
                    title_of(each["code"]),
                    each["detail"],
                    CATALOGUE[each["code"]].advice if each["code"] in CATALOGUE else "",
                )
                for each in statement["hazards"]
            ),
            strongest=strongest.blocks,
        )


def title_of(code: str) -> str:
    """What a hazard is called; its code where another version of this program knew it."""
    return CATALOGUE[code].title if code in CATALOGUE else code


def locked(taken: Iterable[tuple[str, str]]) -> str:
    """What was locked, the strongest lock first: ``a, b (AccessExclusiveLock: blocks reads and writes)``."""
    by_mode: dict[LockMode, list[str]] = {}
    for relation, name in taken:
        by_mode.setdefault(LockMode(name), []).append(relation)
    by_mode.pop(LockMode.NONE, None)
    strongest_first = sorted(by_mode.items(), key=lambda pair: -pair[0].strength)
    said = (f"{', '.join(relations)} ({mode}: blocks {mode.blocks})" for mode, relations in strongest_first)
    return "; ".join(said) or "nothing"


def _measured(trace: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    rows = sum(each[1] for each in trace.get("rows_read", ()))
    if rows:
        yield "rows read", f"{rows:,}"
    for key, word in (("wal_bytes", "log (WAL)"), ("temp_bytes", "temporary files")):
        if trace.get(key):
            yield word, size(trace[key])


def size(count: float) -> str:
    """Bytes for a person, units of 1,024: ``1.4 MiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def uses(usage: Mapping[str, Any] | None) -> str:
    """What a preview takes on disk and costs, for a person: ``41.2 MiB, 0.12 EUR``; empty when nothing is known.

    Without a price, compute is told as it is metered: hours of one compute unit.
    """
    said = []
    if usage and usage.get("disk_bytes") is not None:
        said.append(size(usage["disk_bytes"]))
    if usage and usage.get("cost") is not None:
        said.append(f"{usage['cost']:.2f} {usage.get('currency') or ''}".rstrip())
    elif usage and usage.get("compute_seconds"):
        said.append(f"{usage['compute_seconds'] / 3600:.2f} CU-hours")
    return ", ".join(said)


def duration(milliseconds: float | None) -> str:
    """Milliseconds for a person: ``0.4 ms``, ``840 ms``, ``1.4 s``, ``3 min 20 s``."""
    if milliseconds is None:
        return "not measured"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 120 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _pause(pause: Mapping[str, Any] | None) -> str:
    """The expected pause in one sentence; empty when nobody looked."""
    if pause is None:
        return ""
    if not pause["longest_at"]:
        return "No statement makes readers or writers of existing tables wait."
    return (
        f"Readers or writers of {', '.join(pause['tables'])} wait {duration(pause['total_ms'])} in all, "
        f"{duration(pause['longest_ms'])} at most at once (from statement {pause['longest_at']}, "
        f"blocks {pause['blocks']}), plus what each statement waits for its locks."
    )


def _facts(value: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "state", value["state"]
    if value.get("url"):
        yield "URL", value["url"]
    if value.get("branch"):
        yield "branch", value["branch"]["name"]
    if value["plan"]["digest"]:
        yield "plan", value["plan"]["digest"][:12]
    image = (value.get("image") or {}).get("id")
    if image:
        yield "image", str(image).removeprefix("sha256:")[:12]
    report = value.get("report") or {}
    if report.get("digest"):
        yield "report", report["digest"][:12]
    yield "made by", f"{value['created_by']} at {value['created_at'][:16].replace('T', ' ')} UTC"


def _answers(value: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    prompts = {each["id"]: each.get("prompt", "") for each in value["plan"]["questions"]}
    for question, answer in sorted(value.get("answers", {}).items()):
        yield question, answer, prompts.get(question, "")


def _approval(given: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    if not given:
        return
    yield "by", given["who"]
    yield "at", f"{given['at'][:16].replace('T', ' ')} UTC"
    if given.get("note"):
        yield "note", given["note"]
    if given.get("allowed"):
        yield "allowed", ", ".join(given["allowed"])
