"""What a preview's pages need, gathered: rows and jobs in, values for templates out. Changes nothing."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from orchestrator.access import Caller
from orchestrator.approval import Guards
from orchestrator.checks.policy import unallowed
from orchestrator.checks.report import Report
from orchestrator.dashboard.desk import Desk, Job, Problem
from orchestrator.dashboard.offers import Offer, half_done, offers
from orchestrator.dashboard.render import qr_code
from orchestrator.dashboard.sentences import Allow, statements
from orchestrator.dashboard.views import bars, entries, sign_of, story
from orchestrator.errors import UnknownPreview
from orchestrator.facts import clicked, open_questions, preview_json
from orchestrator.lifecycle import Preview, Store
from orchestrator.migration.phases import split
from orchestrator.migration.plan import Plan
from orchestrator.pages.differences import side_by_side
from orchestrator.pages.view import Page
from orchestrator.pages.view import page as report_page
from orchestrator.settings import check_name

#: What is wanted next, when it comes first.
LEADING = ("approve", "promote", "wake", "up", "restore")
#: What can be done besides, and decides nothing.
FURTHER = ("rebase", "sleep", "extend", "keep")


def find(store: Store, project: str, name: str) -> Preview:
    """The preview of this name that lives, else that lived last; of this project only.

    Raises:
        UnknownPreview: there never was one here.
        UsageError: no preview can have that name.
    """
    found = store.find_last(check_name(name), project=project)
    if found is None:
        raise UnknownPreview(f"there is no preview {name[:60]!r}", hint="the list has all of them")
    return found


def allows_of(guards: Guards, preview: Preview) -> tuple[Allow, ...]:
    """What stops a yes to a ready preview until it is allowed by name."""
    facts = preview.facts
    if not facts.get("plan") or not facts.get("report"):
        return ()
    found = [
        Allow(name=hazard.name, words=hazard.detail)
        for hazard in guards.refused_hazards(Plan.from_json(facts["plan"]))
    ]
    report = Report.from_json(facts["report"])
    found += [
        Allow(name=each.name, words=f"{each.subject}: {each.message}")
        for each in unallowed(report, guards.allowed)
    ]
    given = facts.get("approval")
    if given and given["beforehand"]:
        yes = frozenset(given["allowed"])
        found = [each for each in found if each.name not in yes and each.name.split(":", 1)[0] not in yes]
    return tuple(found)


def late_of(preview: Preview) -> tuple[int, ...]:
    """The numbers of the statements that the running version of the app would notice."""
    given = preview.facts.get("plan")
    if not given:
        return ()
    plan = Plan.from_json(given)
    early = {id(each) for each in split(plan).expand.statements}
    return tuple(number for number, each in enumerate(plan.statements, 1) if id(each) not in early)


def kept_until(preview: Preview, *, now: datetime) -> str:
    """Until when a discarded preview can be brought back, for a person; empty when it cannot."""
    until = (preview.facts.get("kept") or {}).get("until")
    if preview.state.value != "closed" or not until or datetime.fromisoformat(until) <= now:
        return ""
    return f"{datetime.fromisoformat(until):%Y-%m-%d %H:%M} UTC"


def seen_of(preview: Preview) -> str:
    """What a person looks at when they confirm: when it is another at the moment of the yes, they look again."""
    facts = preview.facts
    looked = (
        preview.id,
        preview.state.value,
        (facts.get("plan") or {}).get("digest"),
        (facts.get("report") or {}).get("digest"),
        (facts.get("image") or {}).get("id"),
        (facts.get("approval") or {}).get("at"),
        (facts.get("expanded") or {}).get("at"),
        facts.get("promotion_id"),
        (preview.error or {}).get("state"),
    )
    return hashlib.sha256(repr(looked).encode()).hexdigest()[:24]


def content_of(preview: Preview) -> str:
    """Changes when what stands below the buttons changes."""
    facts = preview.facts
    looked = [(facts.get(name) or {}).get("digest") for name in ("plan", "report")]
    return hashlib.sha256(repr((preview.id, looked, facts.get("approval"))).encode()).hexdigest()[:24]


def _of_this_machine(url: str) -> bool:
    """Whether a URL leads every machine to itself: a phone that scans it finds nothing there."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")


def _step(preview: Preview, job: Job | None) -> str:
    """What the lines of a running step mean at this moment: ``working``, ``failed`` or ``resting``."""
    if preview.state.working or (job and job.running):
        return "working"
    return "failed" if preview.state.value == "failed" or (job and job.error) else "resting"


def said_of(preview: Preview, page: Page, error: str) -> str:
    """The state in one sentence, as it is read out when it changes."""
    state = preview.state.value
    if state == "ready" and page.verdict != "none":
        said = f"{preview.name} is ready. The report says {page.verdict}"
    elif state == "waiting":
        said = f"{preview.name} waits for answers"
    else:
        said = f"{preview.name} is {state}"
    return f"{said}. {error}" if error else f"{said}."


def summary(page: Page) -> tuple[tuple[str, str], ...]:
    """What a promotion would do, in few words: name and text."""
    if not page.acts:
        return ()
    lost = [detail for act in page.acts for code, _, detail, _ in act.hazards if code == "deletes_data"]
    rewritten = sorted({table for act in page.acts for table in act.rewritten})
    told = [("changes", statements(len(page.acts)))]
    if page.pause:
        told.append(("others wait", page.pause))
    if rewritten:
        told.append(("rewrites", ", ".join(rewritten)))
    if lost:
        told.append(
            ("deletes", "; ".join(lost[:3]) + (f"; and {len(lost) - 3} more" if len(lost) > 3 else ""))
        )
    return tuple(told)


def _sorted(found: tuple[Offer, ...]) -> dict[str, Any]:
    """Decisions first, then what else can be done; what this person cannot do, by the reason."""
    can = [each for each in found if not each.refused]
    refused: dict[str, list[str]] = {}
    for each in found:
        if each.refused:
            refused.setdefault(each.refused, []).append(each.title)
    return {
        "decisions": [each for each in can if each.verb not in FURTHER],
        "further": [each for each in can if each.verb in FURTHER],
        "cannot": [(titles, why) for why, titles in refused.items()],
    }


class Showing:
    """Values for the templates of one preview, for one person."""

    def __init__(
        self,
        desk: Desk,
        caller: Caller,
        preview: Preview,
        *,
        picture: str = "",
        no_picture: str = "",
        stopped: bool = False,
    ) -> None:
        self._desk = desk
        self._caller = caller
        self._picture = picture
        self._no_picture = no_picture
        self.preview = preview
        self.value: dict[str, Any] = {
            **preview_json(preview),
            "kept_until": kept_until(preview, now=datetime.now(UTC)),
            "stopped": stopped and not self._works(),
        }
        self.page: Page = report_page(self.value)

    def _works(self) -> bool:
        """Whether something that was asked of the server is being done."""
        job = self._desk.job(self.preview.name)
        return job is not None and job.running

    def _forbids(self, verb: str) -> str:
        return self._desk.forbids(verb, self._caller, self.preview)

    def offers(self) -> tuple[Offer, ...]:
        """What this person can do with it."""
        return offers(
            self.value,
            self.page,
            forbids=self._forbids,
            rules=self._desk.rules,
            allows=allows_of(self._desk.guards, self.preview),
            late=late_of(self.preview),
        )

    def offer(self, verb: str) -> Offer | None:
        """One of them, or None when it makes no sense now."""
        return next((each for each in self.offers() if each.verb == verb), None)

    def now(self) -> dict[str, Any]:
        """For `_now.html`."""
        preview, moment = self.preview, datetime.now(UTC)
        job: Job | None = self._desk.job(preview.name)
        error = preview.error if preview.error and preview.state.value in ("failed", "ready") else None
        waiting = preview.state.value == "waiting"
        entry = entries([preview], now=moment)[0]
        url = clicked(preview.facts) or ""
        open_ = url if preview.state.value not in ("closed", "discarding") else ""
        error_words = (job.error.message if job and job.error else "") or (error["message"] if error else "")
        return {
            "page": self.page,
            "state_sign": sign_of(self.page.state),
            "sleeping": entry.sleeping,
            "uses": entry.uses,
            "notice": self._notice(),
            "leading": LEADING,
            "ends": entry.ends,
            "job": job,
            "error": Problem(
                message=error["message"], hint=error.get("hint") or "", detail=error.get("detail") or ""
            )
            if error
            else None,
            "page_url": open_ if open_.startswith(("http://", "https://")) else "",
            "qr": qr_code(open_) if open_ and not _of_this_machine(open_) else "",
            "summary": summary(self.page),
            "step": _step(preview, job),
            "say": said_of(preview, self.page, error_words),
            "promotion_id": preview.facts.get("promotion_id") or "",
            "wrong": {},
            "given": {},
            "picture": self._picture,
            "no_picture": self._no_picture,
            "has_app": bool(open_),
            "shareable": bool(open_) and not self._desk.no_links(),
            "questions": open_questions(preview) if waiting else (),
            "answer_refused": self._forbids("answer"),
            **_sorted(self.offers() if not (job and job.running) else self._meanwhile()),
        }

    def _notice(self) -> str:
        """What whoever comes here must know first; empty: nothing out of the ordinary."""
        if half_done(self.value):
            since = datetime.fromisoformat(self.value["expanded"]["at"])
            left = statements(len(self.value["expanded"]["left"]))
            return f"Production has the first half of this since {since:%Y-%m-%d %H:%M} UTC; {left} left."
        if until := self.value["kept_until"]:
            return f"It was discarded. Its branch is kept until {until}, and it can be restored until then."
        return ""

    def _meanwhile(self) -> tuple[Offer, ...]:
        """While a job runs there is nothing to do but to give it up."""
        return tuple(each for each in self.offers() if each.verb == "discard")

    def content(self) -> dict[str, Any]:
        """For `_content.html`."""
        found = self.value.get("differences") or {}
        return {
            "page": self.page,
            "digest": self.value["plan"]["digest"],
            "sides": side_by_side(found),
            "left_out": found.get("left_out", 0),
            "bars": {bar.number: bar for bar in bars(self.page.acts)},
        }

    def story(self, store: Store) -> dict[str, Any]:
        """For `_story.html`."""
        return {"page": self.page, "story": story(event for _, event in store.history(self.preview.id))}
