"""What can be done with a preview, by whom, and what it will do: values for buttons and confirmation pages. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.dashboard import sentences
from orchestrator.dashboard.sentences import Allow
from orchestrator.errors import UsageError
from orchestrator.pages.view import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings say about a yes.

    Attributes:
        approval_required: whether a promotion needs a yes before it.
        keep_days: how long what is taken away can be brought back; 0: not at all.
        releases: what a promotion does with the image, in words; empty: nothing.
        keep_discarded: how long a discard keeps the branch when nobody says otherwise: ``2d``; empty: not at all.
        verbs: which verbs there are.
    """

    approval_required: bool = False
    keep_days: int = 0
    releases: str = ""
    keep_discarded: str = ""
    verbs: frozenset[str] = frozenset({"up", "answer", "approve", "promote", "discard"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several ways to do it.

    Attributes:
        value: in the form.
        words: what it is.
        means: the act's arguments that it stands for.
    """

    value: str
    words: str
    means: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A choice that comes with a yes; the first is taken when nobody chooses.

    Attributes:
        name: of the form's field.
        legend: what is chosen.
        choices: what there is.
    """

    name: str
    legend: str
    choices: tuple[Choice, ...]

    def means(self, value: str) -> Mapping[str, Any]:
        """The act's arguments of what was chosen.

        Raises:
            UsageError: there is no such choice.
        """
        if not value:
            return self.choices[0].means
        for each in self.choices:
            if each.value == value:
                return each.means
        raise UsageError(f"there is no choice {value[:40]!r} here", hint="open the page again")


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
        picks: what is chosen with it.
        grave: whether it changes production or removes something.
        ticks: what whoever says yes has to say that they know; nothing is allowed by it.
        act: which act it is; the verb's own when empty.
        means: the act's arguments that it always has.
    """

    verb: str
    title: str
    does: tuple[str, ...]
    refused: str = ""
    allows: tuple[Allow, ...] = ()
    note: bool = False
    picks: tuple[Pick, ...] = ()
    grave: bool = False
    ticks: tuple[Allow, ...] = ()
    act: str = ""
    means: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """The act that is asked of the server."""
        return self.act or self.verb


#: What is left when main is half-way, or a runtime does not let go: by another name than the act's own.
FORCED = "discard-by-force"
_ACTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {FORCED: ("discard", {"force": True})}


def offers(
    value: Mapping[str, Any],
    page: Page,
    *,
    forbids: Callable[[str], str],
    rules: Rules,
    allows: Iterable[Allow] = (),
    late: Iterable[int] = (),
) -> tuple[Offer, ...]:
    """What can be done with a preview in its state, most wanted first.

    Args:
        value: the preview's JSON; ``kept_until`` while a discarded one can be brought back, ``stopped`` when nobody
            goes on with its promotion.
        page: its report's page.
        forbids: why whoever looks may not do a verb; empty when they may.
        rules: see Rules.
        allows: what stops a yes until it is allowed by name.
        late: numbers of the statements that the running version of the app would notice.
    """
    half = half_done(value)
    stopping = () if half else tuple(allows)
    found = []
    for verb, title, does in _offered(value, page, rules):
        act, means = _ACTS.get(verb, (verb, {}))
        if act not in rules.verbs:
            continue
        stops = _stops(verb, value, page, rules, stopping)
        found.append(
            Offer(
                verb=verb,
                title=title,
                does=does,
                refused=forbids(act) or stops,
                allows=stopping if verb in ("approve", "promote") and value["state"] == "ready" else (),
                note=verb == "approve",
                picks=tuple(_picks(verb, value, page, rules, frozenset(late))),
                grave=verb in ("promote", "discard", FORCED),
                ticks=tuple(sentences.forced_ticks(value)) if verb == FORCED else (),
                act=act,
                means=means,
            )
        )
    return tuple(found)


def half_done(value: Mapping[str, Any]) -> bool:
    """Whether production has the first half of it, and not the second."""
    return bool(value.get("expanded")) and not value.get("promotion")


def _stops(verb: str, value: Mapping[str, Any], page: Page, rules: Rules, allows: Iterable[Allow]) -> str:
    if half_done(value):
        return "production has its first half: promote the rest first" if verb == "discard" else ""
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


def _picks(
    verb: str, value: Mapping[str, Any], page: Page, rules: Rules, late: frozenset[int]
) -> Iterator[Pick]:
    if verb == "promote":
        early = [act.number for act in page.acts if act.number not in late]
        whole = not (late and early) or (value.get("command") or {}).get("on_main")
        if value["state"] == "ready" and not half_done(value) and not whole:
            both, first = sentences.halves(early, sorted(late))
            yield Pick(
                name="phase",
                legend="How much of it",
                choices=(
                    Choice(value="all", words=both, means={}),
                    Choice(value="expand", words=first, means={"phase": "expand"}),
                ),
            )
        yield Pick(
            name="keep",
            legend="And this preview afterwards",
            choices=(
                Choice(value="discard", words="Discard it", means={}),
                Choice(value="keep", words="Leave it up", means={"keep": True}),
            ),
        )
    elif verb == "extend":
        yield Pick(
            name="lasting",
            legend="By how long",
            choices=tuple(
                Choice(value=span, words=words, means={"lasting": span})
                for span, words in (("3d", "Three days"), ("1d", "One day"), ("7d", "Seven days"))
            ),
        )
    elif verb == "discard" and value["state"] in ("ready", "failed") and value["plan"]["digest"]:
        gone = Choice(value="gone", words="Remove it at once, for good", means={"keep_for": "0"})
        days = rules.keep_discarded or "2d"
        kept = Choice(
            value="kept",
            words=f"Keep it for {sentences.lasting(days)}, so that the preview can be restored",
            means={"keep_for": days},
        )
        yield Pick(
            name="branch",
            legend="The branch with its data",
            choices=(kept, gone) if rules.keep_discarded else (gone, kept),
        )


def _offered(
    value: Mapping[str, Any], page: Page, rules: Rules
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    state = value["state"]
    failed_in = (value.get("error") or {}).get("state") if state == "failed" else None
    promoting = tuple(
        sentences.promoting(page, value, keep_days=rules.keep_days, releases=rules.releases)
        if not half_done(value)
        else sentences.finishing(value, releases=rules.releases)
    )
    if state == "ready":
        yield from _when_ready(value, page, promoting)
    elif state == "failed" and failed_in == "promoting":
        yield (
            "promote",
            "Go on with the promotion",
            ("Compares production with what was rehearsed and runs what remains.", *promoting),
        )
        yield "rebase", "Rehearse again", sentences.REBASING
    elif state == "promoting" and value.get("stopped"):
        yield "promote", "Go on with the promotion", (sentences.STOPPED, *promoting)
    elif state == "failed":
        yield "up", "Try again", ("Goes on where it failed; a rehearsal begins on a fresh branch.",)
    elif state == "waiting":
        yield (
            "up",
            "Plan again",
            ("Reads the goal, the wanted schema, again: for when you changed that instead of answering.",),
        )
    elif state == "closed" and value.get("kept_until"):
        yield "restore", "Restore", tuple(sentences.restoring(value["kept_until"]))
    if state not in ("closed", "discarding"):
        if value.get("expires_at"):
            yield "extend", "Extend", ("It is discarded later.",)
            yield "keep", "Keep", tuple(sentences.keeping(_clock(value["expires_at"])))
        if state != "promoting" and failed_in != "promoting":
            yield "discard", "Discard", tuple(sentences.discarding(value))
        half_way = half_done(value) or failed_in == "promoting" or value.get("stopped")
        if half_way or failed_in == "discarding":
            yield FORCED, "Discard by force", tuple(sentences.forcing(value))


def _when_ready(
    value: Mapping[str, Any], page: Page, promoting: tuple[str, ...]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    half, asleep = half_done(value), bool(value.get("sleeping_since"))
    approve = ("approve", "Approve", tuple(sentences.approving(value, page)))
    if half:
        yield "promote", "Promote the rest", promoting
    elif (value.get("approval") or {}).get("beforehand"):
        yield "promote", "Promote", promoting
        yield approve
    else:
        yield approve
        yield "promote", "Promote", promoting
    if asleep:
        yield "wake", "Wake", ("The app is started again, on its branch as it was.",)
    yield "up", "Bring up to date", sentences.UP_TO_DATE
    if not half:
        yield "rebase", "Rehearse again", sentences.REBASING
    if not asleep:
        yield "sleep", "Put to sleep", ("The app is stopped and kept; the first visit wakes it.",)


def _clock(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"
