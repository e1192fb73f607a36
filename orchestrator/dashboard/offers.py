"""What can be done with a preview, by whom, and what it will do: values for buttons and confirmation pages. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.pages.view import Page, duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Something that stops a yes until it is ticked.

    Attributes:
        name: as `--allow` takes it.
        words: what it is about.
    """

    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings say about a yes.

    Attributes:
        approval_required: whether a promotion needs a yes before it.
        keep_days: how long what is taken away can be brought back; 0: not at all.
        releases: what a promotion does with the image, in words; empty: nothing.
        verbs: which verbs there are.
    """

    approval_required: bool = False
    keep_days: int = 0
    releases: str = ""
    verbs: frozenset[str] = frozenset({"up", "answer", "approve", "promote", "discard"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One thing to do.

    Attributes:
        verb: as in the page's path.
        title: on its button.
        does: what it will do, a sentence each.
        refused: why it cannot be done now, or not by this person; empty when it can.
        allows: what has to be ticked first.
        note: whether a sentence may be kept with it.
        lasting: whether how long is asked.
        grave: whether it changes production or removes something.
    """

    verb: str
    title: str
    does: tuple[str, ...]
    refused: str = ""
    allows: tuple[Allow, ...] = ()
    note: bool = False
    lasting: bool = False
    grave: bool = False


def offers(
    value: Mapping[str, Any],
    page: Page,
    *,
    forbids: Callable[[str], str],
    rules: Rules,
    allows: Iterable[Allow] = (),
) -> tuple[Offer, ...]:
    """What can be done with a preview in its state, most wanted first.

    Args:
        value: the preview's JSON.
        page: its report's page.
        forbids: why whoever looks may not do a verb; empty when they may.
        rules: see Rules.
        allows: what stops a yes until it is allowed by name.
    """
    found = []
    for verb, title, does in _offered(value, page, rules):
        if verb not in rules.verbs:
            continue
        stops = _stops(verb, value, page, rules, allows)
        found.append(
            Offer(
                verb=verb,
                title=title,
                does=does,
                refused=forbids(verb) or stops,
                allows=tuple(allows) if verb in ("approve", "promote") and value["state"] == "ready" else (),
                note=verb == "approve",
                lasting=verb == "extend",
                grave=verb in ("promote", "discard"),
            )
        )
    return tuple(found)


def _stops(verb: str, value: Mapping[str, Any], page: Page, rules: Rules, allows: Iterable[Allow]) -> str:
    if verb not in ("approve", "promote") or value["state"] != "ready":
        return ""
    allowed = {each.name for each in allows}
    blocked = [line for line in page.reasons if line.severity == "blocked"]
    if blocked and not allowed:
        return f"the report blocks it: {blocked[0].subject}: {blocked[0].message}"
    given = value.get("approval")
    if verb == "promote" and rules.approval_required and not (given and given["beforehand"]):
        return "nobody has approved it yet, and promote.approval is `required`"
    return ""


def _offered(
    value: Mapping[str, Any], page: Page, rules: Rules
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    state = value["state"]
    failed_in = (value.get("error") or {}).get("state") if state == "failed" else None
    if state == "ready":
        yield "approve", "Approve", tuple(_approving(value, page))
        yield "promote", "Promote", tuple(_promoting(page, value, rules))
        if value.get("sleeping_since"):
            yield "wake", "Wake", ("The app is started again, on its branch as it was.",)
        yield (
            "up",
            "Bring up to date",
            (
                "Looks whether goal, main or the app's sources have changed since; what changed is rehearsed again.",
                "A yes that was given for what was rehearsed before does not hold for what is new.",
            ),
        )
        yield (
            "rebase",
            "Rebase",
            (
                "Rehearses again on a fresh branch of main as it is now; answers are kept.",
                "This one stays up until the new one is ready.",
                "What somebody wrote into the preview's database while testing is gone then.",
            ),
        )
        if not value.get("sleeping_since"):
            yield "sleep", "Put to sleep", ("The app is stopped and kept; the first visit wakes it.",)
    elif state == "failed" and failed_in == "promoting":
        yield (
            "promote",
            "Go on with the promotion",
            ("Compares main with what was rehearsed and runs what remains.", *_promoting(page, value, rules)),
        )
    elif state == "failed":
        yield "up", "Try again", ("Goes on where it failed; a rehearsal begins on a fresh branch.",)
    elif state == "waiting":
        yield "up", "Plan again", ("Reads the goal again, if you changed it instead of answering.",)
    if state not in ("closed", "promoted", "discarding"):
        if value.get("expires_at"):
            yield "extend", "Extend", ("It is discarded later.",)
        if state != "promoting" and failed_in != "promoting":
            yield "discard", "Discard", tuple(_discarding(value))


def _approving(value: Mapping[str, Any], page: Page) -> Iterator[str]:
    yield (
        f"Says that you looked at it and that plan {str(value['plan']['digest'])[:12]} "
        f"({_statements(page)}) may go to production."
    )
    yield "Nothing runs yet: somebody promotes it."
    yield (
        "The yes is bound to the plan, main's schema, the goal, the image, the answers and the report. "
        "When one of them moves, it does not hold any more."
    )


def _promoting(page: Page, value: Mapping[str, Any], rules: Rules) -> Iterator[str]:
    if page.acts:
        yield (
            f"{_statements(page).capitalize()} run on production, exactly as rehearsed, under lock time-outs. "
            "If production has moved, it is rehearsed again first; when anything is different then, nothing is changed."
        )
    else:
        yield "No statement runs: both schemas are equal."
    if page.pause:
        yield page.pause
    for act in page.acts:
        for code, title, detail, _ in act.hazards:
            if code == "deletes_data":
                kept = f" It can be brought back for {rules.keep_days} days." if rules.keep_days else ""
                yield f"{title}: {detail}.{kept}"
    total = sum(act.milliseconds or 0 for act in page.acts)
    if total:
        yield (
            f"The statements took {duration(total)} in all on the branch; "
            "production's traffic adds waiting for locks."
        )
    if rules.releases and value.get("image"):
        yield rules.releases
    yield "Afterwards main is compared with what was rehearsed, and this preview is discarded."


def _discarding(value: Mapping[str, Any]) -> Iterator[str]:
    yield "The app, its image and its branch are removed, with everything that was written there."
    yield "Production is not touched."
    if value.get("approval"):
        yield "The yes that was given is void."
    yield "Its history stays."


def _statements(page: Page) -> str:
    count = len(page.acts)
    return f"{count} statement{'s' * (count != 1)}"
