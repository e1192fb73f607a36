"""The verbs that bring a preview up: up, answer. Knows no adapter; is handed the engine and the rooms below."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from orchestrator.errors import (
    NameTaken,
    Refused,
    UsageError,
    WaitingForAnswers,
)
from orchestrator.facts import answer_command, check_answers, open_questions
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.lifecycle.lease import Lease
from orchestrator.settings import check_name
from orchestrator.verbs import Verbs, failed_in

#: Where `up` goes on when a preview failed in a state; a rehearsal that failed begins on a fresh branch.
_RESUME_IN = {
    State.BRANCHING: State.BRANCHING,
    State.MIGRATING: State.BRANCHING,
    State.LAUNCHING: State.LAUNCHING,
    State.CHECKING: State.CHECKING,
}

#: What is remembered of one branch and is not true of the next.
_OF_A_BRANCH = (
    *(
        "rotated",
        "plan",
        "questions",
        "proved",
        "reached",
        "differences",
        "rows_before",
        "values_before",
        "preflight",
        "read_all",
        "back",
    ),
    *("expanded", "phase", "report", "url", "safety", "public_url", "sleeping_since", "command", "own_steps"),
)


#: A life that would become longer by less is left as it is.
_RENEWED_FROM = timedelta(minutes=1)


class UpVerbs(Verbs):
    """What makes a preview, or goes on with it."""

    def up(
        self,
        name: str,
        *,
        answers: Mapping[str, str],
        fresh: bool = False,
        brought: Mapping[str, Any] | None = None,
    ) -> Preview:
        """Make the preview, or go on with it, or bring it up to date.

        Args:
            name: the preview's.
            answers: to questions, by their ids.
            fresh: begin again on a fresh branch.
            brought: facts about who asks and with what, to be remembered before the first effect.

        Raises:
            WaitingForAnswers: it rests with questions.
            NameTaken: a live preview of another project has the name.
            OrchestratorError: a step failed.
        """
        check_name(name)
        preview = self._store.find(name) or self._create(name, brought or {})
        if preview.project != self._project:
            raise NameTaken(
                f"the name {name!r} is taken by a preview of project {preview.project}",
                hint="choose another name",
            )
        with self._store.lease(preview.id, wait=self._wait) as lease:
            return self._up(lease, answers=answers, fresh=fresh, brought=brought)

    def _create(self, name: str, brought: Mapping[str, Any]) -> Preview:
        """A new row; when another `up` of the same name was quicker, that one's."""
        try:
            return self._store.create(
                name=name,
                project=self._project,
                facts={
                    "runtime": self._hooks.runtime_kind(),
                    "answers": {},
                    "store": self._store.mark,
                    **brought,
                },
                expires_at=self._hooks.lives_until(),
                admit=self._hooks.admit,
            )
        except NameTaken:
            found = self._store.find(name)
            if found is None:
                raise
            return found

    def _up(
        self,
        lease: Lease,
        *,
        answers: Mapping[str, str],
        fresh: bool,
        brought: Mapping[str, Any] | None = None,
    ) -> Preview:
        preview = self._store.get(lease.preview_id)
        if preview.wanted is Wanted.CLOSED or preview.state is State.CLOSED:
            raise Refused(
                f"{preview.name} is being discarded",
                hint=f"`preview discard {preview.name}` finishes it; then the name is free",
            )
        if preview.state is State.PROMOTED:
            raise Refused(
                f"{preview.name} is promoted to main already",
                hint=f"`preview discard {preview.name}`; then the name is free",
            )
        if preview.state is State.PROMOTING or failed_in(preview) is State.PROMOTING:
            raise Refused(
                f"the promotion of {preview.name} to main is not finished",
                hint=f"`preview promote {preview.name}` goes on with it",
            )
        preview = self._keep_brought(lease, preview, brought or {})
        preview = self._renew(preview)
        self._hooks.prepare(preview)
        before = preview
        told = {**preview.facts.get("answers", {}), **answers}
        if told != preview.facts.get("answers", {}):
            preview = self._keep_answers(lease, preview, answers)
            if preview.state is State.READY:
                fresh = True  # it was rehearsed with other answers
        to, why = self._where_to_go_on(preview, fresh=fresh)
        if to is State.BRANCHING and "branch" in preview.facts:
            # What was said about the old branch is not true of the next one, and its app has no database now.
            self._hooks.withdraw(preview)
        if to is not None and to is not preview.state:
            facts = dict.fromkeys(_OF_A_BRANCH) if to is State.BRANCHING else {}
            if to is State.BRANCHING and preview.facts.get("expanded"):
                # What is left is rehearsed anew, and will be a promotion of its own.
                history = self._store.promotions(self._project)
                history.record(
                    preview.facts["promotion_id"], "superseded", note=f"after its first phase: {why}"
                )
            preview = self._store.record(lease, to=to, kind="resumed", note=why, facts=facts)
        try:
            return self._until_rest(lease)
        except UsageError:
            self._forget_answers(lease, before)
            raise

    def _renew(self, preview: Preview) -> Preview:
        """Whoever brings a preview up wants it for a while; what was extended or kept lives as long as was said."""
        until = self._hooks.lives_until()
        if until is None or preview.expires_at is None or until - preview.expires_at < _RENEWED_FROM:
            return preview
        note = f"until {until:%Y-%m-%d %H:%M} UTC"
        return self._store.live_until(preview.id, until, kind="renewed", note=note)

    def _forget_answers(self, lease: Lease, before: Preview) -> None:
        """An answer that fits nothing must not stick: the next `up` would trip over it again."""
        now = self._store.get(lease.preview_id)
        kept = before.facts.get("answers", {})
        if now.state is State.FAILED and now.facts.get("answers", {}) != kept:
            waits = before.state is State.WAITING and "questions" in now.facts
            self._store.record(
                lease,
                to=State.WAITING if waits else State.FAILED,
                kind="answers taken back",
                note="they fit no question",
                facts={"answers": kept},
                error=None if waits else now.error,
            )

    def _where_to_go_on(self, preview: Preview, *, fresh: bool) -> tuple[State | None, str]:
        if preview.state.working and not fresh:
            return None, ""
        if fresh:
            return (State.BRANCHING, "a fresh branch was asked for")
        if preview.state is State.FAILED:
            where = failed_in(preview) or State.BRANCHING
            return _RESUME_IN.get(where, State.BRANCHING), f"going on after it failed while {where}"
        if preview.state is State.READY:
            stale = self._hooks.freshness.stale(preview)
            return stale if stale is not None else (None, "")
        if preview.state is State.WAITING:
            # The goal may have been changed instead of answering: plan again, on the branch as it is.
            return State.MIGRATING, "planning again"
        return None, ""

    def _until_rest(self, lease: Lease) -> Preview:
        preview = self._engine.run_until_rest(lease)
        if preview.state is State.CLOSED:
            raise Refused(
                f"{preview.name} was discarded while it was being brought up",
                hint=f"`preview history {preview.name}` tells by whom",
            )
        if preview.state is State.WAITING:
            questions = open_questions(preview)
            raise WaitingForAnswers(
                f"{preview.name} waits for {len(questions)} answer{'s' * (len(questions) != 1)}: "
                + ", ".join(question.id for question in questions),
                hint=answer_command(preview, questions),
            )
        self._hooks.measured(preview)
        return self._store.get(preview.id)

    def answer(
        self, name: str, answers: Mapping[str, str], *, brought: Mapping[str, Any] | None = None
    ) -> Preview:
        """Answer questions and go on.

        Raises:
            UsageError: an answer names no open question or no choice of it; nothing is kept.
        """
        preview = self.mine(name)
        with self._store.lease(preview.id, wait=self._wait) as lease:
            preview = self._store.get(preview.id)
            if preview.state is not State.WAITING:
                raise UsageError(
                    f"{name} is {preview.state}; it waits for no answer",
                    hint=f"`preview show {name}`; `preview up {name} --answer ID=VALUE` gives answers beforehand",
                )
            # What is kept already may be given again; a terminal asks in several rounds.
            kept = preview.facts.get("answers", {})
            new = {each: value for each, value in answers.items() if kept.get(each) != value}
            check_answers(open_questions(preview), new)
            return self._up(lease, answers=new, fresh=False, brought=brought)

    def _keep_brought(self, lease: Lease, preview: Preview, brought: Mapping[str, Any]) -> Preview:
        """Remember who asks and with what, when that is new."""
        new = {name: value for name, value in brought.items() if preview.facts.get(name) != value}
        if not new:
            return preview
        note = ", ".join(sorted(new))
        return self._store.record(
            lease, to=preview.state, kind="brought", note=note, facts=new, error=preview.error
        )

    def _keep_answers(self, lease: Lease, preview: Preview, answers: Mapping[str, str]) -> Preview:
        kept = {**preview.facts.get("answers", {}), **answers}
        note = ", ".join(f"{question}={value}" for question, value in sorted(answers.items()))
        return self._store.record(
            lease, to=preview.state, kind="answered", note=note, facts={"answers": kept}, error=preview.error
        )
