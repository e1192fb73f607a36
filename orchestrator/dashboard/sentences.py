"""What a verb will do to a preview, a sentence each, as its page says it before anybody says yes. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.pages.view import Page, duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Something that is ticked before a yes is taken.

    Attributes:
        name: as `--allow` takes it, or the form's own.
        words: what it is about.
    """

    name: str
    words: str


UP_TO_DATE = (
    "Looks whether the goal, production or the app's sources have changed since; what changed is rehearsed again.",
    "A yes that was given for what was rehearsed before does not hold for what is new.",
)
REBASING = (
    "Rehearses again on a fresh branch of production as it is now; answers are kept.",
    "This one stays up until the new one is ready.",
    "What somebody wrote into the preview's database while testing is gone then.",
)


def approving(value: Mapping[str, Any], page: Page) -> Iterator[str]:
    """What a yes does."""
    yield (
        f"Says that you looked at it and that plan {str(value['plan']['digest'])[:12]} "
        f"({statements(len(page.acts))}) may go to production."
    )
    yield "Nothing runs yet: somebody promotes it."
    yield (
        "The yes is bound to the plan, production's schema, the goal, the image, the answers and the report. "
        "When one of them moves, it does not hold any more."
    )


def promoting(page: Page, value: Mapping[str, Any], *, keep_days: int, releases: str) -> Iterator[str]:
    """What a promotion does; `keep_days` and `releases` as in offers.Rules."""
    if page.acts:
        yield (
            f"{statements(len(page.acts)).capitalize()} run on production, exactly as rehearsed. One that would make "
            "others wait for long lets go and tries again. If production has moved, it is rehearsed again first; when "
            "anything is different then, nothing is changed."
        )
    else:
        yield "No statement runs: both schemas are equal."
    if page.pause:
        yield page.pause
    for act in page.acts:
        for code, title, detail, _ in act.hazards:
            if code == "deletes_data":
                back = " A revert brings it back until then." if keep_days and "set aside" in detail else ""
                yield f"{title[:1].upper()}{title[1:]}: {detail}.{back}"
    total = sum(act.milliseconds or 0 for act in page.acts)
    if total:
        yield (
            f"The statements took {duration(total)} in all on the branch; "
            "production's traffic adds waiting for locks."
        )
    if releases and value.get("image"):
        yield releases
    yield "Afterwards production is compared with what was rehearsed."


def finishing(value: Mapping[str, Any], *, releases: str) -> Iterator[str]:
    """What the second half of a promotion does."""
    left = value["expanded"]["left"]
    yield f"{statements(len(left)).capitalize()} that are left run on production, as rehearsed:"
    yield from (f"{why}." for why in left)
    yield "Whoever still runs the old version of the app may notice that."
    if releases and value.get("image"):
        yield releases
    yield "Afterwards production is compared with what was rehearsed."


def halves(early: Sequence[int], late: Sequence[int]) -> tuple[str, str]:
    """A promotion as a whole and its first half, in words; statements by their numbers."""
    first = (
        f"Only what the running version of the app does not notice: {numbered(early)}. "
        f"{numbered(late).capitalize()} can follow later; this preview waits for that"
    )
    return f"All of it: statements 1 to {len(early) + len(late)}", first


def discarding(value: Mapping[str, Any]) -> Iterator[str]:
    """What a discard does."""
    yield "The app and its image are removed, and the branch with everything that was written there."
    yield "Production is not touched."
    if value.get("approval") and value["state"] != "promoted":
        yield "The yes that was given is void."
    yield "Its history stays."


#: What going on with a promotion begins with.
STOPPED = "Whoever promoted it died: production is compared with what was rehearsed, and what remains is run."


def forcing(value: Mapping[str, Any]) -> Iterator[str]:
    """What a discard by force does, and what is lost."""
    left = (value.get("expanded") or {}).get("left")
    if half_way(value):
        yield (
            "Production is left as it is now, half-way: what has run stays, "
            + (
                f"and {statements(len(left))} will not be run from here."
                if left
                else "and the rest is not run."
            )
        )
        yield "To take back what has run, use Revert on the promotion's page first."
        yield "Lost: the rehearsed plan and the yes to it. Nobody can go on with this promotion afterwards."
    yield "Lost: the app, its image, and the branch with everything that was written there."
    yield (
        "Where a container engine or a database does not answer, it is not waited for: what it still holds is named "
        "in the story, and `preview sweep` removes it later."
    )
    yield "Its history stays."


def forced_ticks(value: Mapping[str, Any]) -> Iterator[Allow]:
    """What whoever forces it has to say that they know."""
    if half_way(value):
        yield Allow(name="half-way", words="I know that production stays half-way between both versions.")
    yield Allow(name="left-over", words="I know that something of it may be left, to be removed later.")


def half_way(value: Mapping[str, Any]) -> bool:
    """Whether main may have a part of it."""
    failed_in = (value.get("error") or {}).get("state") if value["state"] == "failed" else None
    half = value.get("expanded") and not value.get("promotion")
    return bool(half or value.get("stopped") or failed_in == "promoting")


def restoring(kept_until: str) -> Iterator[str]:
    """What a restore does."""
    yield "It comes back as it was: its branch with the data, its plan, answers and approval."
    yield "The app is started and everything is checked anew."
    yield f"Its branch is kept until {kept_until} only; after that there is nothing to bring back."


def keeping(ends: str) -> Iterator[str]:
    """What keeping it for good does."""
    yield f"It stays until somebody discards it. As it is, it is discarded at {ends}."


def lasting(span: str) -> str:
    """A span of the settings in words: ``2d`` is ``2 days``."""
    number, unit = span.strip()[:-1].strip(), span.strip()[-1:]
    word = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}.get(unit)
    return f"{number} {word}{'s' * (number != '1')}" if word else span


def statements(count: int) -> str:
    """So many statements."""
    return f"{count} statement{'s' * (count != 1)}"


def numbered(numbers: Sequence[int]) -> str:
    """Statements by their numbers; of many the first and how many more."""
    if len(numbers) == 1:
        return f"statement {numbers[0]}"
    if len(numbers) > 6:
        return f"statements {', '.join(map(str, numbers[:5]))} and {len(numbers) - 5} more"
    return f"statements {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
