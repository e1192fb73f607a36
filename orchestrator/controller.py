"""The verbs: what a person can ask for, as methods. Knows no adapter; is handed the engine and the rooms below."""

from datetime import UTC, datetime, timedelta

from orchestrator.errors import Refused
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.lifecycle.lease import Lease
from orchestrator.promotions import PromotionVerbs
from orchestrator.verbs import failed_in


class Controller(PromotionVerbs):
    """The verbs on previews of one project; see `Verbs` for what it is made of."""

    def discard(self, name: str, *, force: bool = False, keep_for: timedelta | None = None) -> Preview:
        """Remove everything of this preview; also while another process works on it.

        Args:
            name: which.
            force: also when its promotion stopped half-way, or a runtime does not answer.
            keep_for: how long its branch is kept, so that it can be restored; None: as the settings say.

        Raises:
            Refused: main is half-way through its plan (unless `force`).
        """
        self._finish_replaced(name)
        preview = self.mine(name)
        refuse_half_promoted(preview, force=force)
        self._store.want(preview.id, Wanted.CLOSED, note="preview discard")
        with self._store.lease(preview.id, wait=self._wait) as lease:
            preview = self._store.get(preview.id)
            if preview.state is State.CLOSED:
                return preview
            try:
                refuse_half_promoted(preview, force=force)
            except Refused:
                # It was ready when we asked, and its promotion has failed half-way since.
                self._store.want(preview.id, Wanted.PROMOTED, note="not discarded: half-way promoted")
                raise
            preview = self._keep_branch(lease, preview, keep_for)
            if force:
                preview = self._store.record(
                    lease,
                    to=preview.state,
                    kind="forced",
                    note="discard --force",
                    facts={"forced": True},
                    error=preview.error,
                )
            self._give_up_promotion(lease, preview)
            shadow = self._store.shadow_of(preview.id)
            if shadow is not None:
                self._store.want(shadow.id, Wanted.CLOSED, note="preview discard")
                with self._store.lease(shadow.id, wait=self._wait) as of_shadow:
                    self._close(of_shadow, self._store.get(shadow.id))
            return self._close(lease, preview)

    def _give_up_promotion(self, lease: Lease, preview: Preview) -> None:
        """Nobody will go on with one that has not come to its end: its own history is told, too."""
        note = "the promotion was given up by force"
        known = preview.facts.get("promotion_id")
        with self._promotions.together():
            promotion = self._promotions.get(known) if known else None
            if promotion is not None and promotion.state == "running":
                self._promotions.record(promotion.id, "failed" if promotion.touched else "refused", note=note)
            if preview.state is State.PROMOTING:
                self._store.record(lease, to=State.FAILED, kind="step", note=note)

    def _keep_branch(self, lease: Lease, preview: Preview, keep_for: timedelta | None) -> Preview:
        """Write down how long the branch is to be kept: only one that was rehearsed can be restored."""
        span = self._hooks.keep_discarded if keep_for is None else keep_for
        rehearsed = "reached" in preview.facts and "promotion" not in preview.facts
        until = (datetime.now(UTC) + span).isoformat(timespec="seconds") if span and rehearsed else None
        if until == preview.facts.get("keep_until"):
            return preview
        return self._store.record(
            lease,
            to=preview.state,
            kind="keeping" if until else "not keeping",
            note=f"the branch until {until}" if until else "the branch",
            facts={"keep_until": until},
            error=preview.error,
        )


def refuse_half_promoted(preview: Preview, *, force: bool) -> None:
    """Say no to discarding what main is half-way through.

    Raises:
        Refused: it is, and force was not asked for.
    """
    name = preview.name
    if preview.facts.get("expanded") and "promotion" not in preview.facts and not force:
        raise Refused(
            f"main has the first phase of {name}, and not the second",
            hint=f"`preview promote {name} --phase contract` finishes it; `preview revert` takes it back; "
            f"`preview discard {name} --force` leaves main as it is",
        )
    if force or not (preview.state is State.PROMOTING or failed_in(preview) is State.PROMOTING):
        return
    raise Refused(
        f"main may be half-way through the plan of {name}",
        hint=f"`preview promote {name}` finishes it; `preview revert` takes back what was done; "
        f"`preview discard {name} --force` leaves main as it is",
    )
