"""The verb rebase: a preview rehearsed again on main as it is now, beside the old one, which stays up until then."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.approval import Approval, facts_of
from orchestrator.bringing_up import UpVerbs
from orchestrator.checks.policy import unallowed
from orchestrator.checks.report import Report
from orchestrator.errors import Refused, WaitingForAnswers
from orchestrator.facts import answer_command, open_questions
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.lifecycle.lease import Lease
from orchestrator.migration.plan import Plan
from orchestrator.verbs import failed_in

#: Facts of a preview that are not about its branch, and go on with the one that takes its place.
KEPT = ("runtime", "store", "owner", "authors", "source")

#: How much of a statement a sentence quotes.
_LONGEST = 160


class RebaseVerbs(UpVerbs):
    """What brings a preview onto main as it is now."""

    def rebase(self, name: str, *, answers: Mapping[str, str], by: str | None = None) -> Preview:
        """Rehearse a preview again on a fresh branch of main, beside the old one; then take its place.

        Answers are kept; an approval only if plan, hazards, locks, image and answers are what they were.

        Args:
            name: the preview's.
            answers: more of them.
            by: who becomes one of the preview's authors by an answer that is a new one; None: nobody.

        Raises:
            WaitingForAnswers: it rests with questions; the old preview stays as it is.
            Refused: it is not ready.
            OrchestratorError: the rehearsal failed; the old preview stays as it is.
        """
        self._finish_replaced(name)
        preview = self.mine(name)
        with self._store.lease(preview.id, wait=self._wait) as lease:
            preview = self._store.get(preview.id)
            self._assert_rebasable(preview)
            return self._rebase(
                lease, preview, answers, lambda fresh, _: self._store.get(fresh.preview_id), by=by
            )

    def _assert_rebasable(self, preview: Preview) -> None:
        ready = preview.state is State.READY or failed_in(preview) is State.PROMOTING
        if not ready or preview.wanted is Wanted.CLOSED or preview.state is State.CLOSED:
            raise Refused(
                f"{preview.name} is {preview.state}; only a preview that is ready, or whose promotion stopped, "
                "can be rebased",
                hint=f"`preview up {preview.name}` brings it up to date",
            )

    def _rebase(
        self,
        lease: Lease,
        old: Preview,
        answers: Mapping[str, str],
        then: Callable[[Lease, tuple[str, ...]], Preview],
        *,
        by: str | None = None,
    ) -> Preview:
        """Rebase, and go on with the new preview while its lease is held.

        Args:
            lease: of the old preview.
            old: what is rebased.
            answers: more of them.
            then: what to do with the new one, which has the name now; is told what differs from what was rehearsed
                before.
            by: see rebase.
        """
        told = {**old.facts.get("answers", {}), **answers}
        shadow = self._store.shadow_of(old.id) or self._store.create(
            name=old.name,
            project=self._project,
            facts={
                **{name: old.facts[name] for name in KEPT if name in old.facts},
                "answers": told,
                "rebases": old.id,
            },
            shadow=True,
            note=f"a rebase of preview {old.id}",
            expires_at=old.expires_at,
        )
        if self._hooks.one_port:
            self._hooks.withdraw(old)  # both cannot listen where the settings want it
        with self._store.lease(shadow.id, wait=self._wait) as fresh:
            try:
                ready = self._up(fresh, answers=told, fresh=False, brought=_authors(old, shadow, answers, by))
            except WaitingForAnswers as waiting:
                waiting.hint = rebase_command(self._store.get(shadow.id))
                raise
            changed = differences(old, ready)
            self._carry_approval(fresh, old, ready, changed)
            self._store.change_places(
                lease,
                fresh,
                note="rebased: the plan is what it was" if not changed else f"rebased: {changed[0]}",
            )
            if old.facts.get("promotion_id"):
                self._store.promotions(self._project).record(
                    old.facts["promotion_id"], "superseded", note=f"rebased: preview {ready.id} goes on"
                )
            self._close(lease, self._store.get(old.id))
            return then(fresh, changed)

    def _carry_approval(self, fresh: Lease, old: Preview, ready: Preview, changed: tuple[str, ...]) -> None:
        """A yes that was given beforehand goes on with the new preview, or is said to be gone."""
        given = old.facts.get("approval")
        if not given or not given["beforehand"]:
            return
        approval = Approval.from_json(given)
        if changed or not may_stay(approval, ready):
            self._store.record(
                fresh,
                to=State.READY,
                kind="approval gone",
                note="; ".join(changed) or "the report blocks it now",
            )
            return
        kept = replace(approval, facts=facts_of(ready))
        self._store.record(
            fresh,
            to=State.READY,
            kind="approved",
            note=f"by {approval.who} at {approval.at}, kept: the plan is what it was",
            detail={**kept.to_json(), "rebased_from": old.id},
            facts={"approval": kept.to_json()},
        )

    def _finish_replaced(self, name: str) -> None:
        """Remove what an interrupted rebase left of a preview whose place was taken."""
        for left in self._store.replaced(name):
            with self._store.lease(left.id, wait=self._wait) as lease:
                self._close(lease, self._store.get(left.id))


def _authors(old: Preview, shadow: Preview, answers: Mapping[str, str], by: str | None) -> dict[str, Any]:
    """Who changed what is in it: to whoever may not approve what is their own, this is their own from now on."""
    kept = old.facts.get("answers", {})
    if by is None or all(kept.get(each) == value for each, value in answers.items()):
        return {}
    return {"authors": sorted({*old.facts.get("authors", ()), *shadow.facts.get("authors", ()), by})}


def differences(old: Preview, new: Preview) -> tuple[str, ...]:
    """What a person who said yes to the old preview has not seen, one sentence each; empty when the yes may stand.

    The digest of a plan holds the fingerprints of both schemas, so the statements themselves are compared.
    """
    before, after = Plan.from_json(old.facts["plan"]), Plan.from_json(new.facts["plan"])
    found = []
    for word, then, now in (
        ("statement", _sql(before), _sql(after)),
        ("hazard", _hazards(before), _hazards(after)),
        ("lock", _locks(before), _locks(after)),
    ):
        found += [f"the plan has a {word} more: {_line(each)}" for each in now if each not in then]
        found += [f"the plan has a {word} less: {_line(each)}" for each in then if each not in now]
    if not found and _sql(before) != _sql(after):
        found.append("the plan has its statements in another order")
    then_facts, now_facts = facts_of(old), facts_of(new)
    found += [
        f"the {word} is another one"
        for name, word in (("image", "image"), ("answers", "set of answers"))
        if then_facts[name] != now_facts[name]
    ]
    return tuple(found)


def may_stay(approval: Approval, preview: Preview) -> bool:
    """Whether nothing in the new report blocks that was not allowed by name."""
    return not unallowed(Report.from_json(preview.facts["report"]), frozenset(approval.allowed))


def rebase_command(shadow: Preview) -> str:
    """The command that answers the questions of a rebase, with a choice filled in for each; it can be run as it is."""
    begin, _, words = answer_command(shadow, open_questions(shadow)).partition(
        f"preview answer {shadow.name} "
    )
    answers = shlex.split(words or begin)
    return shlex.join(
        ["preview", "rebase", shadow.name, *(w for each in answers for w in ("--answer", each))]
    )


def _line(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _LONGEST else f"{one[: _LONGEST - 3]}..."


def _sql(plan: Plan) -> list[str]:
    return [each.sql for each in plan.statements]


def _hazards(plan: Plan) -> list[str]:
    return [hazard.name for hazard in plan.hazards]


def _locks(plan: Plan) -> list[str]:
    return [f"{each.lock.value} on {table}" for each in plan.statements for table in each.lock_on]
