"""The desk of a real server: the diary, the queue, the runtime. Shows nothing."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from orchestrator import mail
from orchestrator.access import Caller, Role
from orchestrator.acts import ACTS, check
from orchestrator.acts.sharing import Sharing
from orchestrator.api.callers import recognise
from orchestrator.api.site import Site
from orchestrator.approval import Guards
from orchestrator.dashboard.desk import Job, Link, Mail, Place, Problem, WayBack
from orchestrator.dashboard.offers import Rules
from orchestrator.errors import NotAllowed, OrchestratorError, Refused, UsageError
from orchestrator.jobs.book import Job as Row
from orchestrator.lifecycle import Preview, State, Store
from orchestrator.lifecycle.around import whoami
from orchestrator.lifecycle.promotions import Promotions
from orchestrator.sections import parse_duration
from orchestrator.settings import Settings, home
from orchestrator.steps.border import translating
from orchestrator.steps.launch import candidate_name
from orchestrator.steps.outlook import Outlook
from orchestrator.steps.surroundings import service_name

#: Acts that are over in a moment: a page waits for their end and shows it, at most so long, in seconds.
_QUICK = frozenset({"approve"})
_PATIENCE_SECONDS = 15.0
_LONGEST_MAIL = 200_000
_MOST_SENTENCES = 30
#: No failure: the page asks the questions.
_NO_PROBLEM = frozenset({"WaitingForAnswers"})


def place_of(settings: Settings, *, host: str, port: int) -> Place:
    """Where browsers reach the pages of a server that listens there.

    Previews listen on 127.0.0.1, and cookies know no port: on a laptop the pages are at `localhost`.
    """
    given, gateway = settings.dashboard.url, settings.gateway
    if given:
        return Place(origin=given)
    if not gateway.local:
        port_part = "" if gateway.own_port == 443 else f":{gateway.own_port}"
        return Place(origin=f"https://{gateway.domain}{port_part}")
    local = host in ("127.0.0.1", "::1", "localhost")
    return Place(
        origin=f"http://localhost:{port}",
        others=frozenset({f"http://127.0.0.1:{port}", f"http://[::1]:{port}"}),
        local=local,
    )


class SiteDesk:
    """See `desk.Desk`.

    Args:
        site: the server's doors.
        place: where the pages are.
    """

    def __init__(self, site: Site, place: Place) -> None:
        self._site = site
        self.place = place
        promote = site.settings.promote
        self.guards = Guards(
            blocking=frozenset(promote.block),
            allowed=frozenset(promote.allow),
            required=promote.approval == "required",
        )
        released = site.settings.release.kind != "none"
        kept = site.settings.lifetime.keep_discarded
        self.rules = Rules(
            approval_required=self.guards.required,
            keep_days=promote.keep_days,
            releases="The image that is shown here takes production's place." if released else "",
            keep_discarded=kept if kept and parse_duration(kept) else "",
            verbs=frozenset(ACTS),
        )

    @property
    def project(self) -> str:
        """See Desk."""
        return self._site.project

    @contextmanager
    def store(self, who: str) -> Iterator[Store]:
        """See Desk."""
        with self._site.store(who) as store:
            yield store

    @contextmanager
    def promotions(self, who: str) -> Iterator[Promotions]:
        """See Desk."""
        with self._site.store(who) as store:
            yield store.promotions(self.project)

    # who

    def sign_in(self, token: str, *, address: str) -> Caller:
        """See Desk."""
        return recognise(self._site, token, address=address, what="POST /login")

    def caller(self, token_id: str) -> Caller | None:
        """See Desk."""
        if not token_id:
            return Caller(who=whoami(), role=Role.ADMIN) if self.place.local else None
        with self._site.tokens() as tokens:
            try:
                token = tokens.get(token_id)
            except UsageError:
                return None
        return Caller(who=token.who, role=token.role, token=token.id) if token.state == "good" else None

    def forbids(self, verb: str, caller: Caller, preview: Preview | None) -> str:
        """See Desk."""
        act = ACTS.get(verb)
        if act is None:
            return f"this server has no {verb}"
        try:
            check(
                act.asked, caller, preview, author_may_approve=self._site.settings.access.author_may_approve
            )
        except NotAllowed as error:
            return error.message
        return ""

    def refused(self, caller: Caller | None, action: str, *, on: str, why: str) -> None:
        """See Desk."""
        note = f"dashboard: {why}"
        self._site.refusals.tell(caller, action, on=on, note=note, source="the dashboard", kind=action)

    # doing

    def do(self, verb: str, name: str, arguments: Mapping[str, Any], caller: Caller) -> None:
        """See Desk."""
        with self._site.store(caller.who) as store:
            job = self._site.submissions.submit(store, caller, verb, name, arguments)
        if verb not in _QUICK:
            return
        until = time.monotonic() + _PATIENCE_SECONDS
        while not job.ended and time.monotonic() < until:
            time.sleep(0.1)
            with self._site.book() as book:
                job = book.get(job.id)
        if job.error:
            raise _error(job.error)

    def reverting(self, promotion_id: str, caller: Caller, *, to_restore_point: bool = False) -> WayBack:
        """See Desk."""
        with self._site.assembled(caller.who, _Silent()) as rooms:
            found = rooms.reverts.look(rooms.reverts.choose(promotion_id), to_restore_point=to_restore_point)
        return WayBack(does=tuple(way_back(found)), digest=found.digest)

    def job(self, name: str) -> Job | None:
        """See Desk."""
        with self._site.book() as book:
            found = book.latest(self.project, name)
        if found is None:
            return None
        waits = ", waits for its turn" if found.state == "waiting" else ""
        return Job(
            id=found.id,
            running=not found.ended,
            words=f"{found.act}, asked by {found.who}{waits}",
            error=_problem(found),
            act=found.act,
            on=str(found.arguments.get("promotion") or "") if found.act == "revert" else "",
        )

    def lines(self, name: str, after: int) -> tuple[int, Sequence[str]]:
        """See Desk."""
        with self._site.book() as book:
            found = book.latest(self.project, name)
            if found is None:
                return after, ()
            lines = book.lines(found.id, after=after)
        number = max((each for each, _ in lines), default=after)
        if after == 0 and found.ended:
            return number, ()  # of what was over when the page was opened, the story tells
        return number, [text for _, line in lines if (text := _text(line))]

    def log(self, preview: Preview, service: str) -> Iterator[str]:
        """See Desk."""
        whose = service_name(preview, service) if service else candidate_name(preview)
        with translating(f"reading the log of {preview.name}"):
            yield from self._site.candidates.runtime(preview).logs(whose, tail=200, follow=True)

    def services(self, preview: Preview) -> tuple[str, ...]:
        """See Desk."""
        del preview  # every preview of a project has the same
        return tuple(self._site.settings.services)

    def mails(self, preview: Preview) -> tuple[Mail, ...]:
        """See Desk."""
        return tuple(
            Mail(
                id=each.id,
                subject=each.subject,
                sender=each.sender,
                to=", ".join(each.recipients),
                at=f"{each.at:%Y-%m-%d %H:%M:%S} UTC",
            )
            for each in mail.mails(home(), preview)
        )

    def mail(self, preview: Preview, mail_id: str) -> Mail | None:
        """See Desk."""
        found = next((each for each in self.mails(preview) if each.id == mail_id), None)
        if found is None:
            return None
        whole = mail.message(home(), preview, mail_id)
        body = whole.get_body(preferencelist=("plain", "html"))
        return replace(
            found,
            text=_body(body) if body is not None else "",
            attachments=tuple(
                each.get_filename() or each.get_content_type() for each in whole.iter_attachments()
            ),
        )

    # share links

    @property
    def _sharing(self) -> Sharing:
        return Sharing(self._site.settings, project=self.project, refused=self._site.refusals.tell)

    def no_links(self) -> str:
        """See Desk."""
        return self._sharing.why_not()

    def forbids_sharing(self, caller: Caller, preview: Preview) -> str:
        """See Desk."""
        return self._sharing.forbids(caller, preview)

    def links(self, name: str, caller: Caller) -> tuple[Link, ...]:
        """See Desk."""
        with self._site.store(caller.who) as store:
            return tuple(map(link_of, reversed(self._sharing.of(store, name))))

    def make_link(self, name: str, caller: Caller, *, lasts: timedelta, note: str) -> str:
        """See Desk."""
        with self._site.store(caller.who) as store:
            return str(self._sharing.make(store, caller, name, lasts=lasts, note=note)["url"])

    def revoke_link(self, name: str, caller: Caller, link_id: str) -> None:
        """See Desk."""
        with self._site.store(caller.who) as store:
            self._sharing.revoke(store, caller, name, link_id)


def way_back(found: Outlook) -> Iterator[str]:
    """What a revert would do and lose, a sentence each."""
    if found.way == "restore_point":
        yield (
            "Production gets all the data and the schema of the moment before this promotion back, from its restore "
            "point. Its address stays."
        )
    statements = [each.why for each in found.plan.statements] if found.plan else []
    yield from (f"On production: {why}." for why in statements[:_MOST_SENTENCES])
    if len(statements) > _MOST_SENTENCES:
        yield f"And {len(statements) - _MOST_SENTENCES} statements more."
    if found.way != "restore_point" and not statements:
        yield "No statement is needed: production's schema is as it was before."
    if found.others:
        yield f"What others have changed in the schema since stays: {found.others} objects."
    yield from (f"Lost: {loss}." for loss in found.losses)
    if found.app:
        yield f"{found.app[:1].upper()}{found.app[1:].rstrip('.')}."
    if found.way == "restore_point":
        yield "Production as it is now stays as a branch of its own, so that what was lost can be looked up there."
    else:
        yield "Rows that were written since stay."
    yield "It is proved afterwards, and written down."


class _Silent:
    """An observer who tells nobody: a page waits for the answer."""

    def started(self, preview: Preview) -> None:
        """See lifecycle.Observer."""

    def detail(self, text: str) -> None:
        """See lifecycle.Observer."""

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        """See lifecycle.Observer."""

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        """See lifecycle.Observer."""


def _body(part: Any) -> str:
    """The text of a part of a mail, however wrongly it is encoded; never as markup."""
    try:
        return str(part.get_content())[:_LONGEST_MAIL]
    except (LookupError, ValueError):
        return bytes(part.get_payload(decode=True) or b"").decode(errors="replace")[:_LONGEST_MAIL]


def link_of(value: Mapping[str, Any]) -> Link:
    """A share link's JSON as a page shows it."""
    times = {
        name: f"{datetime.fromisoformat(value[name]):%Y-%m-%d %H:%M} UTC" if value[name] else ""
        for name in ("made_at", "expires_at", "used_at")
    }
    return Link(**{name: value[name] for name in ("id", "state", "note", "made_by")}, **times)


def _text(line: Mapping[str, Any]) -> str:
    """A job's line for a person."""
    text = str(line.get("text", ""))
    if line.get("kind") == "started":
        return f"{line.get('state')} ..."
    if line.get("kind") in ("finished", "failed"):
        return f"{line.get('state')}: {text}" if text else str(line.get("state"))
    return text


def _problem(job: Row) -> Problem | None:
    if not job.error or job.error.get("kind") in _NO_PROBLEM:
        return None
    return Problem(
        message=f"{job.act}: {job.error.get('message', '')}",
        hint=str(job.error.get("hint") or ""),
        detail=str(job.error.get("detail") or ""),
    )


def _error(said: Mapping[str, Any]) -> OrchestratorError:
    return Refused(
        str(said.get("message", "")), hint=str(said.get("hint") or ""), detail=str(said.get("detail") or "")
    )
